/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* verify_pass.h - what the passes of the verifier share. Each pass is a file;
 * verify.c calls them in their order. */
#ifndef STPVM_VERIFY_PASS_H
#define STPVM_VERIFY_PASS_H
#include "verify.h"
#include "prog.h"
#include "optable.h"

#define WORK_MAX (1u << 28)

/* possible states of the probe's lock set */
#define L_NEVER	   1
#define L_HELD	   2
#define L_RELEASED 4

/* what is known at one place of the code */
struct vstate {
	u64 r[4], s[4]; /* assigned registers and string slots */
	u16 agg, walk;	/* filled, started */
	u8 lock;	/* L_* that are possible */
	u8 live;	/* reached */
};

/* What a loop's end has lost, because a call in it lies there: its head must not
 * rely on that. */
struct cut {
	u64 r[4], s[4];
};

struct call { /* a CALL instruction */
	u32 from, to, pc;
	u8 b, c;
};

/* how a function touches a global, itself or through what it calls */
#define T_READ	1
#define T_WRITE 2
#define T_ADD	4

struct verifier {
	struct vm_prog *p;
	struct vm_refusal *f;
	/* the function at hand */
	u32 fn, pc;
	const struct im_func *func;
	const u64 *code;
	u32 *label;	      /* per instruction: 1 + state at this jump target, 0 none */
	u16 *cover;	      /* per instruction: 1 + innermost try block, 0 none */
	u8 *catcher;	      /* per instruction: starts a catch block */
	struct vstate *state; /* of the labels */
	struct cut *cut;      /* of the labels */
	u32 nlabels;
	bool again; /* a cut was added: once more from the start */
	struct vstate now;
	/* the whole image */
	struct call *call;
	u32 ncalls;
	u8 *touch;  /* [function][global] T_* */
	u8 *sleepy; /* per function */
	u32 nglobals;
	u64 work;
};

/* the refusal at the place where the verifier stands; returns the error */
int refuse(struct verifier *v, u32 rule, const char *text);
/* where a jump leads, not yet checked; false: no jump */
bool jumps_to(u64 i, u32 pc, s64 *target);

/* verify_word.c: each word by itself, labels of the function at hand */
int verify_words(struct verifier *v);
/* verify_flow.c: along the paths of the function at hand */
int verify_flow(struct verifier *v);
/* verify_calls.c: the whole image */
int verify_touches(struct verifier *v);
int verify_probe_sets(struct verifier *v);
int verify_need(struct verifier *v);
/* verify_cost.c */
int verify_costs(struct verifier *v);

#endif
