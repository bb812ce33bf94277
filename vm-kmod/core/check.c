// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * check.c - the interpreter's conscience in tests: a shadow of the registers
 * and slots says which of them this handler has written, and each instruction
 * is held to its row of ops.def before it runs: to the frame, the probe's lock
 * set and the limit of actions. Counts by itself, so that it does not believe
 * what the verifier or the interpreter has got wrong. See check.h.
 */
#include "check.h"
#ifdef STPVM_CHECK
#include "machine.h"
#include "optable.h"

#define ASSERT(x)                         \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static u8 *reg_shadow(struct vm_ctx *c)
{
	return c->shadow + (c->frames[c->depth].r - c->regs);
}

static u8 *str_shadow(struct vm_ctx *c)
{
	return c->shadow + c->vm->prog->need.regs + (c->frames[c->depth].s - c->slots);
}

static u8 *regs_end(struct vm_ctx *c)
{
	return c->shadow + c->vm->prog->need.regs;
}

static u8 *strs_end(struct vm_ctx *c)
{
	return regs_end(c) + c->vm->prog->need.strs;
}

static void forget(struct vm_ctx *c, u8 *reg, u8 *str)
{
	memset(reg, 0, (size_t)(regs_end(c) - reg));
	memset(str, 0, (size_t)(strs_end(c) - str));
}

void check_hit(struct vm_ctx *c)
{
	c->charged = 0;
	c->stepped = 0;
}

void check_start(struct vm_ctx *c)
{
	const struct vm_need *n = &c->vm->prog->need;

	memset(c->shadow, 0, (size_t)n->regs + n->strs);
}

void check_drop(struct vm_ctx *c)
{
	forget(c, reg_shadow(c), str_shadow(c));
}

static void check_slot(const struct vm_ctx *c, const struct vm_slot *s)
{
	const struct vm_prog *p = c->vm->prog;

	ASSERT(s->len <= c->vm->strcap);
	ASSERT(s->p == s->buf || (s->p >= p->bytes && s->p < p->bytes + prog_n(p, IM_S_BYTES)));
}

static void check_field(struct vm_ctx *c, u32 kind, u32 n)
{
	const struct vm_frame *fr = &c->frames[c->depth];

	switch (kind) {
	case K_Iw:
	case K_Ir:
	case K_Ix:
		ASSERT(n < fr->f->nregs);
		ASSERT(kind == K_Iw || reg_shadow(c)[n]);
		break;
	case K_Sw:
	case K_Sr:
	case K_Sx:
		ASSERT(n < fr->f->nstrs);
		ASSERT(kind == K_Sw || str_shadow(c)[n]);
		check_slot(c, &fr->s[n]);
		break;
	case K_Aw:
	case K_Ar:
		ASSERT(n < fr->f->naggs && fr->agg + n < c->vm->prog->need.aggs);
		break;
	case K_Tw:
	case K_Tr:
		ASSERT(n < fr->f->niters && fr->walk + n < c->vm->prog->need.iters);
		break;
	}
}

static void check_list(const u8 *shadow, u32 first, u32 count)
{
	for (; count; count--)
		ASSERT(shadow[first++]);
}

static void write_field(struct vm_ctx *c, u32 kind, u32 n)
{
	if (kind == K_Iw || kind == K_Ix)
		reg_shadow(c)[n] = 1;
	if (kind == K_Sw || kind == K_Sx)
		str_shadow(c)[n] = 1;
}

/* The probe's lock set has the global that is touched, in a mode that allows it. */
static void check_locked(const struct vm_ctx *c, u64 i)
{
	const struct vm_prog *p = c->vm->prog;
	const struct op_row *o = &op_row[I_OP(i)];
	const struct im_lock *l = p->lock + c->probe->lock_first;
	u32 g = (u32)I_IMM(i), op = I_OP(i), k = c->probe->lock_count;
	bool write = o->flags & W, each_cpu, adds;

	if (!(o->flags & (G | W)))
		return;
	ASSERT(c->held || c->plan->nolock);
	if (o->imm == M_it) {
		write = p->iter[g].sort; /* which changes the order */
		g = p->iter[g].map;
	} else if (o->imm != M_g && o->imm != M_st && o->imm != M_m && o->imm != M_ms) {
		return; /* through an iterator, which ITNEW has started */
	}
	for (; k && l->global != g; k--)
		l++;
	ASSERT(k);
	each_cpu = p->global[g].cls == IM_G_PERCPU || p->global[g].cls == IM_G_STAT ||
		   p->global[g].cls == IM_G_STATMAP;
	adds = op == OP_SADD || op == OP_MSADD || op == OP_GADD || op == OP_GADDI;
	ASSERT(l->mode == IM_L_WRITE || (l->mode == IM_L_READ && (each_cpu || !write)) ||
	       (l->mode == IM_L_ADD && each_cpu && adds));
}

static u32 charge_of(u64 i)
{
	switch (I_OP(i)) {
	case OP_CHARGE:
		return (u32)I_IMM(i);
	case OP_LOOP:
		return I_A(i);
	case OP_LOOPLT:
	case OP_INCLT:
		return I_C(i);
	case OP_LOOPLTI:
		return 1;
	case OP_ITNEXT:
		return I_B(i);
	}
	return 0;
}

/* Within the limit of actions; and since code is left backward only by what
 * charges and by calls, each of them allows one more pass over it. */
static void check_limit(struct vm_ctx *c, u64 i)
{
	u64 passes = 2 + (u64)c->calls + (u64)c->charged;

	ASSERT(c->charged <= c->plan->actions && c->calls <= c->plan->actions);
	ASSERT(++c->stepped <= passes * prog_n(c->vm->prog, IM_S_CODE));
	c->charged += charge_of(i);
}

static u64 steps;

u64 check_count(void)
{
	return __atomic_load_n(&steps, __ATOMIC_RELAXED);
}

void check_step(struct vm_ctx *c, const u64 *pc)
{
	const struct vm_prog *p = c->vm->prog;
	const struct vm_frame *fr = &c->frames[c->depth];
	const struct im_func *f = fr->f;
	u32 op = I_OP(*pc), ni, ns, b = I_B(*pc), sc = I_C(*pc);
	const struct op_row *o = &op_row[op];

	__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
	ASSERT(pc >= p->code + f->code && pc < p->code + f->code + f->ncode);
	ASSERT(op < OP_MAX);
	ASSERT(fr->r + f->nregs <= c->regs + p->need.regs);
	ASSERT(fr->s + f->nstrs <= c->slots + p->need.strs);
	check_locked(c, *pc);
	check_limit(c, *pc);
	check_field(c, o->a, I_A(*pc));
	if (op != OP_ITNEW || p->iter[I_IMM(*pc)].has_limit)
		check_field(c, o->b, b);
	check_field(c, o->c, sc);
	count_args(p, o->imm, (u32)I_IMM(*pc), &ni, &ns);
	if (op == OP_ITNEW) {
		b = sc;
		sc = p->iter[I_IMM(*pc)].slice_s;
	}
	if (op != OP_MCLR) {
		check_list(reg_shadow(c), b, ni);
		check_list(str_shadow(c), sc, ns);
		for (ni = 0; ni < ns; ni++)
			check_slot(c, &fr->s[sc + ni]);
	}
	/* those that are read, each time; all of them when a frame is left */
	for (ni = 0; ni < p->need.strs && op == OP_RET; ni++)
		check_slot(c, &c->slots[ni]);
	if (op == OP_CALL) {
		const struct im_func *to = &p->func[I_IMM(*pc)];

		forget(c, reg_shadow(c) + b + to->ni, str_shadow(c) + sc + to->ns);
	} else if (op == OP_RET && c->depth) {
		forget(c, reg_shadow(c) + (f->ret == 1), str_shadow(c) + (f->ret == 2));
	}
	write_field(c, o->a, I_A(*pc));
}
#elif !defined(__KERNEL__)
u64 check_count(void)
{
	return 0;
}
#endif
