/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * text.h - a bounded place to write text to, and numbers as text. What does
 * not fit is dropped; nothing is terminated.
 */
#ifndef STPVM_TEXT_H
#define STPVM_TEXT_H
#include "platform.h"

struct vm_out {
	char *p;
	size_t len, cap;
};

static inline notrace void out_char(struct vm_out *o, char ch)
{
	if (o->len < o->cap)
		o->p[o->len++] = ch;
}

static inline notrace void out_bytes(struct vm_out *o, const char *s, size_t n)
{
	size_t room = o->cap - o->len;

	if (n > room)
		n = room;
	memcpy(o->p + o->len, s, n);
	o->len += n;
}

static inline notrace void out_fill(struct vm_out *o, char ch, s64 n)
{
	size_t room = o->cap - o->len;

	if (n <= 0)
		return;
	if ((u64)n < room)
		room = (size_t)n;
	memset(o->p + o->len, ch, room);
	o->len += room;
}

/* text.c; buf has room for 64 digits, the result is its first digit */
u32 digits_of(u64 v, u32 base, bool upper, char *buf, const char **first);
void out_cstr(struct vm_out *o, const char *s);
void out_dec(struct vm_out *o, s64 v);
void out_hex(struct vm_out *o, u64 v);
u32 dec_width(s64 v);

#endif
