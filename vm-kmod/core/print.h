/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* print.h - strings and dumps in a record: u32 length, bytes, padded to 4. */
#ifndef STPVM_PRINT_H
#define STPVM_PRINT_H
#include "machine.h"

static vm_inline notrace u32 blob_size(u32 len)
{
	return 4 + ((len + 3) & ~3u);
}

static inline notrace u8 *put_blob(u8 *at, const void *s, u32 len)
{
	memcpy(at, &len, 4);
	memset(at + 4 + len, 0, (0 - len) & 3);
	if (s)
		memcpy(at + 4, s, len);
	return at + blob_size(len);
}

/* format.c: a print whose format dumps memory */
int vm_print_dumps(struct vm_ctx *c, u32 fmt, const s64 *ri, const struct vm_slot *ss);

#endif
