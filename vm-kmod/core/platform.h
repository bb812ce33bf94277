/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * platform.h - all that core/ may use from outside. The kernel build
 * (__KERNEL__) takes it from kernel headers, the hosted build from libc.
 * Nothing else of either may be named in core/.
 */
#ifndef STPVM_PLATFORM_H
#define STPVM_PLATFORM_H
#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/string.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <asm/current.h>
#define vm_noinline noinline
/* of functions with a caller in kernel/ that is worth it: all is one unit there */
#define vm_unit_inline inline __attribute__((always_inline))
#define vm_inline      inline __attribute__((always_inline))
/* a word of the current task, at an offset that LOAD has checked */
static vm_inline u32 vm_task_word(u32 at)
{
	return READ_ONCE(*(u32 *)((u8 *)current + at));
}
#else
#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
#include <string.h>
#include <errno.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define vm_noinline __attribute__((noinline))
#define vm_unit_inline
#define vm_inline inline __attribute__((always_inline))
#ifndef notrace
#define notrace
#endif
/* hosted, no fact is a word of a task */
static vm_inline u32 vm_task_word(u32 at)
{
	(void)at;
	return 0;
}
#endif
#endif
