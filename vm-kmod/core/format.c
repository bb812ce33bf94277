// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * format.c - the one printf. A handler's print becomes a record of raw
 * arguments (print.c), a sprintf becomes text at once (vm_sprint), and the
 * loader makes records into text (vm_render); all conversions go through
 * put_item, so the bytes are the same.
 *
 * Arguments come from a source: registers and slots of the handler, or the
 * body of a record. Memory dumps (%m, %M) are read where the handler runs and
 * travel in the record as bytes.
 */
#include "machine.h"
#include "print.h"
#include "hist.h"
#include "stack.h"
#include "text.h"

struct source {
	const s64 *i;		 /* integers, in order */
	struct vm_ctx *c;	 /* of the handler, or NULL: from a record */
	const struct vm_slot *s; /* strings of a handler */
	const u8 *at, *end;	 /* strings and dumps of a record */
	size_t (*sym)(void *arg, u64 addr, char form, char *out, size_t cap);
	void *arg;
};

struct shape { /* of one conversion */
	u32 flags;
	s64 width, prec; /* prec -1: none */
};

static notrace void pad(struct vm_out *o, const struct shape *f, bool left, s64 n)
{
	if (n > 0 && left == !!(f->flags & IM_FL_LEFT))
		out_fill(o, ' ', n);
}

static notrace void put_text(struct vm_out *o, const struct shape *f, const char *s, size_t n)
{
	pad(o, f, false, f->width - (s64)n);
	out_bytes(o, s, n);
	pad(o, f, true, f->width - (s64)n);
}

static notrace void put_number(struct vm_out *o, const struct shape *f, u32 conv, s64 v)
{
	u32 base = conv == IM_C_DEC || conv == IM_C_UDEC ? 10 : conv == IM_C_OCT ? 8 : 16;
	char buf[64];
	const char *digit, *sign = "";
	u64 u = (u64)v;
	s64 n, zeros, fill;

	if (conv == IM_C_DEC) {
		if (v < 0) {
			u = 0 - u;
			sign = "-";
		} else if (f->flags & IM_FL_PLUS) {
			sign = "+";
		} else if (f->flags & IM_FL_SPACE) {
			sign = " ";
		}
	} else if (conv == IM_C_PTR || (f->flags & IM_FL_ALT && conv == IM_C_HEX)) {
		sign = "0x";
	} else if (f->flags & IM_FL_ALT && conv == IM_C_HEXUP) {
		sign = "0X";
	} else if (f->flags & IM_FL_ALT && conv == IM_C_OCT) {
		sign = "0";
	}
	n = digits_of(u, base, conv == IM_C_HEXUP, buf, &digit);
	zeros = f->prec > n ? f->prec - n : 0;
	fill = f->width - (s64)strlen(sign) - zeros - n;
	if (f->flags & IM_FL_ZERO && !(f->flags & IM_FL_LEFT) && fill > 0) {
		zeros += fill;
		fill = 0;
	}
	pad(o, f, false, fill);
	out_cstr(o, sign);
	out_fill(o, '0', zeros);
	out_bytes(o, digit, (size_t)n);
	pad(o, f, true, fill);
}

static notrace void put_char(struct vm_out *o, const struct shape *f, u8 ch)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\", to[] = "abfnrtv\"\\";
	char esc[4] = { '\\', 0, 0, 0 };
	u32 k;

	if (!(f->flags & IM_FL_ALT) || (ch >= ' ' && ch <= '~' && ch != '"' && ch != '\\')) {
		esc[0] = (char)ch;
		put_text(o, f, esc, 1);
		return;
	}
	for (k = 0; from[k]; k++)
		if (from[k] == (char)ch) {
			esc[1] = to[k];
			put_text(o, f, esc, 2);
			return;
		}
	esc[1] = (char)('0' + (ch >> 6));
	esc[2] = (char)('0' + (ch >> 3 & 7));
	esc[3] = (char)('0' + (ch & 7));
	put_text(o, f, esc, 4);
}

static notrace void put_binary(struct vm_out *o, u64 v, u32 size)
{
	for (; size; size--, v >>= 8)
		out_char(o, (char)v);
}

static notrace void put_dump(struct vm_out *o, const struct shape *f, bool hex, const char *s,
			     u32 n)
{
	static const char set[] = "0123456789abcdef";
	s64 len = hex ? 2 * (s64)n : n;
	u32 k;

	pad(o, f, false, f->width - len);
	if (!hex)
		out_bytes(o, s, n);
	for (k = 0; hex && k < n; k++) {
		out_char(o, set[(u8)s[k] >> 4]);
		out_char(o, set[s[k] & 15]);
	}
	pad(o, f, true, f->width - len);
}

/* the next string or dump of a record; NULL when it is cut short */
static notrace const char *next_blob(struct source *a, u32 *len)
{
	const char *s;
	u32 room;

	if (a->end - a->at < 4)
		return NULL;
	memcpy(len, a->at, 4);
	a->at += 4;
	room = (u32)(a->end - a->at);
	if (*len > room)
		return NULL;
	s = (const char *)a->at;
	a->at += ((*len + 3) & ~3u) < room ? (*len + 3) & ~3u : room;
	return s;
}

static notrace const char *next_string(struct source *a, u32 *len)
{
	const struct vm_slot *t;

	if (!a->c)
		return next_blob(a, len);
	t = text_of(a->c, a->s++, 0);
	*len = t->len;
	return t->p;
}

/* A field is at most as wide as the longest string (MAXSTRINGLEN) can be: what
 * a script computes must not cost the loader seconds and megabytes, and sums of
 * it must fit. In a handler the string that it goes into cuts it anyway. */
#define WIDEST 65535

static notrace s64 bounded(s64 v)
{
	return v < 0 ? -1 : v > WIDEST ? WIDEST : v;
}

static notrace void shape_of(struct shape *f, const struct im_fmtitem *m, struct source *a)
{
	f->flags = m->flags;
	f->width = bounded(m->width == IM_DYN ? *a->i++ : m->width);
	f->prec = bounded(m->prec == IM_DYN ? *a->i++ : m->prec);
	if (m->prec == IM_DYN && f->prec < 0)
		f->prec = 0;
}

/* bytes that %m or %M reads */
static notrace u32 dump_len(const struct shape *f, u32 cap)
{
	s64 n = f->prec < 0 ? 1 : f->prec;

	return n > cap ? cap : (u32)n;
}

static notrace int read_memory(struct vm_ctx *c, u32 flags, void *to, u64 addr, u32 n)
{
	if (flags & IM_FL_ALT ? vmh_read_user(to, addr, n) : vmh_read_kernel(to, addr, n))
		return vm_raise(c, E_READ, (s64)addr);
	return 0;
}

static notrace int put_memory(struct vm_out *o, const struct shape *f, bool hex, struct source *a)
{
	u64 addr = (u64)*a->i++;
	const char *s;
	u32 n;

	if (!a->c) {
		s = next_blob(a, &n);
		if (!s)
			return -1;
		put_dump(o, f, hex, s, n);
		return 0;
	}
	n = dump_len(f, a->c->vm->strcap);
	if (read_memory(a->c, f->flags, a->c->msg, addr, n))
		return -1;
	put_dump(o, f, hex, a->c->msg, n); /* no error is in flight here */
	return 0;
}

/* byte 1, the form, 16 hexadecimal digits: an address that the helper LINE left */
#define MARK_LEN 18u

static bool is_mark(const char *s, u32 n, u64 *addr)
{
	u32 k, d;

	*addr = 0;
	if (n < MARK_LEN || s[0] != 1 || (s[1] != 'f' && s[1] != 'l' && s[1] != 'b'))
		return false;
	for (k = 2; k < MARK_LEN; k++) {
		d = s[k] >= '0' && s[k] <= '9' ? (u32)(s[k] - '0') : (u32)(s[k] - 'a') + 10;
		if (d > 15)
			return false;
		*addr = *addr << 4 | d;
	}
	return true;
}

static void put_symbol(struct vm_out *o, struct source *a, u64 addr, char form)
{
	size_t room = o->cap - o->len;
	size_t n = a->sym(a->arg, addr, form, o->p + o->len, room);

	o->len += n < room ? n : room;
}

/* text of the loader: stacks and marks become what they stand for before the
 * field is cut and padded */
static void put_marked(struct vm_out *o, const struct shape *f, struct source *a, const char *s,
		       u32 n)
{
	size_t start = o->len, len, pads;
	bool stack = is_stack(s, n);
	u64 addr;

	if (stack) {
		stack_write(o, s, n);
		if (f->prec >= 0 && o->len - start > (u64)f->prec)
			o->len = start + (size_t)f->prec;
		n = 0;
	} else if (f->prec >= 0 && f->prec < n) {
		n = (u32)f->prec;
	}
	while (n) {
		if (a->sym && is_mark(s, n, &addr)) {
			put_symbol(o, a, addr, s[1]);
			s += MARK_LEN;
			n -= MARK_LEN;
		} else {
			out_char(o, *s++);
			n--;
		}
	}
	len = o->len - start;
	if (f->width <= (s64)len)
		return;
	pads = (size_t)f->width - len;
	out_fill(o, ' ', (s64)pads);
	if (!(f->flags & IM_FL_LEFT) && o->len == start + len + pads) {
		memmove(o->p + start + pads, o->p + start, len);
		memset(o->p + start, ' ', pads);
	}
}

static notrace int put_item(struct vm_out *o, const struct vm_prog *p, const struct im_fmtitem *m,
			    struct source *a)
{
	struct shape f;
	const char *s;
	u32 n;

	if (m->conv == IM_C_LIT) {
		out_bytes(o, prog_str(p, m->str), p->str[m->str].len);
		return 0;
	}
	shape_of(&f, m, a);
	switch (m->conv) {
	case IM_C_STR:
		s = next_string(a, &n);
		if (!s)
			return -1;
		if (!a->c) {
			put_marked(o, &f, a, s, n);
			return 0;
		}
		if (f.prec >= 0 && f.prec < n)
			n = (u32)f.prec;
		put_text(o, &f, s, n);
		return 0;
	case IM_C_CHAR:
		put_char(o, &f, (u8)*a->i++);
		return 0;
	case IM_C_BIN:
		put_binary(o, (u64)*a->i++, m->size);
		return 0;
	case IM_C_MEM:
	case IM_C_MEMHEX:
		return put_memory(o, &f, m->conv == IM_C_MEMHEX, a);
	case IM_C_SYM:
		if (a->sym) {
			put_symbol(o, a, (u64)*a->i++, 'k');
			return 0;
		}
		put_number(o, &f, IM_C_PTR, *a->i++);
		return 0;
	}
	put_number(o, &f, m->conv, *a->i++);
	return 0;
}

/* -- in a handler ------------------------------------------------------------- */

notrace int vm_sprint(struct vm_ctx *c, u32 fmt, const s64 *ri, const struct vm_slot *ss,
		      struct vm_slot *out)
{
	const struct vm_prog *p = c->vm->prog;
	const struct im_fmt *t = &p->fmt[fmt];
	struct vm_out o = { c->spare, 0, c->vm->strcap };
	struct source a = { .i = ri, .s = ss, .c = c };
	u32 k;

	for (k = 0; k < t->count; k++)
		if (put_item(&o, p, &p->item[t->first + k], &a))
			return -1;
	for (k = 0; k < o.len && o.p[k]; k++)
		; /* a string ends at a NUL, which %c can make */
	slot_adopt_spare(c, out, k);
	return 0;
}

/* strings and dumps in the order of the format; at NULL: only their size */
static notrace int put_blobs(struct vm_ctx *c, const struct im_fmt *t, const s64 *ri,
			     const struct vm_slot *ss, u8 *at, u32 *size)
{
	const struct im_fmtitem *m = &c->vm->prog->item[t->first];
	struct source a = { .i = ri, .s = ss, .c = c };
	struct shape f;
	u32 k, n;

	*size = 0;
	for (k = 0; k < t->count; k++, m++) {
		if (m->conv == IM_C_LIT)
			continue;
		shape_of(&f, m, &a);
		if (m->conv == IM_C_STR) {
			*size += blob_size(a.s->len);
			if (at)
				at = put_blob(at, a.s->p, a.s->len);
			a.s++;
			continue;
		}
		if (m->conv == IM_C_MEM || m->conv == IM_C_MEMHEX) {
			n = dump_len(&f, c->vm->strcap);
			*size += blob_size(n);
			if (at) {
				if (read_memory(c, f.flags, at + 4, (u64)*a.i, n))
					return -1;
				at = put_blob(at, NULL, n);
			}
		}
		a.i++;
	}
	return 0;
}

notrace int vm_print_dumps(struct vm_ctx *c, u32 fmt, const s64 *ri, const struct vm_slot *ss)
{
	const struct im_fmt *t = &c->prog->fmt[fmt];
	u32 size = 8 + 8 * t->ni, blobs;
	struct rec *r;
	u64 *body;

	put_blobs(c, t, ri, ss, NULL, &blobs);
	r = vm_reserve(c, RING_DATA, REC_PRINT, size + blobs);
	if (!r)
		return 0;
	body = (u64 *)(r + 1);
	body[0] = fmt;
	memcpy(body + 1, ri, 8 * (size_t)t->ni);
	if (put_blobs(c, t, ri, ss, (u8 *)body + size, &blobs)) {
		vm_discard(c, RING_DATA, r);
		return -1;
	}
	vm_commit(c, RING_DATA);
	return 0;
}

/* -- in the loader ------------------------------------------------------------ */

#ifndef __KERNEL__

static size_t render_print(const struct vm_prog *p, const u8 *body, size_t len, struct vm_out *o,
			   struct source *a)
{
	const struct im_fmt *t;
	u32 fmt, k;

	if (len < 8)
		return 0;
	memcpy(&fmt, body, 4);
	if (fmt >= prog_n(p, IM_S_FMT))
		return 0;
	t = &p->fmt[fmt];
	if (8 + 8 * (size_t)t->ni > len)
		return 0;
	a->i = (const s64 *)(body + 8);
	a->at = body + 8 + 8 * (size_t)t->ni;
	a->end = body + len;
	for (k = 0; k < t->count; k++)
		if (put_item(o, p, &p->item[t->first + k], a))
			break;
	return o->len;
}

static size_t render_hist(const struct vm_prog *p, const u8 *body, size_t len, struct vm_out *o)
{
	const u32 *head = (const u32 *)body;
	const struct im_global *g;
	size_t at = 8 + sizeof(struct vm_agg);

	if (len < at || head[0] >= prog_n(p, IM_S_GLOBAL))
		return 0;
	g = &p->global[head[0]];
	if (!stat_buckets(g) || len < at + 8 * (size_t)stat_buckets(g))
		return 0;
	hist_text(o, g, &p->h->limits, (const u64 *)(body + at));
	if (head[1])
		out_char(o, '\n');
	return o->len;
}

size_t vm_render(const void *flat, const struct rec *r, char *out, size_t cap,
		 size_t (*sym)(void *arg, u64 addr, char form, char *out, size_t cap), void *arg)
{
	const struct im_header *h = flat;
	const u8 *body = (const u8 *)(r + 1);
	struct vm_out o = { out, 0, cap };
	struct source a = { .sym = sym, .arg = arg };
	struct vm_prog p;
	struct vm_refusal f;
	size_t len;
	u32 n;

	if (r->len < sizeof(*r) || prog_open(&p, flat, h->total_size, &f))
		return 0;
	len = r->len - sizeof(*r);
	switch (r->type) {
	case REC_PRINT:
		return render_print(&p, body, len, &o, &a);
	case REC_HIST:
		return render_hist(&p, body, len, &o);
	case REC_TEXT:
	case REC_WARN:
		if (len < 8)
			return 0;
		memcpy(&n, body, 4);
		out_bytes(&o, (const char *)body + 8, n < len - 8 ? n : len - 8);
		return o.len;
	}
	return 0;
}
#endif
