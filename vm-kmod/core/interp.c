// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * interp.c - the interpreter: the hot opcodes, calls and errors. The cold
 * opcodes are one call away, in cold.c.
 *
 * Nothing is checked here that the verifier has proved: fields lie in the
 * frame, indices in the tables, types fit. What depends on values is checked:
 * actions, depth of calls, division, full maps, memory.
 *
 * The kernel is built without jump tables, so there the switch is a tree of
 * compares; hosted, the same cases are reached by computed goto.
 */
#include "machine.h"
#include "map.h"
#include "check.h"

/* clang-format off: the cases below read as a table */
#ifdef __KERNEL__
#define vmdispatch         \
	for (;;) {         \
		i = *pc++; \
		switch (I_OP(i))
#define vmend }
#define vmcase(name)    \
	case OP_##name: \
		L_##name : __attribute__((unused));
#define vmcold	default:
#define vmbreak continue
/* what often follows is tried first: one compare in place of the tree */
#define vmexpect(name)                        \
	do {                                  \
		if (I_OP(*pc) == OP_##name) { \
			i = *pc++;            \
			goto L_##name;        \
		}                             \
	} while (0)
#else
#define vmdispatch vmbreak;
#define vmend
#define vmcase(name) L_##name:
#define vmcold \
	L_cold:
#define vmbreak                      \
	do {                         \
		check_step(c, pc);   \
		i = *pc++;           \
		goto *jump[I_OP(i)]; \
	} while (0)
#define vmexpect(name)
#endif

/* clang-format on */

#define RA     r[I_A(i)]
#define RB     r[I_B(i)]
#define RC     r[I_C(i)]
#define SA     (&s[I_A(i)])
#define IMM    ((s64)I_IMM(i))
#define GLOBAL (&c->global[I_IMM(i)])
/* How far a jump goes: loaded beside the instruction, not taken out of it, as
 * what follows a taken jump waits for nothing else. */
#define FAR  jump_imm(pc)
#define NEAR jump_bc(pc)
#define JUMP(when, by)              \
	do {                        \
		if (when)           \
			pc += (by); \
	} while (0)
#define CHARGE(n)                                                 \
	do {                                                      \
		budget -= (n);                                    \
		if (unlikely(budget < 0) && !vm_more(c, &budget)) \
			goto too_many;                            \
	} while (0)

/* the imm of the instruction before pc */
static vm_inline notrace s64 jump_imm(const u64 *pc)
{
	s32 imm;

	memcpy(&imm, (const u8 *)pc - 4, sizeof(imm));
	return imm;
}

/* its b and c */
static vm_inline notrace s64 jump_bc(const u64 *pc)
{
	u16 bc;

	memcpy(&bc, (const u8 *)pc - 6, sizeof(bc));
	return bc;
}

/* the frame's iterators are not started yet */
static notrace void open_frame(struct vm_ctx *c, struct vm_frame *fr)
{
	u32 k;

	for (k = 0; k < fr->f->niters; k++)
		c->walks[fr->walk + k].map = NULL;
	for (k = 0; k < fr->f->naggs; k++)
		c->aggs[fr->agg + k].g = NULL;
}

/* The error in the context was raised by the instruction at `at`: find the
 * innermost catch block for it. NULL: there is none, the handler ends. */
static vm_noinline notrace const u64 *unwind(struct vm_ctx *c, const u64 *at)
{
	const struct vm_prog *p = c->prog;
	u32 k;

	c->fail_pc = at;
	c->fail_depth = c->depth;
	for (;; c->depth--) {
		struct vm_frame *fr = &c->frames[c->depth];
		const struct im_try *y = p->try_ + fr->f->try_first;
		const u64 *code = p->code + fr->f->code;
		u32 pc = (u32)(at - code);

		for (k = 0; k < fr->f->try_count && vm_catchable(c->error); k++, y++)
			if (pc >= y->from && pc < y->to) {
				c->error = E_NONE;
				return code + y->target;
			}
		if (!c->depth)
			return NULL;
		check_drop(c);
		at = fr->ret - 1;
	}
}

/* enter function `f` with its window at register b and slot sc of the caller */
static inline notrace int enter(struct vm_ctx *c, const struct im_func *f, const u64 *ret, u32 b,
				u32 sc)
{
	struct vm_frame *from = &c->frames[c->depth], *to = from + 1;

	if (c->depth >= c->maxdepth)
		return vm_raise(c, E_NESTING, 0);
	/* long functions count for more */
	c->calls += 1 + (f->ncode >> 8);
	if (c->calls > c->plan->actions)
		return vm_raise(c, E_ACTION, 0);
	c->depth++;
	to->ret = ret;
	to->f = f;
	to->r = from->r + b;
	to->s = from->s + sc;
	to->agg = from->agg + from->f->naggs;
	to->walk = from->walk + from->f->niters;
	if (f->naggs | f->niters)
		open_frame(c, to);
	return 0;
}

static notrace s64 percpu_sum(const struct vm_ctx *c, const struct vm_global *g)
{
	u64 sum = 0;
	u32 k;

	for (k = 0; k < c->vm->ncpus; k++)
		sum += *(u64 *)cell_of(c->vm->cpu[k], g);
	return (s64)sum;
}

static notrace void set_global(struct vm_ctx *c, struct vm_global *g, s64 v)
{
	u32 k;

	if (g->g->cls == IM_G_INT) {
		g->ival = v;
		return;
	}
	for (k = 0; k < c->vm->ncpus; k++)
		*(s64 *)cell_of(c->vm->cpu[k], g) = k == c->h.cpu ? v : 0;
}

static inline notrace void add_global(struct vm_ctx *c, struct vm_global *g, s64 v)
{
	u64 *at = g->g->cls == IM_G_INT ? (u64 *)&g->ival : cell_of(c, g);

	*at += (u64)v;
}

/* 0, or -1 and a read fault */
static vm_inline notrace int load_memory(struct vm_ctx *c, u64 addr, u32 how, s64 *out)
{
	u32 size = how & 15, drop = 64 - 8 * size;
	u64 v;

	if (unlikely(vm_read_word(addr, size, &v)))
		return vm_bad_load(c, addr, how, out);
	*out = how & 16 ? (s64)(v << drop) >> drop : (s64)v;
	return 0;
}

notrace int vm_exec(struct vm_ctx *c, const struct im_func *f)
{
#ifndef __KERNEL__
	static const void *const jump[OP_MAX] = {
#define OP(name, ...)	  &&L_##name,
#define OPCOLD(name, ...) &&L_cold,
#include "ops.def"
#undef OP
#undef OPCOLD
	};
#endif
	const u64 *pc = c->prog->code + f->code;
	s64 *r = c->regs;
	struct vm_slot *s = c->slots;
	s64 budget = c->budget;
	const u16 *words = c->words;
	struct vm_frame *fr = c->frames;
	struct vm_global *g;
	u64 i;
	s64 a;
	u32 n;
	int did;

	c->depth = 0;
	fr->f = f; /* the rest of the lowest frame never changes */
	if (f->naggs | f->niters)
		open_frame(c, fr);
	check_start(c);

	/* clang-format off */
#ifdef __KERNEL__
	/* a set that needs no lock is most often the first thing asked for */
	if (I_OP(*pc) == OP_LOCK && c->plan->nolock)
		pc++;
	vmexpect(HELPI);
#endif
	vmdispatch {
	/* moves and arithmetic; unsigned, so that it wraps */
	vmcase(MOV)	RA = RB; vmbreak;
	vmcase(LDI)	RA = IMM; vmbreak;
	vmcase(ADD)	RA = (s64)((u64)RB + (u64)RC); vmbreak;
	vmcase(ADDI)	RA = (s64)((u64)RB + (u64)IMM); vmbreak;
	vmcase(SUB)	RA = (s64)((u64)RB - (u64)RC); vmbreak;
	vmcase(MUL)	RA = (s64)((u64)RB * (u64)RC); vmbreak;
	vmcase(MULI)	RA = (s64)((u64)RB * (u64)IMM); vmbreak;
	vmcase(AND)	RA = RB & RC; vmbreak;
	vmcase(ANDI)	RA = RB & IMM; vmbreak;
	vmcase(OR)	RA = RB | RC; vmbreak;
	vmcase(XOR)	RA = RB ^ RC; vmbreak;
	vmcase(SHLI)	RA = (s64)((u64)RB << (IMM & 63)); vmbreak;
	vmcase(SHRI)	RA = RB >> (IMM & 63); vmbreak;
	/* jumps */
	vmcase(JMP)	pc += FAR; vmbreak;
	vmcase(JEQ)	JUMP(RA == RB, FAR); vmbreak;
	vmcase(JNE)	JUMP(RA != RB, FAR); vmbreak;
	vmcase(JLT)	JUMP(RA < RB, FAR); vmbreak;
	vmcase(JLE)	JUMP(RA <= RB, FAR); vmbreak;
	vmcase(JEQI)	JUMP(RA == IMM, NEAR); vmbreak;
	vmcase(JNEI)	JUMP(RA != IMM, NEAR); vmbreak;
	vmcase(JLTI)	JUMP(RA < IMM, NEAR); vmbreak;
	vmcase(JLEI)	JUMP(RA <= IMM, NEAR); vmbreak;
	vmcase(JGTI)	JUMP(RA > IMM, NEAR); vmbreak;
	vmcase(JGEI)	JUMP(RA >= IMM, NEAR); vmbreak;
	vmcase(CHARGE)	CHARGE(I_IMM(i)); vmbreak;
	vmcase(LOOP)	CHARGE(I_A(i)); pc += FAR; vmbreak;
	vmcase(LOOPLT)	CHARGE(I_C(i)); JUMP(RA < RB, FAR); vmbreak;
	vmcase(LOOPLTI)	CHARGE(1); JUMP(RA < IMM, -NEAR); vmbreak;
	vmcase(INCLT)
		a = RA = (s64)((u64)RA + 1);
		CHARGE(I_C(i));
		JUMP(a < RB, FAR);
		vmbreak;
	/* globals and maps */
	vmcase(GGET)
		g = GLOBAL;
		RA = g->g->cls == IM_G_INT ? g->ival : percpu_sum(c, g);
		vmbreak;
	vmcase(GSET)
		set_global(c, GLOBAL, RA);
		vmexpect(RET);
		vmbreak;
	vmcase(GADD)
		add_global(c, GLOBAL, RA);
		vmbreak;
	vmcase(GADDI)
		add_global(c, GLOBAL, (s8)I_A(i));
		vmbreak;
	vmcase(MGET)
		g = GLOBAL;
		n = map_find(g->map, &RB, &s[I_C(i)]);
		RA = n ? *map_value(g->map, n) : 0;
		vmbreak;
	vmcase(MSET)
		g = GLOBAL;
		n = map_enter(c, g->map, &RB, &s[I_C(i)]);
		if (unlikely(!n))
			goto raised;
		*map_value(g->map, n) = RA;
		vmbreak;
	vmcase(MADD)
		g = GLOBAL;
		n = map_enter(c, g->map, &RB, &s[I_C(i)]);
		if (unlikely(!n))
			goto raised;
		RA = *map_value(g->map, n) = (s64)((u64)*map_value(g->map, n) + (u64)RA);
		vmbreak;
	vmcase(MADDI)
		g = GLOBAL;
		n = map_enter(c, g->map, &RB, &s[I_C(i)]);
		if (unlikely(!n))
			goto raised;
		*map_value(g->map, n) = (s64)((u64)*map_value(g->map, n) + (u64)(s8)I_A(i));
		vmexpect(RET);
		vmbreak;
	vmcase(MHAS)
		RA = map_find(GLOBAL->map, &RB, &s[I_C(i)]) != 0;
		vmbreak;
	vmcase(SADD)
		g = GLOBAL;
		stat_add(g->g, cell_of(c, g), RA);
		vmexpect(RET);
		vmbreak;
	vmcase(MSADD)
		g = GLOBAL;
		n = map_enter(c, g->map, &RB, &s[I_C(i)]);
		if (unlikely(!n))
			goto raised;
		stat_add(g->g, map_cell(g->map, c->h.cpu, n), RA);
		vmexpect(RET);
		vmbreak;
	/* context, calls, output */
	vmcase(ARG)
		n = c->hit->argmap[I_IMM(i)];
		RA = n < c->hit->nargs ? (s64)c->hit->args[n] : 0;
		vmbreak;
	vmcase(HELPI)
		n = words[I_IMM(i)];
		if (n > VM_WORD_TASK)
			RA = vm_task_word(n);
		else if (n)
			RA = n == VM_WORD_CPU ? (s64)c->h.cpu : (s64)vm_task();
		else if (unlikely(help_int(c, (u32)I_IMM(i), &RB, &s[I_C(i)], &RA)))
			goto raised;
		vmexpect(HELPI);
		vmexpect(PRINT);
		vmexpect(MADDI);
		vmexpect(LDM);
		vmbreak;
	vmcase(HELPS)
		if (unlikely(help_str(c, (u32)I_IMM(i), &RB, &s[I_C(i)], SA)))
			goto raised;
		vmexpect(PRINT);
		vmbreak;
	vmcase(HELPV)
		if (unlikely(help_none(c, (u32)I_IMM(i), &RB, &s[I_C(i)])))
			goto raised;
		vmbreak;
	vmcase(PRINT)
		if (unlikely(vm_print(c, (u32)I_IMM(i), &RB, &s[I_C(i)])))
			goto raised;
		vmexpect(RET);
		vmbreak;
	vmcase(CALL)
		f = &c->prog->func[I_IMM(i)];
		if (unlikely(enter(c, f, pc, I_B(i), I_C(i))))
			goto raised;
		r += I_B(i);
		s += I_C(i);
		pc = c->prog->code + f->code;
		vmbreak;
	vmcase(RET)
		if (!c->depth) {
			c->budget = budget;
			return 0;
		}
		fr = &c->frames[c->depth--];
		pc = fr->ret;
		r = fr[-1].r;
		s = fr[-1].s;
		vmbreak;
	vmcase(LOCK)
		if (!c->plan->nolock && !c->held && unlikely(!vm_locks_take(c)))
			goto raised;
		vmbreak;
	vmcase(UNLOCK)
		if (c->held)
			vm_locks_drop(c);
		vmbreak;
	vmcase(SMOV)
		slot_copy(SA, &s[I_B(i)]);
		vmbreak;
	vmcase(SLDK) {
		const struct im_str *k = &c->prog->str[I_IMM(i)];

		SA->p = c->prog->bytes + k->off;
		SA->len = k->len < c->vm->strcap ? k->len : c->vm->strcap;
		vmbreak;
	}
	vmcase(LDM)
		if (unlikely(load_memory(c, (u64)RB + (u64)IMM, I_C(i), &RA)))
			goto raised;
		vmexpect(LDM);
		vmbreak;
	vmcold
		c->budget = budget;
		did = vm_cold(c, i, r, s);
		budget = c->budget;
		if (unlikely(did < 0))
			goto raised;
		JUMP(did, I_IMM(i));
		vmbreak;
	}
too_many:
	vm_raise(c, E_ACTION, 0);
raised:
	pc = unwind(c, pc - 1);
	if (!pc)
		return -1;
	r = c->frames[c->depth].r;
	s = c->frames[c->depth].s;
	vmbreak;
	vmend
	/* clang-format on */
}
