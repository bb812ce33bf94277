// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* mem.c - NUL-terminated strings in kernel and user memory, read in pieces
 * that do not cross into a line behind the one that holds the NUL. */
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
			n = 1;	/* the region may end behind the NUL */
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

notrace int mem_string(struct vm_ctx *c, bool user, u64 addr, s64 most,
		       const struct vm_slot *other, struct vm_slot *out)
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
