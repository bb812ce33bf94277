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
#include <linux/uaccess.h>
#include <asm/current.h>
#include <asm/vsyscall.h>
#define vm_noinline noinline
/* of functions with a caller in kernel/ that is worth it: all is one unit there */
#define vm_unit_inline inline __attribute__((always_inline))
#define vm_inline      inline __attribute__((always_inline))
/* a word of the current task, at an offset that LOAD has checked */
static vm_inline u32 vm_task_word(u32 at)
{
	return READ_ONCE(*(u32 *)((u8 *)current + at));
}
/* the address of the current task */
static vm_inline u64 vm_task(void)
{
	return (u64)(unsigned long)current;
}
/* a word of kernel memory of 1, 2, 4 or 8 bytes, without the calls that a copy makes */
static vm_inline int vm_read_word(u64 addr, u32 size, u64 *out)
{
	const void *at = (const void *)(unsigned long)addr;
	u32 half;
	u16 quarter;
	u8 byte;

	if (unlikely(addr < TASK_SIZE_MAX + PAGE_SIZE ||
		     !__is_canonical_address(addr, boot_cpu_data.x86_virt_bits) ||
		     (addr & PAGE_MASK) == VSYSCALL_ADDR))
		return -ERANGE;
	pagefault_disable();
	if (likely(size == 8)) {
		__get_kernel_nofault(out, at, u64, fault);
	} else if (likely(size == 4)) {
		__get_kernel_nofault(&half, at, u32, fault);
		*out = half;
	} else if (size == 2) {
		__get_kernel_nofault(&quarter, at, u16, fault);
		*out = quarter;
	} else {
		__get_kernel_nofault(&byte, at, u8, fault);
		*out = byte;
	}
	pagefault_enable();
	return 0;
fault:
	pagefault_enable();
	return -EFAULT;
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
static vm_inline u64 vm_task(void)
{
	return 0;
}
int vmh_read_kernel(void *dst, u64 addr, size_t n); /* vm.h */
static vm_inline int vm_read_word(u64 addr, u32 size, u64 *out)
{
	*out = 0;
	return vmh_read_kernel(out, addr, size);
}
#endif
#endif
