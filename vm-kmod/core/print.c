// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * print.c - a handler's print: a record of its raw arguments. In: a format, by
 * number, and registers and slots. Out: a REC_PRINT. Formats nothing.
 */
#include "ring.h"
#include "print.h"

static vm_inline notrace u8 *put_ints(struct rec *r, u32 fmt, u32 n, const s64 *ri)
{
	s64 *body = (s64 *)(r + 1);
	u32 k;

	*body++ = fmt;
	for (k = 0; k < n; k++)
		body[k] = ri[k];
	return (u8 *)(body + n);
}

static vm_noinline notrace int print_strings(struct vm_ctx *c, u32 fmt, const s64 *ri,
					     const struct vm_slot *ss)
{
	const struct im_fmt *t = &c->prog->fmt[fmt];
	u32 size = 8 + 8 * t->ni, k;
	struct rec *r;
	u8 *at;

	for (k = 0; k < t->ns; k++)
		size += blob_size(ss[k].len);
	r = ring_reserve(c, RING_DATA, REC_PRINT, size);
	if (!r)
		return 0;
	at = put_ints(r, fmt, t->ni, ri);
	for (k = 0; k < t->ns; k++)
		at = put_blob(at, ss[k].p, ss[k].len);
	ring_commit(c, RING_DATA);
	return 0;
}

notrace int vm_print(struct vm_ctx *c, u32 fmt, const s64 *ri, const struct vm_slot *ss)
{
	u32 takes = c->prog->fmt_takes[fmt], n = takes & FMT_INTS;
	struct rec *r;

	if (unlikely(takes > FMT_INTS))
		return takes & FMT_DUMPS ? vm_print_dumps(c, fmt, ri, ss)
					 : print_strings(c, fmt, ri, ss);
	r = ring_reserve(c, RING_DATA, REC_PRINT, 8 + 8 * n);
	if (likely(r)) {
		put_ints(r, fmt, n, ri);
		ring_commit(c, RING_DATA);
	}
	return 0;
}
