/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* hist.h - histograms as text, to the letter as SystemTap prints them. */
#ifndef STPVM_HIST_H
#define STPVM_HIST_H
#include "text.h"
#include "stat.h"

/* buckets: stat_buckets(g) of them */
void hist_text(struct vm_out *o, const struct im_global *g, const struct im_limits *lim,
	       const u64 *bucket);

#endif
