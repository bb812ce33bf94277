/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * check.h - asserts, while running, what the verifier has proved. Built into
 * the machine of the tests (STPVM_CHECK); nothing of it is in any other build.
 */
#ifndef STPVM_CHECK_H
#define STPVM_CHECK_H

#include "platform.h"

struct vm_ctx;
/* instructions that were held to their rows so far; 0 where nothing checks */
u64 check_count(void);
#ifdef STPVM_CHECK
/* a probe hits; plan and budget are set */
void check_hit(struct vm_ctx *c);
/* before the instruction at pc runs */
void check_step(struct vm_ctx *c, const u64 *pc);
/* the frame at c->depth is left by an error */
void check_drop(struct vm_ctx *c);
void check_start(struct vm_ctx *c);
#else
static inline void check_hit(struct vm_ctx *c)
{
}
static inline void check_step(struct vm_ctx *c, const u64 *pc)
{
}
static inline void check_drop(struct vm_ctx *c)
{
}
static inline void check_start(struct vm_ctx *c)
{
}
#endif
#endif
