/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * verify.h - the rules that an image must keep. Each says what is checked and
 * what that buys. The checks of rule 0 (container: offsets, counts, indices
 * of the tables) are in prog.c; the rest in verify.c, in two linear passes
 * over the code of each function and one over the calls.
 *
 * The code is structured: all jumps go forward but those of LOOP, LOOPLT and
 * LOOPLTI, which charge actions. So one pass in address order sees every
 * instruction after all of its predecessors but the ends of loops, and what a
 * loop's end knows is compared with what its head was told.
 */
#ifndef STPVM_VERIFY_H
#define STPVM_VERIFY_H
#include "vm.h"

enum vm_rule {
	V_CONTAINER,	/* tables lie inside the image; see prog.c */
	V_OPCODE,	/* opcode is known. The interpreter needs no default case */
	V_FIELD,	/* unused fields are zero, numbers in range. One encoding
			 * for each meaning; room for later */
	V_FRAME,	/* registers and slots lie in the frame, argument lists whole.
			 * The interpreter needs no bounds check */
	V_INDEX,	/* constant, string, global, function, format ... exists */
	V_TYPE,		/* class and type of the global, result and arguments of the
			 * helper are what the opcode works on */
	V_ASSIGN,	/* nothing is read before it was written on every path. No
			 * frame has to be cleared at a call */
	V_JUMP,		/* targets are inside the function; forward where the opcode
			 * says forward. Every path ends, apart from loops */
	V_LOOP,		/* a backward jump charges at least 1 action, and everything
			 * that its head relied on holds again. Every cycle is
			 * bounded by MAXACTION */
	V_END,		/* no path runs off the end of the function */
	V_CALL,		/* a call enters a function (no handler), its window starts
			 * inside of the frame. Depth is bounded by MAXNESTING, calls
			 * in number by MAXACTION, when running */
	V_LOCK_HELD,	/* globals are touched only where the lock set is held on
			 * every path; it is not taken again after its release */
	V_LOCK_SET,	/* the probe's set covers whatever its handler and all it
			 * calls touch, in a mode that is strong enough */
	V_LOCK_ORDER,	/* sets are ascending by global. No deadlock */
	V_TRY,		/* catch blocks lie behind their try blocks; CATCH stands
			 * only at the start of one */
	V_CAPS,		/* capabilities of opcodes and helpers are stated by the image,
			 * and the caller has those that the image states */
	V_FORMAT,	/* conversions take as many arguments as the format states */
	V_ITER,		/* iterator specifications fit their map; sorted walks hold
			 * it for writing (they use its order arrays) */
	V_SLEEPY,	/* helpers that may sleep stand only in begin, end and error */
	V_REGEX,	/* states, registers and steps of a DFA lie in its tables */
	V_COMPLEX,	/* verifying takes a bounded time */
};

struct vm_prog;
int vm_verify(struct vm_prog *p, struct vm_refusal *f);

#endif
