// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * stack.c - stacks of the kernel as values, and as text; see stack.h. The host
 * walks the stack, once a hit, however often and in whatever part the handler
 * asks for it.
 */
#include "stack.h"
#include "optable.h"

notrace bool is_stack(const char *s, u32 n)
{
	return n >= STACK_HEAD && !memcmp(s, "\1\0K", STACK_HEAD);
}

static notrace u64 address_at(const char *s)
{
	const u8 *b = (const u8 *)s;
	u32 low = (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3];

	return (u64)(s64)(s32)low;
}

notrace void stack_write(struct vm_out *o, const char *s, u32 n)
{
	const char *end = s + n;

	for (s += STACK_HEAD; end - s >= 4; s += 4) {
		out_hex(o, address_at(s));
		if (end - s >= 8)
			out_char(o, ' ');
	}
}

notrace const struct vm_slot *text_of(struct vm_ctx *c, const struct vm_slot *s, u32 n)
{
	struct vm_slot *t = &c->text[n];
	struct vm_out o = { t->buf, 0, c->vm->strcap };

	if (likely(!c->stack) || !is_stack(s->p, s->len))
		return s;
	stack_write(&o, s->p, s->len);
	t->p = t->buf;
	t->len = (u32)o.len;
	return t;
}

vm_noinline notrace const struct vm_slot *stack_args(struct vm_ctx *c, u32 id,
						     const struct vm_slot *ss)
{
	u32 ints, n, k, stacks = 0;

	if (id == H_PRINT_STACK || id == H_SPRINT_STACK)
		return ss;
	count_args(c->prog, M_h, id, &ints, &n);
	for (k = 0; k < n; k++)
		stacks += is_stack(ss[k].p, ss[k].len);
	if (!stacks)
		return ss;
	for (k = 0; k < n; k++)
		if (text_of(c, &ss[k], k) == &ss[k])
			slot_set(c, &c->text[k], ss[k].p, ss[k].len);
	return c->text;
}

/* frames of the stack at this hit, in c->stack behind its head */
static notrace u32 frames(struct vm_ctx *c)
{
	u32 most = (u32)c->prog->h->limits.maxbacktrace, room;

	if (!c->stack_len) {
		room = (c->vm->strcap - STACK_HEAD) / 4;
		memcpy(c->stack, "\1\0K", STACK_HEAD);
		c->stack_len = STACK_HEAD + 4 * vmh_stack(c, c->hit, (u8 *)c->stack + STACK_HEAD,
							  most < room ? most : room);
	}
	return (c->stack_len - STACK_HEAD) / 4;
}

notrace void stack_value(struct vm_ctx *c, s64 n, struct vm_slot *out)
{
	u32 all = frames(c);

	if (n < 0 || n >= all)
		n = (s64)all - 1;
	/* no frames: the empty string */
	slot_set(c, out, c->stack, all ? STACK_HEAD + 4 * (u32)(n + 1) : 0);
}

notrace s64 stack_frame(struct vm_ctx *c, s64 n)
{
	if (n < 0 || n >= frames(c))
		return 0;
	return (s64)address_at(c->stack + STACK_HEAD + 4 * n);
}

/* -- symbols --------------------------------------------------------------------- */

notrace void symbol_text(struct vm_ctx *c, u64 addr, char form, struct vm_slot *out)
{
	size_t n = vmh_symbol(c, addr, form, c->spare, c->vm->strcap + 1);

	slot_adopt_spare(c, out, n < c->vm->strcap ? (u32)n : c->vm->strcap);
}

/* the next number in hex of a text; false: there is none */
static notrace bool next_number(const char **at, const char *end, u64 *out)
{
	const char *s = *at;
	u32 d, digits = 0;

	*out = 0;
	for (; s < end; s++) {
		d = *s >= '0' && *s <= '9'   ? (u32)(*s - '0')
		    : *s >= 'a' && *s <= 'f' ? (u32)(*s - 'a') + 10
		    : *s >= 'A' && *s <= 'F' ? (u32)(*s - 'A') + 10
					     : 16;
		if (d < 16) {
			*out = *out << 4 | d;
			digits++;
		} else if (*s == 'x') {
			digits = 0;
		} else if (digits) {
			break;
		}
	}
	*at = s;
	return digits;
}

notrace void stack_lines(struct vm_ctx *c, const struct vm_slot *s, char form, struct vm_slot *out)
{
	const char *at = s->p, *end = s->p + s->len;
	bool packed = is_stack(s->p, s->len);
	u32 cap = c->vm->strcap;
	size_t len = 0, n;
	u64 addr;

	if (packed)
		at += STACK_HEAD;
	while (len < cap) {
		if (!packed) {
			if (!next_number(&at, end, &addr))
				break;
		} else {
			if (end - at < 4)
				break;
			addr = address_at(at);
			at += 4;
		}
		n = vmh_symbol(c, addr, form, c->spare + len, cap + 1 - len);
		len += n < cap - len ? n : cap - len;
		if (len < cap)
			c->spare[len++] = '\n';
	}
	slot_adopt_spare(c, out, (u32)len);
}
