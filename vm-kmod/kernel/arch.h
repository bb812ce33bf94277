/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * arch.h - what of the machine's registers the module knows: where the
 * arguments of functions and system calls lie in struct pt_regs. x86-64.
 */
#ifndef STPVM_ARCH_H
#define STPVM_ARCH_H

#include <linux/ptrace.h>
#include <linux/stddef.h>
#include "../core/vm.h"

#ifndef CONFIG_X86_64
#error "stpvm knows the registers of x86-64 only"
#endif

#define REG_AT(r) (offsetof(struct pt_regs, r) / sizeof(u64))
/* vm_hit.nargs where args points to struct pt_regs: a map says which are arguments */
#define NREGS (sizeof(struct pt_regs) / sizeof(u64))

extern const u8 stpvm_map_plain[12]; /* an array: 0, 1, 2 ... */
extern const u8 stpvm_map_func[12];  /* C functions: di si dx cx r8 r9 */
extern const u8 stpvm_map_sys[12];   /* system calls: di si dx r10 r8 r9 */
extern const u8 stpvm_map_sys32[12]; /* of 32-bit tasks: bx cx dx si di bp */

/* bits of vm_hit.flags, for vmh.c (VM_HIT_HOST) */
#define HIT_PARTIAL 0x10000u /* ftrace saved the argument registers only */
#define HIT_ENTRY   0x20000u /* first instruction: return address is at [sp] */
#define HIT_LIVE    0x40000u /* the probed code goes on with these registers */
#define HIT_CALLER  0x80000u /* host: the stpvm_range of what calls the probes */

/* DWARF numbers that something is known of */
#define DWARF_AX 0
#define DWARF_SP 7
#define DWARF_IP 16

/* offset of a DWARF register in struct pt_regs, -1 none */
int stpvm_dwarf_reg(u32 reg, bool partial);

#endif
