// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * arch.c - tables of arch.h: which member of struct pt_regs holds which
 * argument (System V ABI of x86-64, entry of system calls) and which DWARF
 * register. No code that runs in a handler but one table look-up.
 */
#include "arch.h"

/* beyond nargs: reads as 0 */
#define NO_ARG 0xff

const u8 stpvm_map_plain[12] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

const u8 stpvm_map_func[12] = {
	REG_AT(di), REG_AT(si), REG_AT(dx), REG_AT(cx), REG_AT(r8), REG_AT(r9),
	NO_ARG,	    NO_ARG,	NO_ARG,	    NO_ARG,	NO_ARG,	    NO_ARG,
};

const u8 stpvm_map_sys[12] = {
	REG_AT(di), REG_AT(si), REG_AT(dx), REG_AT(r10), REG_AT(r8), REG_AT(r9),
	NO_ARG,	    NO_ARG,	NO_ARG,	    NO_ARG,	 NO_ARG,     NO_ARG,
};

const u8 stpvm_map_sys32[12] = {
	REG_AT(bx), REG_AT(cx), REG_AT(dx), REG_AT(si), REG_AT(di), REG_AT(bp),
	NO_ARG,	    NO_ARG,	NO_ARG,	    NO_ARG,	NO_ARG,	    NO_ARG,
};

/* in the order of their DWARF numbers (System V ABI, figure 3.36) */
static const struct {
	u8 at;
	bool partial; /* there too when only ftrace's short set was saved */
} dwarf[] = {
	{ REG_AT(ax), true },	{ REG_AT(dx), true },	{ REG_AT(cx), true },
	{ REG_AT(bx), false },	{ REG_AT(si), true },	{ REG_AT(di), true },
	{ REG_AT(bp), true },	{ REG_AT(sp), true },	{ REG_AT(r8), true },
	{ REG_AT(r9), true },	{ REG_AT(r10), false }, { REG_AT(r11), false },
	{ REG_AT(r12), false }, { REG_AT(r13), false }, { REG_AT(r14), false },
	{ REG_AT(r15), false }, { REG_AT(ip), true },	{ REG_AT(flags), false },
	{ REG_AT(ss), false },	{ REG_AT(cs), false }, /* 17 to 19: ours, as helpers.def says */
};

int stpvm_dwarf_reg(u32 reg, bool partial)
{
	if (reg >= ARRAY_SIZE(dwarf) || (partial && !dwarf[reg].partial))
		return -1;
	return dwarf[reg].at;
}
