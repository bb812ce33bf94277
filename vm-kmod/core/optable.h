/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* optable.h - the rows of ops.def as data, for those who check code. */
#ifndef STPVM_OPTABLE_H
#define STPVM_OPTABLE_H
#include "prog.h"

/* clang-format off */
enum op_kind {			/* of the fields a, b, c */
	K__, K_Iw, K_Ir, K_Ix, K_Sw, K_Sr, K_Sx, K_Ib, K_Sb, K_Aw, K_Ar, K_Tw, K_Tr,
	K_N, K_J, K_K
};
enum op_imm {			/* of imm */
	M__, M_i, M_k, M_str, M_g, M_st, M_m, M_ms, M_fn, M_h, M_fmt, M_it, M_dfa, M_fj, M_bj
};
/* clang-format on */
enum op_flag { F = 1, J = 2, B = 4, E = 8, G = 16, W = 32, C = 64, O = 128 };

struct op_row {
	u8 a, b, c, imm, flags;
};

extern const struct op_row op_row[OP_MAX];

/* integers and strings in the argument list that imm (of kind immk, value n) asks for */
void count_args(const struct vm_prog *p, u32 immk, u32 n, u32 *ni, u32 *ns);

#endif
