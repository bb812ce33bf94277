/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * isa.h - numbers of the opcodes and helpers, made from ops.def and
 * helpers.def. The same order gives build.rs the Rust enums.
 */
#ifndef STPVM_ISA_H
#define STPVM_ISA_H

enum vm_op {
#define OP(name, ...) OP_##name,
#include "ops.def"
#undef OP
	OP_MAX
};

enum vm_helper {
#define HELPER(id, ...) H_##id,
#include "helpers.def"
#undef HELPER
	H_MAX
};

/* fields of an instruction word, as drawn in ops.def */
#define I_OP(i)	 ((u8)(i))
#define I_A(i)	 ((u8)((i) >> 8))
#define I_B(i)	 ((u8)((i) >> 16))
#define I_C(i)	 ((u8)((i) >> 24))
#define I_BC(i)	 ((u16)((i) >> 16))
#define I_IMM(i) ((s32)((i) >> 32))

#endif
