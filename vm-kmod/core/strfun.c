// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* strfun.c - the string functions that scripts call: strtol, str_replace,
 * tokenize, text_strn. */
#include "helpers.h"
#include "text.h"

static notrace u32 digit_value(char ch)
{
	if (ch >= '0' && ch <= '9')
		return (u32)(ch - '0');
	if (ch >= 'a' && ch <= 'f')
		return (u32)(ch - 'a') + 10;
	if (ch >= 'A' && ch <= 'F')
		return (u32)(ch - 'A') + 10;
	return 255;
}

/* Digits up to f, whatever the base; no blanks, no plus; wraps on overflow.
 * Base 0: 0x is hexadecimal, a leading 0 octal. */
notrace s64 str_to_int(const struct vm_slot *s, s64 base)
{
	const char *p = s->p, *end = p + s->len;
	bool minus = p < end && *p == '-';
	u64 v = 0, b = base < 0 || base > 36 ? 0xffff : (u64)base;
	bool hex;

	if (minus)
		p++;
	hex = end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && digit_value(p[2]) < 16;
	if (!b)
		b = hex ? 16 : end > p && *p == '0' ? 8 : 10;
	if (b == 16 && hex)
		p += 2;
	for (; p < end && digit_value(*p) < b; p++)
		v = v * b + digit_value(*p);
	return (s64)(minus ? 0 - v : v);
}

notrace void str_replace(struct vm_ctx *c, const struct vm_slot *s, const struct vm_slot *what,
			 const struct vm_slot *with, struct vm_slot *out)
{
	struct vm_out o = { c->spare, 0, c->vm->strcap };
	u32 from = 0, at;

	while (what->len) {
		at = slot_find(s, what, from);
		if (at == NOT_FOUND)
			break;
		out_bytes(&o, s->p + from, at - from);
		out_bytes(&o, with->p, with->len);
		from = at + what->len;
	}
	out_bytes(&o, s->p + from, s->len - from);
	slot_adopt_spare(c, out, (u32)o.len);
}

notrace void str_tokenize(struct vm_ctx *c, const struct vm_slot *s)
{
	memcpy(c->tok, s->p, s->len);
	c->tok_len = s->len;
	c->tok_pos = 0;
}

static notrace bool is_one_of(char ch, const struct vm_slot *set)
{
	u32 k;

	for (k = 0; k < set->len; k++)
		if (set->p[k] == ch)
			return true;
	return false;
}

notrace void str_next_token(struct vm_ctx *c, const struct vm_slot *delim, struct vm_slot *out)
{
	u32 at = c->tok_pos, from;

	while (at < c->tok_len && is_one_of(c->tok[at], delim))
		at++;
	from = at;
	while (at < c->tok_len && !is_one_of(c->tok[at], delim))
		at++;
	c->tok_pos = at;
	slot_set(c, out, c->tok + from, at - from);
}

/* length of the UTF-8 sequence at s (2..4) and its code point; 0: none */
static notrace u32 utf8(const u8 *s, u32 n, u32 *point)
{
	static const u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	u32 len = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 ? 3 : 2, k;

	if (s[0] < 0xc2 || s[0] >= 0xf8 || len > n)
		return 0;
	*point = s[0] & (0x7fu >> len);
	for (k = 1; k < len; k++) {
		if ((s[k] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (s[k] & 0x3f);
	}
	if (*point < least[len] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000))
		return 0;
	return len;
}

static notrace u32 put_hex(char *to, u32 v, u32 digits)
{
	u32 k;

	for (k = digits; k-- > 0; v >>= 4)
		to[k] = "0123456789ABCDEF"[v & 15];
	return digits;
}

/* one character, escaped into to[10]; `used` bytes of it were taken */
static notrace u32 escape_one(char *to, const u8 *s, u32 n, u32 *used)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\", name[] = "abfnrtv\"\\";
	u32 point, k;

	*used = 1;
	to[0] = '\\';
	for (k = 0; from[k]; k++)
		if (*s == (u8)from[k]) {
			to[1] = name[k];
			return 2;
		}
	if (*s >= ' ' && *s <= '~') {
		to[0] = (char)*s;
		return 1;
	}
	k = utf8(s, n, &point);
	if (k) {
		*used = k;
		to[1] = point > 0xffff ? 'U' : 'u';
		return 2 + put_hex(to + 2, point, point > 0xffff ? 8 : 4);
	}
	to[1] = (char)('0' + (*s >> 6));
	to[2] = (char)('0' + (*s >> 3 & 7));
	to[3] = (char)('0' + (*s & 7));
	return 4;
}

notrace void str_escape(struct vm_ctx *c, const char *s, u32 n, bool more, s64 most, bool quoted,
			struct vm_slot *out)
{
	u32 cap = c->vm->strcap, tail = quoted ? 4 : 3, len, used, at, fit;
	struct vm_out o = { c->spare, 0, 0 };
	char esc[12];

	/* as in SystemTap the length counts the terminator */
	if (most > 0 && most <= cap)
		cap = (u32)most - 1;
	if (cap < 2 * tail)
		cap = 2 * tail < c->vm->strcap ? 2 * tail : c->vm->strcap;
	o.cap = cap;
	if (quoted)
		out_char(&o, '"');
	fit = (u32)o.len; /* where the dots go if the rest does not fit */
	for (at = 0; at < n; at += used) {
		len = escape_one(esc, (const u8 *)s + at, n - at, &used);
		if (o.len + len + quoted > cap) {
			more = true;
			break;
		}
		out_bytes(&o, esc, len);
		if (o.len + tail <= cap)
			fit = (u32)o.len;
	}
	if (more)
		o.len = fit;
	if (quoted)
		out_char(&o, '"');
	if (more)
		out_cstr(&o, "...");
	slot_adopt_spare(c, out, (u32)o.len);
}
