// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* str.c - string slots: copying, joining, comparing, searching. Strings are
 * counted, at most vm.strcap bytes; what is longer is cut. */
#include "machine.h"

/* A constant is shared; what lies in a buffer is copied, its owner may change. */
notrace void slot_copy(struct vm_slot *d, const struct vm_slot *s)
{
	if (s->p == s->buf) {
		if (d == s)
			return;
		memcpy(d->buf, s->p, s->len);
		d->p = d->buf;
	} else {
		d->p = s->p;
	}
	d->len = s->len;
}

notrace void slot_set(struct vm_ctx *c, struct vm_slot *d, const char *s, u32 len)
{
	if (len > c->vm->strcap)
		len = c->vm->strcap;
	memcpy(d->buf, s, len);
	d->p = d->buf;
	d->len = len;
}

notrace void slot_adopt_spare(struct vm_ctx *c, struct vm_slot *d, u32 len)
{
	char *old = d->buf;

	d->buf = c->spare;
	d->p = d->buf;
	d->len = len;
	c->spare = old;
}

notrace void slot_cat(struct vm_ctx *c, struct vm_slot *d, const struct vm_slot *a,
		      const struct vm_slot *b)
{
	u32 cap = c->vm->strcap, la = a->len, lb = b->len;

	if (lb > cap - la)
		lb = cap - la;
	if (d == a && d->p == d->buf) {
		/* appending; b may be the same slot, its bytes lie before the end */
		memmove(d->buf + la, b->p, lb);
		d->len = la + lb;
		return;
	}
	memcpy(c->spare, a->p, la);
	memcpy(c->spare + la, b->p, lb);
	slot_adopt_spare(c, d, la + lb);
}

notrace int slot_cmp(const struct vm_slot *a, const struct vm_slot *b)
{
	u32 n = a->len < b->len ? a->len : b->len;
	int r = memcmp(a->p, b->p, n);

	if (r)
		return r;
	return a->len < b->len ? -1 : a->len > b->len;
}

notrace u32 slot_find(const struct vm_slot *s, const struct vm_slot *what, u32 from)
{
	u32 k;

	if (!what->len)
		return from;
	for (k = from; k + what->len <= s->len; k++)
		if (s->p[k] == what->p[0] && !memcmp(s->p + k, what->p, what->len))
			return k;
	return NOT_FOUND;
}
