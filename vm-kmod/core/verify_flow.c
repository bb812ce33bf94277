// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * verify_flow.c - second pass of the verifier: what is assigned and which
 * locks are held, along every path, in one run over the code in address order.
 */
#include "verify_pass.h"

static bool get_bit(const u64 *set, u32 n)
{
	return set[n >> 6] >> (n & 63) & 1;
}

static void set_bit_of(u64 *set, u32 n)
{
	set[n >> 6] |= 1ull << (n & 63);
}

/* forget all from n on: a call's window lies over them */
static void clear_from(u64 *set, u32 n)
{
	u32 w;

	for (w = 0; w < 4; w++)
		if (w * 64 >= n)
			set[w] = 0;
		else if (n - w * 64 < 64)
			set[w] &= (1ull << (n - w * 64)) - 1;
}

/* -- second pass: along the paths -------------------------------------------- */

/* `now` also arrives at the label of pc */
static void merge_into(struct verifier *v, u32 pc, const struct vstate *now)
{
	struct vstate *s = &v->state[v->label[pc] - 1];
	u32 w;

	if (!now->live)
		return;
	if (!s->live) {
		*s = *now;
		return;
	}
	for (w = 0; w < 4; w++) {
		s->r[w] &= now->r[w];
		s->s[w] &= now->s[w];
	}
	s->agg &= now->agg;
	s->walk &= now->walk;
	s->lock |= now->lock;
}

static void apply_cut(struct verifier *v, u32 label)
{
	struct vstate *s = &v->state[label];
	u32 w;

	for (w = 0; w < 4; w++) {
		s->r[w] &= ~v->cut[label].r[w];
		s->s[w] &= ~v->cut[label].s[w];
	}
}

static int check_back(struct verifier *v, u32 head)
{
	const struct vstate *h = &v->state[v->label[head] - 1], *n = &v->now;
	struct cut *c = &v->cut[v->label[head] - 1];
	u32 w;

	if (!n->live)
		return 0;
	if (!h->live)
		return refuse(v, V_LOOP, "loop whose head is not reached from above");
	for (w = 0; w < 4; w++) {
		if (!(h->r[w] & ~n->r[w]) && !(h->s[w] & ~n->s[w]))
			continue;
		c->r[w] |= h->r[w] & ~n->r[w];
		c->s[w] |= h->s[w] & ~n->s[w];
		v->again = true;
	}
	if (h->agg & ~n->agg || h->walk & ~n->walk)
		return refuse(v, V_LOOP, "loop loses an aggregate or iterator of its head");
	if (n->lock & ~h->lock)
		return refuse(v, V_LOOP, "loop changes what is known of the lock set");
	return 0;
}

static bool reads(u32 kind)
{
	return kind == K_Ir || kind == K_Ix || kind == K_Sr || kind == K_Sx || kind == K_Ar ||
	       kind == K_Tr;
}

static bool assigned(const struct vstate *s, u32 kind, u32 n)
{
	switch (kind) {
	case K_Ir:
	case K_Ix:
		return get_bit(s->r, n);
	case K_Sr:
	case K_Sx:
		return get_bit(s->s, n);
	case K_Ar:
		return s->agg >> n & 1;
	case K_Tr:
		return s->walk >> n & 1;
	}
	return true;
}

static void assign(struct vstate *s, u32 kind, u32 n)
{
	switch (kind) {
	case K_Iw:
	case K_Ix:
		set_bit_of(s->r, n);
		break;
	case K_Sw:
	case K_Sx:
		set_bit_of(s->s, n);
		break;
	case K_Aw:
		s->agg |= 1u << n;
		break;
	case K_Tw:
		s->walk |= 1u << n;
		break;
	}
}

static int check_list(struct verifier *v, const u64 *set, u32 first, u32 count, u32 size)
{
	u32 k;

	if (!count)
		return 0;
	if (first + count > size)
		return refuse(v, V_FRAME, "argument list runs out of the frame");
	for (k = first; k < first + count; k++)
		if (v->now.live && !get_bit(set, k))
			return refuse(v, V_ASSIGN, "argument is not assigned on every path");
	return 0;
}

static int check_reads(struct verifier *v, u64 i)
{
	const struct op_row *o = &op_row[I_OP(i)];
	const struct vstate *s = &v->now;
	u32 ni, ns, ib = I_B(i), sb = I_C(i);
	bool limit_read = true;
	int err;

	if (I_OP(i) == OP_ITNEW) {
		const struct im_iter *t = &v->p->iter[I_IMM(i)];

		limit_read = t->has_limit;
		ib = I_C(i);
		sb = t->slice_s;
	}
	if (s->live) {
		if ((reads(o->a) && !assigned(s, o->a, I_A(i))) ||
		    (reads(o->b) && limit_read && !assigned(s, o->b, I_B(i))) ||
		    (reads(o->c) && !assigned(s, o->c, I_C(i))))
			return refuse(v, V_ASSIGN,
				      "register or slot is not assigned on every path");
	}
	count_args(v->p, o->imm, (u32)I_IMM(i), &ni, &ns);
	if (I_OP(i) == OP_MCLR)
		return 0;
	err = check_list(v, s->r, ib, ni, v->func->nregs);
	if (!err)
		err = check_list(v, s->s, sb, ns, v->func->nstrs);
	return err;
}

/* the global that the instruction touches, and how; ~0 none */
static u32 touched(const struct vm_prog *p, u64 i, u8 *how)
{
	const struct op_row *o = &op_row[I_OP(i)];
	u32 g = (u32)I_IMM(i), op = I_OP(i);
	u8 cls;

	if (!(o->flags & (G | W)))
		return ~0u;
	*how = o->flags & W ? T_WRITE : T_READ;
	switch (o->imm) {
	case M_it:
		/* it changes the map's order */
		if (p->iter[g].sort)
			*how = T_WRITE;
		return p->iter[g].map;
	case M_g:
	case M_st:
	case M_m:
	case M_ms:
		cls = p->global[g].cls;
		if (op == OP_SADD || op == OP_MSADD ||
		    ((op == OP_GADD || op == OP_GADDI) && cls == IM_G_PERCPU))
			*how = T_ADD;
		return g;
	}
	return ~0u; /* through an iterator: ITNEW has named the map */
}

static int check_globals(struct verifier *v, u64 i)
{
	const struct op_row *o = &op_row[I_OP(i)];
	u32 g;
	u8 how = 0;

	if (o->flags & (G | W) && v->now.live && v->now.lock != L_HELD)
		return refuse(v, V_LOCK_HELD, "global is touched outside of its lock");
	g = touched(v->p, i, &how);
	if (g != ~0u)
		v->touch[(size_t)v->fn * v->nglobals + g] |= how;
	return 0;
}

static int step_lock(struct verifier *v, u32 op)
{
	if (!v->now.live)
		return 0;
	if (op == OP_LOCK) {
		if (v->now.lock & L_RELEASED)
			return refuse(v, V_LOCK_HELD, "lock set is taken after its release");
		v->now.lock = L_HELD;
	} else {
		v->now.lock = L_RELEASED;
	}
	return 0;
}

static int step_call(struct verifier *v, u64 i)
{
	const struct im_func *to = &v->p->func[I_IMM(i)];
	struct call *k = &v->call[v->ncalls++];

	k->from = v->fn;
	k->to = (u32)I_IMM(i);
	k->pc = v->pc;
	k->b = I_B(i);
	k->c = I_C(i);
	if (I_B(i) > v->func->nregs || I_C(i) > v->func->nstrs ||
	    (to->ret == 1 && I_B(i) >= v->func->nregs) ||
	    (to->ret == 2 && I_C(i) >= v->func->nstrs))
		return refuse(v, V_CALL, "window of the call starts out of the frame");
	if (to->flags & IM_F_LOCKED && v->now.live && v->now.lock != L_HELD)
		return refuse(v, V_LOCK_HELD,
			      "function is called outside of the lock that it needs");
	clear_from(v->now.r, I_B(i));
	clear_from(v->now.s, I_C(i));
	return 0;
}

static int step(struct verifier *v)
{
	u64 i = v->code[v->pc];
	u32 op = I_OP(i);
	const struct op_row *o = &op_row[op];
	struct vstate before;
	s64 t;
	int err;

	if (v->label[v->pc]) {
		merge_into(v, v->pc, &v->now);
		apply_cut(v, v->label[v->pc] - 1);
		v->now = v->state[v->label[v->pc] - 1];
	}
	if (op == OP_CATCH && !v->catcher[v->pc])
		return refuse(v, V_TRY, "catch that starts no catch block");
	before = v->now;
	err = check_reads(v, i);
	if (!err)
		err = check_globals(v, i);
	if (err)
		return err;
	if (op == OP_LOCK || op == OP_UNLOCK)
		err = step_lock(v, op);
	else if (op == OP_CALL)
		err = step_call(v, i);
	if (err)
		return err;
	if (o->flags & F && v->cover[v->pc]) {
		const struct im_try *y = &v->p->try_[v->func->try_first + v->cover[v->pc] - 1];

		if (op == OP_CALL) { /* the window is lost, whether or not it failed */
			before = v->now;
		}
		merge_into(v, y->target, &before);
	}
	assign(&v->now, o->a, I_A(i));
	if (op == OP_CALL) {
		const struct im_func *to = &v->p->func[I_IMM(i)];

		if (to->ret == 1)
			set_bit_of(v->now.r, I_B(i));
		else if (to->ret == 2)
			set_bit_of(v->now.s, I_C(i));
	}
	if (op == OP_RET && v->now.live &&
	    ((v->func->ret == 1 && !get_bit(v->now.r, 0)) ||
	     (v->func->ret == 2 && !get_bit(v->now.s, 0))))
		return refuse(v, V_ASSIGN, "result is not assigned on every path");
	if (jumps_to(i, v->pc, &t)) {
		if (o->flags & B) {
			err = check_back(v, (u32)t);
			if (err)
				return err;
		} else {
			merge_into(v, (u32)t, &v->now);
		}
	}
	if (o->flags & E)
		v->now.live = 0;
	return 0;
}

static int walk_code(struct verifier *v)
{
	struct vstate *n = &v->now;
	u32 k;
	int err;

	memset(n, 0, sizeof(*n));
	memset(v->state, 0, sizeof(*v->state) * (size_t)v->nlabels);
	for (k = 0; k < v->func->ni; k++)
		set_bit_of(n->r, k);
	for (k = 0; k < v->func->ns; k++)
		set_bit_of(n->s, k);
	n->lock = v->func->flags & IM_F_LOCKED ? L_HELD : L_NEVER;
	n->live = 1;
	for (v->pc = 0; v->pc < v->func->ncode; v->pc++) {
		err = step(v);
		if (err)
			return err;
	}
	v->pc = v->func->ncode - 1;
	if (n->live || !(op_row[I_OP(v->code[v->pc])].flags & E))
		return refuse(v, V_END, "code runs off the end of the function");
	return 0;
}

/* What a loop loses is known at its end only: then once more, with a head that
 * has it not. Each round takes at least one register from one head. */
int verify_flow(struct verifier *v)
{
	u32 calls = v->ncalls;
	int err;

	do {
		v->work += v->func->ncode + 4 * (u64)v->nlabels;
		if (v->work > WORK_MAX)
			return refuse(v, V_COMPLEX, "too much code to verify");
		v->again = false;
		v->ncalls = calls;
		err = walk_code(v);
	} while (!err && v->again);
	return err;
}
