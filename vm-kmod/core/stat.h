/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * stat.h - statistics: what `<<<` adds to and what the extractors read. A
 * cell is a struct vm_agg, followed by the buckets of its histogram if the
 * global has one. Each CPU has cells of its own; reading merges them.
 *
 * Arithmetic is SystemTap's: 64-bit integers that wrap; the variance is kept
 * by Welford's algorithm on values shifted left by the global's bit shift,
 * with truncating division, and merged from each CPU's variance and mean.
 */
#ifndef STPVM_STAT_H
#define STPVM_STAT_H
#include "vm.h"

#define HIST_LOG_BUCKETS 128
#define HIST_LOG_ZERO	 64 /* the bucket of the value 0 */
#define HIST_BUCKETS_MAX 130

struct vm_ctx;
struct vm_global;
struct vm_aggslot;

/* buckets of a global's histogram, under- and overflow included; 0: none, or
 * a linear one with a bad range */
static inline notrace u32 stat_buckets(const struct im_global *g)
{
	u64 n;

	if (g->hist == IM_H_LOG)
		return HIST_LOG_BUCKETS;
	if (g->hist != IM_H_LINEAR || g->step <= 0 || g->hi < g->lo)
		return 0;
	n = ((u64)g->hi - (u64)g->lo) / (u64)g->step;
	return n >= 1 && n <= 126 ? (u32)n + 3 : 0;
}

void stat_add(const struct im_global *g, struct vm_agg *cell, s64 v);
/* begin, then add every CPU's cell, then finish */
void stat_begin(struct vm_aggslot *s, const struct vm_global *g);
void stat_merge(struct vm_aggslot *s, const struct vm_agg *cell);
void stat_finish_mean(struct vm_aggslot *s);
void stat_merge_variance(struct vm_aggslot *s, const struct vm_agg *cell);
/* field as in AGGET; 0, or -1 and the error is in the context */
int stat_field(struct vm_ctx *c, const struct vm_aggslot *s, u32 field, s64 *out);
/* lowest value of a bucket */
s64 stat_bucket_value(const struct im_global *g, u32 bucket);

#endif
