// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* text.c - numbers as text, into bounded places. See text.h. */
#include "text.h"

notrace u32 digits_of(u64 v, u32 base, bool upper, char *buf, const char **first)
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char *p = buf + 64;

	do {
		*--p = set[v % base];
		v /= base;
	} while (v);
	*first = p;
	return (u32)(buf + 64 - p);
}

notrace void out_cstr(struct vm_out *o, const char *s)
{
	while (*s)
		out_char(o, *s++);
}

notrace void out_dec(struct vm_out *o, s64 v)
{
	char buf[64];
	const char *d;
	u32 n = digits_of(v < 0 ? 0 - (u64)v : (u64)v, 10, false, buf, &d);

	if (v < 0)
		out_char(o, '-');
	out_bytes(o, d, n);
}

notrace void out_hex(struct vm_out *o, u64 v)
{
	char buf[64];
	const char *d;
	u32 n = digits_of(v, 16, false, buf, &d);

	out_cstr(o, "0x");
	out_bytes(o, d, n);
}

notrace u32 dec_width(s64 v)
{
	u64 u = v < 0 ? 0 - (u64)v : (u64)v;
	u32 n = v < 0 ? 2 : 1;

	while (u >= 10) {
		u /= 10;
		n++;
	}
	return n;
}
