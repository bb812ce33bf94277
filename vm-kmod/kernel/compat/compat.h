/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * compat.h - one name for what kernels spell differently. Which spelling this
 * kernel has was found by compiling probes/ (probe.sh), not by its version:
 * stable updates carry interfaces back. No other file has an #ifdef on them
 * but attach_return.c, where a whole mechanism is there or not.
 */
#ifndef STPVM_COMPAT_H
#define STPVM_COMPAT_H

#include <linux/ftrace.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include "config.h"

static __always_inline struct pt_regs *stpvm_ftrace_regs(struct ftrace_regs *fregs)
{
#ifdef HAVE_ARCH_FTRACE_REGS
	return &arch_ftrace_regs(fregs)->regs;
#else
	return &fregs->regs;
#endif
}

static inline void stpvm_hrtimer_setup(struct hrtimer *t,
				       enum hrtimer_restart (*fn)(struct hrtimer *),
				       clockid_t clock, enum hrtimer_mode mode)
{
#ifdef HAVE_HRTIMER_SETUP
	hrtimer_setup(t, fn, clock, mode);
#else
	hrtimer_init(t, clock, mode);
	t->function = fn;
#endif
}

/* the mapping can't be made executable later */
static inline void stpvm_vma_no_exec(struct vm_area_struct *vma)
{
#ifdef HAVE_VM_FLAGS_MOD
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYEXEC);
#else
	vma->vm_flags |= VM_DONTEXPAND | VM_DONTDUMP;
	vma->vm_flags &= ~VM_MAYEXEC;
#endif
}

/* a line for the kernel's trace buffer */
static inline void stpvm_trace_puts(const char *s)
{
#ifdef HAVE_TRACE_PUTS
	__trace_puts(_THIS_IP_, s, strlen(s));
#endif
}

#endif
