/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * stack.h - the kernel's stack as a value.
 *
 * A stack is a string of its own kind: bytes 1, 0, 'K', 0, then 4 bytes for each
 * address, the low half of it, highest byte first, innermost frame first. Code of
 * the kernel lies in the topmost 2 GiB of addresses, so the high half says
 * nothing. No script can make such a string: its strings end at a NUL.
 *
 * As a key, in a variable, in a record it stays as it is: a fifth of the text, and
 * not cut until MAXSTRINGLEN / 4 addresses. Stacks order as their texts do.
 * Where a byte of it is asked for (an operator, a function), it is the text that
 * SystemTap has: addresses in hex with blanks between them.
 */
#ifndef STPVM_STACK_H
#define STPVM_STACK_H
#include "machine.h"
#include "text.h"

#define STACK_HEAD 4u

bool is_stack(const char *s, u32 n);

/* a stack as text */
void stack_write(struct vm_out *o, const char *s, u32 n);

/* the string, or where it is a stack its text in place n of the context */
const struct vm_slot *text_of(struct vm_ctx *c, const struct vm_slot *s, u32 n);

/* the strings of a helper's arguments as text */
const struct vm_slot *stack_args(struct vm_ctx *c, u32 id, const struct vm_slot *ss);

/* what helpers.def says of BACKTRACE, CALLERS (n frames behind the first, -1 all) and STACK */
void stack_value(struct vm_ctx *c, s64 n, struct vm_slot *out);
s64 stack_frame(struct vm_ctx *c, s64 n);
/* a line for each address in a stack or a text */
void stack_lines(struct vm_ctx *c, const struct vm_slot *s, char form, struct vm_slot *out);
/* SYMBOL */
void symbol_text(struct vm_ctx *c, u64 addr, char form, struct vm_slot *out);

#endif
