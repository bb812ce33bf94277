/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* helpers.h - what helpers.c takes from its neighbours: string functions
 * (strfun.c), memory (mem.c), speculation (spec.c). */
#ifndef STPVM_HELPERS_H
#define STPVM_HELPERS_H
#include "machine.h"

/* strfun.c */
s64 str_to_int(const struct vm_slot *s, s64 base);
void str_replace(struct vm_ctx *c, const struct vm_slot *s, const struct vm_slot *what,
		 const struct vm_slot *with, struct vm_slot *out);
void str_tokenize(struct vm_ctx *c, const struct vm_slot *s);
void str_next_token(struct vm_ctx *c, const struct vm_slot *delim, struct vm_slot *out);
/* `more`: the text is longer than n; most: bytes of the result, 0 as fit */
void str_escape(struct vm_ctx *c, const char *s, u32 n, bool more, s64 most, bool quoted,
		struct vm_slot *out);

/* mem.c; `other` instead of an error at a bad address */
int mem_string(struct vm_ctx *c, bool user, u64 addr, s64 most, const struct vm_slot *other,
	       struct vm_slot *out);
void mem_quoted(struct vm_ctx *c, bool user, u64 addr, s64 in, s64 out_most, struct vm_slot *out);
/* exactly n bytes, NULs and all */
void mem_buffer_quoted(struct vm_ctx *c, bool user, u64 addr, s64 n, s64 out_most,
		       struct vm_slot *out);
/* characters of `unit` (2 or 4) bytes up to a zero, as UTF-8 */
int mem_wide(struct vm_ctx *c, bool user, u64 addr, s64 unit, struct vm_slot *out);
/* size 1, 2, 4 or 8; negative: the value has a sign */
int mem_read(struct vm_ctx *c, bool user, u64 addr, s64 size, s64 *out);
int mem_write(struct vm_ctx *c, bool user, u64 addr, s64 size, s64 value);
int mem_write_string(struct vm_ctx *c, bool user, u64 addr, s64 most, const struct vm_slot *s);

/* spec.c */
int spec_new(struct vm *vm);
void spec_free(struct vm *vm);
int spec_begin(struct vm_ctx *c, s64 *out);
int spec_add(struct vm_ctx *c, s64 id, const struct vm_slot *s);
int spec_end(struct vm_ctx *c, s64 id, bool print);

#endif
