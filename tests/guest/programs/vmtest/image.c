// SPDX-License-Identifier: MIT OR Apache-2.0
/* image.c - small images put together by hand. In: tables and code. Out: the flat form. */
#include "vmtest.h"

u32 put(struct image *im, u32 sect, const void *p, u32 size)
{
	struct part *t = &im->part[sect];

	check(t->len + size <= sizeof(t->data), "image too large");
	memcpy(t->data + t->len, p, size);
	t->len += size;
	return t->count++;
}

u32 str(struct image *im, const char *s)
{
	struct im_str e = { im->part[IM_S_BYTES].len, strlen(s) };
	u32 i;

	for (i = 0; i <= e.len; i++)
		put(im, IM_S_BYTES, s + i, 1);
	return put(im, IM_S_STR, &e, sizeof(e));
}

u64 ins(u32 op, u32 a, u32 b, u32 c, s32 imm)
{
	return op | a << 8 | b << 16 | (u64)c << 24 | (u64)(u32)imm << 32;
}

u32 func(struct image *im, const char *name, u32 nregs, u32 n, const u64 *code)
{
	struct im_func f = { .code = im->part[IM_S_CODE].count,
			     .ncode = n,
			     .nregs = nregs,
			     .nstrs = 4,
			     .flags = IM_F_HANDLER,
			     .name = str(im, name) };
	u32 i;

	for (i = 0; i < n; i++)
		put(im, IM_S_CODE, &code[i], 8);
	return put(im, IM_S_FUNC, &f, sizeof(f));
}

u32 global(struct image *im, const char *name, u32 cls)
{
	struct im_global g = { .name = str(im, name), .cls = cls, .type = IM_T_INT };

	return put(im, IM_S_GLOBAL, &g, sizeof(g));
}

struct im_probe probe(struct image *im, u32 fn, u32 kind, const char *pp)
{
	struct im_probe p = { .func = fn, .kind = kind, .cond = ~0u };

	p.pp = p.pn = str(im, pp);
	if (kind <= IM_K_ERROR)
		p.flags = IM_P_INTERRUPTIBLE;
	return p;
}

void lock(struct image *im, struct im_probe *p, u32 g, u32 mode)
{
	struct im_lock l = { g, mode };

	p->lock_first = put(im, IM_S_LOCK, &l, sizeof(l));
	p->lock_count = 1;
}

u32 add(struct image *im, struct im_probe *p)
{
	return put(im, IM_S_PROBE, p, sizeof(*p));
}

/* a format "TEXT %d\n", one integer */
u32 format(struct image *im, const char *text)
{
	struct im_fmtitem lit = { .conv = IM_C_LIT, .prec = -1, .str = str(im, text) };
	struct im_fmtitem num = { .conv = IM_C_DEC, .prec = -1 };
	struct im_fmtitem end = { .conv = IM_C_LIT, .prec = -1, .str = str(im, "\n") };
	struct im_fmt f = { .count = 3, .ni = 1 };

	f.first = put(im, IM_S_FMTITEM, &lit, sizeof(lit));
	put(im, IM_S_FMTITEM, &num, sizeof(num));
	put(im, IM_S_FMTITEM, &end, sizeof(end));
	return put(im, IM_S_FMT, &f, sizeof(f));
}

static const u32 element[IM_S_MAX] = {
	8,
	sizeof(struct im_func),
	sizeof(struct im_probe),
	sizeof(struct im_global),
	8,
	sizeof(struct im_str),
	1,
	sizeof(struct im_fmt),
	sizeof(struct im_fmtitem),
	sizeof(struct im_lock),
	sizeof(struct im_try),
	sizeof(struct im_iter),
	sizeof(struct im_dfa),
	4,
};

struct image *image_new(u64 hash)
{
	struct image *im = calloc(1, sizeof(*im));

#define LIMIT(f, n, d, lo, hi, doc) im->limits.f = d;
#include "../../../../vm-kmod/core/limits.def"
#undef LIMIT
	im->hash = hash;
	im->caps = CAP_ALL_PROCS | CAP_KERNEL_READ;
	str(im, "");
	return im;
}

void flatten(struct image *im)
{
	struct im_header *h;
	u32 at = (sizeof(*h) + 7) & ~7u, i;

	im->flat = calloc(1, sizeof(*im));
	h = (struct im_header *)im->flat;
	h->magic = IM_MAGIC;
	h->abi = IM_ABI;
	h->header_size = sizeof(*h);
	h->caps = im->caps;
	h->isa_hash = im->hash;
	h->name = str(im, "vmtest");
	h->limits = im->limits;
	for (i = 0; i < IM_S_MAX; i++) {
		h->sect[i].off = at;
		h->sect[i].count = im->part[i].len / element[i];
		memcpy(im->flat + at, im->part[i].data, im->part[i].len);
		at = (at + im->part[i].len + 7) & ~7u;
	}
	h->total_size = im->flat_len = at;
}
