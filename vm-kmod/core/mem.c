// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* mem.c - integers, strings and buffers in kernel and user memory. What ends
 * at a NUL is read in pieces that do not cross into a line behind the one that
 * holds the NUL. */
#include "helpers.h"
#include "text.h"

#define PIECE 64u

static notrace bool read_piece(bool user, void *to, u64 addr, u32 n)
{
	return user ? !vmh_read_user(to, addr, n) : !vmh_read_kernel(to, addr, n);
}

/* Reads into the spare buffer up to a NUL or `most` bytes; -1 at a bad
 * address. `more` is set when no NUL was met. */
static notrace s64 read_string(struct vm_ctx *c, bool user, u64 addr, u32 most, bool *more)
{
	u32 got = 0, n, k;

	*more = false;
	while (got < most) {
		n = PIECE - (u32)((addr + got) & (PIECE - 1));
		if (n > most - got)
			n = most - got;
		if (!read_piece(user, c->spare + got, addr + got, n)) {
			n = 1; /* the region may end behind the NUL */
			if (!read_piece(user, c->spare + got, addr + got, n))
				return -1;
		}
		for (k = 0; k < n; k++)
			if (!c->spare[got + k])
				return got + k;
		got += n;
	}
	*more = true;
	return got;
}

static notrace u32 bound(const struct vm_ctx *c, s64 most)
{
	return most > 0 && most < c->vm->strcap ? (u32)most : c->vm->strcap;
}

notrace int mem_string(struct vm_ctx *c, bool user, u64 addr, s64 most, const struct vm_slot *other,
		       struct vm_slot *out)
{
	bool more;
	s64 n = read_string(c, user, addr, bound(c, most), &more);

	if (n < 0) {
		if (!other)
			return vm_raise(c, E_READ, (s64)addr);
		slot_copy(out, other);
		return 0;
	}
	slot_adopt_spare(c, out, (u32)n);
	return 0;
}

notrace void mem_quoted(struct vm_ctx *c, bool user, u64 addr, s64 in, s64 out_most,
			struct vm_slot *out)
{
	struct vm_out o = { c->spare, 0, c->vm->strcap };
	bool more;
	s64 n = read_string(c, user, addr, bound(c, in), &more);
	char probe;

	if (n < 0) {
		out_hex(&o, addr);
		slot_adopt_spare(c, out, (u32)o.len);
		return;
	}
	/* a string that ends where the reading stopped is whole */
	if (more && read_piece(user, &probe, addr + (u64)n, 1) && !probe)
		more = false;
	/* out's own buffer takes the raw text: the result is built in the spare one */
	memcpy(out->buf, c->spare, (size_t)n);
	str_escape(c, out->buf, (u32)n, more, out_most, true, out);
}

notrace void mem_buffer_quoted(struct vm_ctx *c, bool user, u64 addr, s64 n, s64 out_most,
			       struct vm_slot *out)
{
	struct vm_out o = { c->spare, 0, c->vm->strcap };
	u32 most = n <= 0 ? 0 : bound(c, n);

	if (most && !read_piece(user, c->spare, addr, most)) {
		out_hex(&o, addr);
		slot_adopt_spare(c, out, (u32)o.len);
		return;
	}
	memcpy(out->buf, c->spare, most);
	str_escape(c, out->buf, most, n > most, out_most, true, out);
}

static notrace void put_utf8(struct vm_out *o, u32 point)
{
	if (point < 0x80) {
		out_char(o, (char)point);
		return;
	}
	if (point < 0x800) {
		out_char(o, (char)(0xc0 | point >> 6));
	} else {
		if (point < 0x10000) {
			out_char(o, (char)(0xe0 | point >> 12));
		} else {
			out_char(o, (char)(0xf0 | point >> 18));
			out_char(o, (char)(0x80 | (point >> 12 & 0x3f)));
		}
		out_char(o, (char)(0x80 | (point >> 6 & 0x3f)));
	}
	out_char(o, (char)(0x80 | (point & 0x3f)));
}

/* one unit of a wide string; false at a bad address */
static notrace bool read_unit(bool user, u64 addr, u32 unit, u32 *v)
{
	u16 half;

	if (unit == 4)
		return read_piece(user, v, addr, 4);
	if (!read_piece(user, &half, addr, 2))
		return false;
	*v = half;
	return true;
}

notrace int mem_wide(struct vm_ctx *c, bool user, u64 addr, s64 unit, struct vm_slot *out)
{
	struct vm_out o = { c->spare, 0, c->vm->strcap };
	u32 size = unit == 4 ? 4 : 2, v, low;

	/* four bytes are the most that a character takes */
	while (o.len + 4 <= o.cap) {
		if (!read_unit(user, addr, size, &v))
			return vm_raise(c, E_READ, (s64)addr);
		if (!v)
			break;
		addr += size;
		if (size == 2 && v >= 0xd800 && v < 0xdc00) {
			if (!read_unit(user, addr, size, &low))
				return vm_raise(c, E_READ, (s64)addr);
			if (low >= 0xdc00 && low < 0xe000) {
				v = 0x10000 + ((v & 0x3ff) << 10 | (low & 0x3ff));
				addr += size;
			}
		}
		if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
			v = 0xfffd; /* no character */
		put_utf8(&o, v);
	}
	slot_adopt_spare(c, out, (u32)o.len);
	return 0;
}

static notrace u32 integer_size(s64 size)
{
	switch (size) {
	case 1:
	case -1:
		return 1;
	case 2:
	case -2:
		return 2;
	case 4:
	case -4:
		return 4;
	}
	return 8;
}

notrace int mem_read(struct vm_ctx *c, bool user, u64 addr, s64 size, s64 *out)
{
	u32 n = integer_size(size), shift = 64 - 8 * n;
	u64 v = 0;

	if (!read_piece(user, &v, addr, n))
		return vm_raise(c, E_READ, (s64)addr);
	*out = size < 0 ? (s64)(v << shift) >> shift : (s64)v;
	return 0;
}

static notrace bool write_piece(bool user, u64 addr, const void *from, u32 n)
{
	return user ? !vmh_write_user(addr, from, n) : !vmh_write_kernel(addr, from, n);
}

notrace int mem_write(struct vm_ctx *c, bool user, u64 addr, s64 size, s64 value)
{
	if (!write_piece(user, addr, &value, integer_size(size)))
		return vm_raise(c, E_WRITE, (s64)addr);
	return 0;
}

notrace int mem_write_string(struct vm_ctx *c, bool user, u64 addr, s64 most,
			     const struct vm_slot *s)
{
	u32 n = s->len;
	char nul = 0;

	/* with a bound, the NUL is written only if it fits: as strncpy has it */
	if (most > 0 && n >= (u64)most)
		n = (u32)most;
	if (n && !write_piece(user, addr, s->p, n))
		return vm_raise(c, E_WRITE, (s64)addr);
	if ((most <= 0 || n < (u64)most) && !write_piece(user, addr + n, &nul, 1))
		return vm_raise(c, E_WRITE, (s64)addr);
	return 0;
}
