/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * prog.h - a verified image: the machine's own copy of the flat image with a
 * pointer to each section, and what the verifier found out about it. Read
 * only once made; shared by all CPUs.
 */
#ifndef STPVM_PROG_H
#define STPVM_PROG_H
#include "vm.h"
#include "isa.h"

/* the most frame memory that any probe of the image can need */
struct vm_need {
	u32 regs, strs, aggs, iters;
};

/* what one function, loop, format may have: what runs without a charge in between
 * is bounded, and so is what is looked at when the image is loaded */
#define FUNCTION_MAX  65536u
#define LOOP_MAX      4096u
#define TRY_MAX	      256u
#define FMT_ITEMS_MAX 1024u

/* how many integers a format takes, and what makes its records differ in length */
#define FMT_INTS    0xffu
#define FMT_DUMPS   0x100u
#define FMT_STRINGS 0x200u

/* uses: what memory vm_new has to take */
#define USE_HIST  1u  /* aggregate slots need buckets */
#define USE_SPEC  2u  /* speculation buffers */
#define USE_REGEX 4u  /* match state */
#define USE_TOKEN 8u  /* tokenize() */
#define USE_STACK 16u /* backtrace() and its kin */

struct vm_prog {
	const u8 *image;
	size_t len;
	const struct im_header *h;
	const u64 *code;
	const struct im_func *func;
	const struct im_probe *probe;
	const struct im_global *global;
	const s64 *konst;
	const struct im_str *str;
	const char *bytes;
	const struct im_fmt *fmt;
	const struct im_fmtitem *item;
	const struct im_lock *lock;
	const struct im_try *try_;
	const struct im_iter *iter;
	const struct im_dfa *dfa;
	const u32 *dfadata;
	struct vm_need need;
	u32 uses;
	u16 *fmt_takes; /* per format: how many integers (FMT_INTS), and FMT_* */
};

static inline u32 prog_n(const struct vm_prog *p, enum im_section s)
{
	return p->h->sect[s].count;
}

static inline const char *prog_str(const struct vm_prog *p, u32 n)
{
	return p->bytes + p->str[n].off;
}

/* prog.c: pointers into an image whose container was checked (vm_render uses
 * it on the loader's copy); 0 or a negative errno with `f` filled */
int prog_open(struct vm_prog *p, const void *flat, size_t len, struct vm_refusal *f);
/* fill a fault; returns the error */
int prog_fault(struct vm_refusal *f, int error, u32 rule, u32 func, u32 pc, const char *text);

#endif
