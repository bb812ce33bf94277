// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * verify.c - checks the code of an image whose tables prog.c has checked, by
 * the rules of verify.h. Finds out on the way how much frame memory probes
 * can need. Never changes the code.
 */
#include "verify.h"
#include "prog.h"
#include "optable.h"

const struct op_row op_row[OP_MAX] = {
#define OP(name, mn, a, b, c, imm, flags, doc) { K_##a, K_##b, K_##c, M_##imm, flags },
#include "ops.def"
#undef OP
};

enum { PURE = 1, MAYFAIL = 2, SLEEPY = 4 };
struct helper_row {
	char ret;
	u8 where;
	u32 caps;
	const char *args;
};
#define I 'I'
#define S 'S'
#define V 'V'
static const struct helper_row helper_row[H_MAX] = {
#define HELPER(id, name, ret, args, caps, cost, where, doc) { ret, where, caps, args },
#include "helpers.def"
#undef HELPER
};
#undef I
#undef S
#undef V

#define WORK_MAX (1u << 28)
#define TRY_MAX	 256

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

/* What the calls inside of a loop overwrite: all from here on. Its head cannot
 * rely on that, whatever was there before. */
struct cut {
	u16 r, s;
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
	struct vstate now;
	/* the whole image */
	struct call *call;
	u32 ncalls;
	u8 *touch;  /* [function][global] T_* */
	u8 *sleepy; /* per function */
	u32 nglobals;
	u64 work;
};

static int refuse(struct verifier *v, u32 rule, const char *text)
{
	return prog_fault(v->f, -ENOEXEC, rule, v->fn, v->pc, text);
}

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

/* -- what an instruction takes in its argument lists ------------------------ */

static void count_keys(const struct im_global *g, u32 mask, u32 *ni, u32 *ns)
{
	u32 k;

	for (k = 0; k < g->nkeys; k++)
		if (mask >> k & 1) {
			if (g->keys[k] == IM_T_INT)
				++*ni;
			else
				++*ns;
		}
}

void count_args(const struct vm_prog *p, u32 immk, u32 n, u32 *ni, u32 *ns)
{
	const char *a;

	*ni = 0;
	*ns = 0;
	switch (immk) {
	case M_m:
	case M_ms:
		count_keys(&p->global[n], ~0u, ni, ns);
		break;
	case M_fn:
		*ni = p->func[n].ni;
		*ns = p->func[n].ns;
		break;
	case M_h:
		for (a = helper_row[n].args; *a; a++)
			if (*a == 'i')
				++*ni;
			else
				++*ns;
		break;
	case M_fmt:
		*ni = p->fmt[n].ni;
		*ns = p->fmt[n].ns;
		break;
	case M_it:
		count_keys(&p->global[p->iter[n].map], p->iter[n].slice, ni, ns);
		break;
	}
}

/* -- first pass: every word by itself ---------------------------------------- */

static bool in_frame(const struct im_func *fn, u32 kind, u32 n)
{
	switch (kind) {
	case K__:
		return !n;
	case K_Iw:
	case K_Ir:
	case K_Ix:
		return n < fn->nregs;
	case K_Sw:
	case K_Sr:
	case K_Sx:
		return n < fn->nstrs;
	case K_Aw:
	case K_Ar:
		return n < fn->naggs;
	case K_Tw:
	case K_Tr:
		return n < fn->niters;
	}
	return true; /* lists, numbers and jumps: later */
}

static int check_global_use(struct verifier *v, u32 op, u32 immk, const struct im_global *g)
{
	bool ok = false;

	switch (immk) {
	case M_g:
		if (op == OP_GGETS || op == OP_GSETS)
			ok = g->cls == IM_G_STR;
		else
			ok = g->cls == IM_G_INT || g->cls == IM_G_PERCPU;
		break;
	case M_st:
		/* the shape of a histogram may be that of a map of statistics */
		ok = g->cls == IM_G_STAT ||
		     ((op == OP_PRHIST || op == OP_SPHIST) && g->cls == IM_G_STATMAP);
		break;
	case M_m:
		if (op == OP_MHAS || op == OP_MDEL || op == OP_MCLR)
			ok = g->cls == IM_G_MAP || g->cls == IM_G_STATMAP;
		else if (op == OP_MGETS || op == OP_MSETS)
			ok = g->cls == IM_G_MAP && g->type == IM_T_STR;
		else
			ok = g->cls == IM_G_MAP && g->type == IM_T_INT;
		break;
	case M_ms:
		ok = g->cls == IM_G_STATMAP;
		break;
	}
	return ok ? 0 : refuse(v, V_TYPE, "opcode does not work on this kind of global");
}

static int check_helper_use(struct verifier *v, u32 op, u32 n)
{
	const struct helper_row *h = &helper_row[n];
	char want = op == OP_HELPI ? 'I' : op == OP_HELPS ? 'S' : 'V';

	if (h->ret != want)
		return refuse(v, V_TYPE, "helper gives another kind of result");
	if (h->caps & ~v->p->h->caps)
		return refuse(v, V_CAPS, "helper needs a capability that the image does not state");
	if (h->where & SLEEPY)
		v->sleepy[v->fn] = 1;
	if (n == H_SPECULATION || n == H_SPECULATE || n == H_COMMIT || n == H_DISCARD)
		v->p->uses |= USE_SPEC;
	if (n == H_MATCHED || n == H_NGROUPS)
		v->p->uses |= USE_REGEX;
	if (n == H_TOKENIZE || n == H_TOKEN_NEXT)
		v->p->uses |= USE_TOKEN;
	return 0;
}

static int check_imm(struct verifier *v, u32 op, u32 immk, s32 imm)
{
	const struct vm_prog *p = v->p;
	u32 n = (u32)imm, limit;

	switch (immk) {
	case M__:
		return imm ? refuse(v, V_FIELD, "unused field is not zero") : 0;
	case M_k:
		limit = prog_n(p, IM_S_CONST);
		break;
	case M_str:
		limit = prog_n(p, IM_S_STR);
		break;
	case M_g:
	case M_st:
	case M_m:
	case M_ms:
		limit = prog_n(p, IM_S_GLOBAL);
		break;
	case M_fn:
		limit = prog_n(p, IM_S_FUNC);
		break;
	case M_h:
		limit = H_MAX;
		break;
	case M_fmt:
		limit = prog_n(p, IM_S_FMT);
		break;
	case M_it:
		limit = prog_n(p, IM_S_ITER);
		break;
	case M_dfa:
		limit = prog_n(p, IM_S_DFA);
		break;
	default:
		return 0;
	}
	if (n >= limit)
		return refuse(v, V_INDEX, "no such constant, global, function, format or table");
	switch (immk) {
	case M_g:
	case M_st:
	case M_m:
	case M_ms:
		return check_global_use(v, op, immk, &p->global[n]);
	case M_h:
		return check_helper_use(v, op, n);
	case M_fn:
		if (p->func[n].flags & IM_F_HANDLER)
			return refuse(v, V_CALL, "a handler cannot be called");
		break;
	case M_dfa:
		v->p->uses |= USE_REGEX;
		break;
	}
	return 0;
}

static bool memory_size_ok(u32 op, u32 c)
{
	u32 size = c & ~16u;

	if ((op == OP_STM || op == OP_STU) && c & 16)
		return false;
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* numbers whose range is the opcode's own affair */
static int check_numbers(struct verifier *v, u64 i)
{
	const struct vm_prog *p = v->p;
	u32 op = I_OP(i), need = 0;
	s32 imm = I_IMM(i);
	bool ok = true;

	switch (op) {
	case OP_CHARGE:
		ok = imm >= 1 && imm <= 65535;
		break;
	case OP_LOOP:
		if (!I_A(i))
			return refuse(v, V_LOOP, "backward jump that charges nothing");
		break;
	case OP_LOOPLT:
		if (!I_C(i))
			return refuse(v, V_LOOP, "backward jump that charges nothing");
		break;
	case OP_ARG:
		ok = imm >= 0 && imm <= 11;
		break;
	case OP_SEXT:
	case OP_ZEXT:
		ok = I_C(i) >= 1 && I_C(i) <= 64;
		break;
	case OP_AGGET:
		ok = I_C(i) <= 5;
		break;
	case OP_PRHIST:
		ok = I_A(i) <= 1;
		/* fall through */
	case OP_SPHIST:
		ok = ok && p->global[imm].hist;
		break;
	case OP_ITKEY:
	case OP_ITKEYS:
		ok = I_C(i) < 12;
		break;
	case OP_REG:
		ok = imm >= 0 && imm <= 255;
		break;
	case OP_LDM:
		ok = memory_size_ok(op, I_C(i));
		need = CAP_KERNEL_READ;
		break;
	case OP_LDU:
		ok = memory_size_ok(op, I_C(i));
		need = CAP_USER_READ;
		break;
	case OP_STM:
	case OP_STU:
		ok = memory_size_ok(op, I_C(i));
		need = CAP_GURU;
		break;
	case OP_LOCK:
	case OP_UNLOCK:
		if (!(v->func->flags & IM_F_HANDLER))
			return refuse(v, V_LOCK_HELD, "only handlers take and release locks");
		break;
	}
	if (need & ~p->h->caps)
		return refuse(v, V_CAPS, "opcode needs a capability that the image does not state");
	return ok ? 0 : refuse(v, V_FIELD, "number out of range");
}

/* where a jump leads, not yet checked */
static bool jumps_to(u64 i, u32 pc, s64 *target)
{
	const struct op_row *o = &op_row[I_OP(i)];
	s64 next = (s64)pc + 1;

	if (!(o->flags & (J | B)))
		return false;
	if (o->b == K_J)
		*target = next + I_BC(i);
	else if (o->b == K_K)
		*target = next - I_BC(i);
	else
		*target = next + I_IMM(i);
	return true;
}

static int check_word(struct verifier *v, u64 i)
{
	const struct op_row *o;
	u32 op = I_OP(i);
	s64 t;
	int err;

	if (op >= OP_MAX)
		return refuse(v, V_OPCODE, "unknown opcode");
	o = &op_row[op];
	if (!in_frame(v->func, o->a, I_A(i)) || !in_frame(v->func, o->b, I_B(i)) ||
	    !in_frame(v->func, o->c, I_C(i)))
		return refuse(v, o->a == K__ && I_A(i) ? V_FIELD : V_FRAME,
			      "register, slot or unused field out of the frame");
	err = check_imm(v, op, o->imm, I_IMM(i));
	if (!err)
		err = check_numbers(v, i);
	if (err)
		return err;
	if (jumps_to(i, v->pc, &t)) {
		if (t < 0 || t >= v->func->ncode)
			return refuse(v, V_JUMP, "jump out of the function");
		if (o->flags & B ? t > v->pc : t <= v->pc)
			return refuse(v, V_JUMP, "jump in the wrong direction");
		v->label[t] = 1;
	}
	return 0;
}

static int first_pass(struct verifier *v)
{
	const struct im_func *fn = v->func;
	u32 t, k, n = 0;
	int err;

	memset(v->label, 0, 4 * (size_t)fn->ncode);
	memset(v->cover, 0, 2 * (size_t)fn->ncode);
	memset(v->catcher, 0, fn->ncode);
	for (v->pc = 0; v->pc < fn->ncode; v->pc++) {
		err = check_word(v, v->code[v->pc]);
		if (err)
			return err;
	}
	v->pc = 0;
	if (fn->try_count > TRY_MAX)
		return refuse(v, V_COMPLEX, "too many try blocks in one function");
	for (t = fn->try_count; t-- > 0;) { /* outermost first */
		const struct im_try *y = &v->p->try_[fn->try_first + t];

		for (k = y->from; k < y->to; k++)
			v->cover[k] = (u16)(t + 1);
		v->work += y->to - y->from;
		v->label[y->target] = 1;
		v->catcher[y->target] = 1;
	}
	for (k = 0; k < fn->ncode; k++)
		if (v->label[k])
			v->label[k] = ++n;
	memset(v->state, 0, sizeof(*v->state) * (size_t)n);
	memset(v->cut, 0xff, sizeof(*v->cut) * (size_t)n);
	for (v->pc = 0; v->pc < fn->ncode; v->pc++) {
		u64 i = v->code[v->pc];
		const struct op_row *o = &op_row[I_OP(i)];

		if (!(o->flags & B))
			continue;
		t = v->pc + 1 + (o->b == K_K ? -(u32)I_BC(i) : (u32)I_IMM(i));
		v->work += v->pc - t;
		if (v->work > WORK_MAX)
			return refuse(v, V_COMPLEX, "too many loops inside each other");
		for (k = t; k < v->pc; k++) {
			struct cut *c = &v->cut[v->label[t] - 1];
			u64 call = v->code[k];

			if (I_OP(call) != OP_CALL)
				continue;
			if (c->r > I_B(call))
				c->r = I_B(call);
			if (c->s > I_C(call))
				c->s = I_C(call);
		}
	}
	v->pc = 0;
	return 0;
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

static int check_back(struct verifier *v, u32 head)
{
	const struct vstate *h = &v->state[v->label[head] - 1], *n = &v->now;
	u32 w;

	if (!n->live)
		return 0;
	if (!h->live)
		return refuse(v, V_LOOP, "loop whose head is not reached from above");
	for (w = 0; w < 4; w++)
		if (h->r[w] & ~n->r[w] || h->s[w] & ~n->s[w])
			return refuse(v, V_LOOP, "loop loses a register that its head relies on");
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
		/* sorting uses the map's order arrays: nobody else may */
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
		if (v->cut[v->label[v->pc] - 1].r <= 255)
			clear_from(v->state[v->label[v->pc] - 1].r, v->cut[v->label[v->pc] - 1].r);
		if (v->cut[v->label[v->pc] - 1].s <= 255)
			clear_from(v->state[v->label[v->pc] - 1].s, v->cut[v->label[v->pc] - 1].s);
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

static int second_pass(struct verifier *v)
{
	struct vstate *n = &v->now;
	u32 k;
	int err;

	memset(n, 0, sizeof(*n));
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

/* -- the calls ---------------------------------------------------------------- */

static bool charge_work(struct verifier *v, u64 n)
{
	v->work += n;
	return v->work <= WORK_MAX;
}

/* what callees touch, callers touch */
static int spread_touches(struct verifier *v)
{
	bool changed = true;
	u32 k, g;

	while (changed) {
		changed = false;
		if (!charge_work(v, (u64)v->ncalls * (v->nglobals + 1)))
			return refuse(v, V_COMPLEX, "calls are too many to follow");
		for (k = v->ncalls; k-- > 0;) {
			const struct call *e = &v->call[k];
			u8 *to = v->touch + (size_t)e->from * v->nglobals;
			const u8 *from = v->touch + (size_t)e->to * v->nglobals;

			for (g = 0; g < v->nglobals; g++)
				if (from[g] & ~to[g]) {
					to[g] |= from[g];
					changed = true;
				}
			if (v->sleepy[e->to] & ~v->sleepy[e->from]) {
				v->sleepy[e->from] = 1;
				changed = true;
			}
		}
	}
	return 0;
}

static int check_set(struct verifier *v, const struct im_probe *pr, u32 fn)
{
	const u8 *touch = v->touch + (size_t)fn * v->nglobals;
	u32 g, k = pr->lock_first, end = pr->lock_first + pr->lock_count;

	for (g = 0; g < v->nglobals; g++) {
		u8 covered = 0;
		bool percpu = v->p->global[g].cls == IM_G_PERCPU ||
			      v->p->global[g].cls == IM_G_STAT ||
			      v->p->global[g].cls == IM_G_STATMAP;

		while (k < end && v->p->lock[k].global < g)
			k++;
		if (!touch[g])
			continue;
		if (k < end && v->p->lock[k].global == g)
			switch (v->p->lock[k].mode) {
			case IM_L_READ:
				/* of per-CPU data both modes hold every CPU's */
				covered = percpu ? T_READ | T_ADD | T_WRITE : T_READ;
				break;
			case IM_L_WRITE:
				covered = T_READ | T_WRITE | T_ADD;
				break;
			case IM_L_ADD:
				covered = percpu ? T_ADD : 0;
				break;
			}
		if (touch[g] & ~covered)
			return refuse(
				v, V_LOCK_SET,
				"lock set of a probe does not cover what its handler touches");
	}
	return 0;
}

static int check_probe_sets(struct verifier *v)
{
	const struct vm_prog *p = v->p;
	const struct im_probe *last = NULL;
	u32 i;
	int err;

	v->pc = ~0u;
	for (i = 0; i < prog_n(p, IM_S_PROBE); i++) {
		const struct im_probe *pr = &p->probe[i];

		v->fn = pr->func;
		if (v->sleepy[pr->func] && pr->kind != IM_K_BEGIN && pr->kind != IM_K_END &&
		    pr->kind != IM_K_ERROR)
			return refuse(v, V_SLEEPY,
				      "helper that may sleep in a probe that must not");
		if (pr->cond != ~0u && v->sleepy[pr->cond])
			return refuse(v, V_SLEEPY, "helper that may sleep in a condition");
		if (last && last->func == pr->func && last->cond == pr->cond &&
		    last->lock_first == pr->lock_first && last->lock_count == pr->lock_count)
			continue;
		if (!charge_work(v, 2 * (u64)v->nglobals))
			return refuse(v, V_COMPLEX, "too many probes and globals");
		err = check_set(v, pr, pr->func);
		if (!err && pr->cond != ~0u) {
			v->fn = pr->cond;
			err = check_set(v, pr, pr->cond);
		}
		if (err)
			return err;
		last = pr;
	}
	return 0;
}

/* Frame memory of the deepest path: longest paths in the graph of calls with
 * at most MAXNESTING edges; windows overlap the caller's frame. */
static int find_need(struct verifier *v)
{
	struct vm_prog *p = v->p;
	u32 n = prog_n(p, IM_S_FUNC), round, k;
	struct vm_need *old = vmh_alloc(sizeof(*old) * ((size_t)n + 1));
	struct vm_need *cur = vmh_alloc(sizeof(*cur) * ((size_t)n + 1));
	bool changed = true;
	int err = 0;

	if (!old || !cur) {
		err = -ENOMEM;
		goto out;
	}
	for (k = 0; k < n; k++) {
		cur[k].regs = p->func[k].nregs;
		cur[k].strs = p->func[k].nstrs;
		cur[k].aggs = p->func[k].naggs;
		cur[k].iters = p->func[k].niters;
	}
	for (round = 0; changed && round < (u32)p->h->limits.maxnesting; round++) {
		changed = false;
		if (!charge_work(v, (u64)v->ncalls + n)) {
			err = refuse(v, V_COMPLEX, "calls are too many to follow");
			goto out;
		}
		memcpy(old, cur, sizeof(*cur) * (size_t)n);
		for (k = 0; k < v->ncalls; k++) {
			const struct call *e = &v->call[k];
			struct vm_need *to = &cur[e->from], *from = &old[e->to];
			const struct im_func *fn = &p->func[e->from];
#define RAISE(field, value)          \
	if (to->field < (value)) {   \
		to->field = (value); \
		changed = true;      \
	}
			RAISE(regs, e->b + from->regs)
			RAISE(strs, e->c + from->strs)
			RAISE(aggs, fn->naggs + from->aggs)
			RAISE(iters, fn->niters + from->iters)
#undef RAISE
		}
	}
	for (k = 0; k < n; k++) {
		if (p->need.regs < cur[k].regs)
			p->need.regs = cur[k].regs;
		if (p->need.strs < cur[k].strs)
			p->need.strs = cur[k].strs;
		if (p->need.aggs < cur[k].aggs)
			p->need.aggs = cur[k].aggs;
		if (p->need.iters < cur[k].iters)
			p->need.iters = cur[k].iters;
	}
out:
	if (old)
		vmh_free(old);
	if (cur)
		vmh_free(cur);
	return err;
}

/* How many sorted walks over one map can be open at the same time: iterator
 * slots that sort it, of all functions together and of the handler that has
 * most of them. Deeper recursion is an error when running. */
static int find_orders(struct verifier *v)
{
	struct vm_prog *p = v->p;
	u16 *slots = vmh_alloc(2 * (size_t)v->nglobals + 2); /* in the function at hand */
	u8 *most = vmh_alloc((size_t)v->nglobals + 1);	     /* in any handler */
	u32 f, g, pc;

	if (!slots || !most)
		goto out;
	for (f = 0; f < prog_n(p, IM_S_FUNC); f++) {
		const struct im_func *fn = &p->func[f];
		const u64 *code = p->code + fn->code;

		for (pc = 0; fn->niters && pc < fn->ncode; pc++)
			if (I_OP(code[pc]) == OP_ITNEW && p->iter[I_IMM(code[pc])].sort)
				slots[p->iter[I_IMM(code[pc])].map] |= 1u << I_A(code[pc]);
		for (pc = 0; fn->niters && pc < fn->ncode; pc++) {
			u32 n;

			if (I_OP(code[pc]) != OP_ITNEW)
				continue;
			g = p->iter[I_IMM(code[pc])].map;
			for (n = 0; slots[g]; slots[g] &= slots[g] - 1)
				n++;
			if (fn->flags & IM_F_HANDLER)
				most[g] = most[g] < n ? n : most[g];
			else
				p->map_orders[g] += p->map_orders[g] + n < 16 ? n : 0;
		}
	}
	for (g = 0; g < v->nglobals; g++)
		p->map_orders[g] += most[g];
out:
	f = slots && most;
	if (slots)
		vmh_free(slots);
	if (most)
		vmh_free(most);
	return f ? 0 : -ENOMEM;
}

static bool take_tables(struct verifier *v)
{
	const struct vm_prog *p = v->p;
	u32 f, longest = 1, k, targets, most = 1;
	size_t calls = 0;

	for (f = 0; f < prog_n(p, IM_S_FUNC); f++) {
		const struct im_func *fn = &p->func[f];

		targets = fn->try_count;
		for (k = 0; k < fn->ncode; k++) {
			u32 op = I_OP(p->code[fn->code + k]);

			calls += op == OP_CALL;
			if (op < OP_MAX && op_row[op].flags & (J | B))
				targets++;
		}
		if (targets > fn->ncode)
			targets = fn->ncode;
		if (most < targets)
			most = targets;
		if (longest < fn->ncode)
			longest = fn->ncode;
		v->work += fn->ncode;
		if (v->work > WORK_MAX)
			return true; /* functions that share code; refused by the caller */
	}
	v->nglobals = prog_n(p, IM_S_GLOBAL);
	v->label = vmh_alloc(4 * (size_t)longest);
	v->cover = vmh_alloc(2 * (size_t)longest);
	v->catcher = vmh_alloc(longest);
	v->state = vmh_alloc(sizeof(*v->state) * (size_t)most);
	v->cut = vmh_alloc(sizeof(*v->cut) * (size_t)most);
	v->call = vmh_alloc(sizeof(*v->call) * (calls + 1));
	v->touch = vmh_alloc((size_t)prog_n(p, IM_S_FUNC) * v->nglobals + 1);
	v->sleepy = vmh_alloc((size_t)prog_n(p, IM_S_FUNC) + 1);
	return v->label && v->cover && v->catcher && v->state && v->cut && v->call && v->touch &&
	       v->sleepy;
}

static void drop(void *p)
{
	if (p)
		vmh_free(p);
}

int vm_verify(struct vm_prog *p, struct vm_refusal *f)
{
	struct verifier *v = vmh_alloc(sizeof(*v));
	u32 k;
	int err = -ENOMEM;

	if (!v)
		return err;
	v->p = p;
	v->f = f;
	v->fn = ~0u;
	v->pc = ~0u;
	if ((u64)prog_n(p, IM_S_FUNC) * prog_n(p, IM_S_GLOBAL) > WORK_MAX) {
		err = refuse(v, V_COMPLEX, "too many functions and globals");
		goto out;
	}
	if (!take_tables(v))
		goto out;
	err = 0;
	for (k = 0; !err && k < prog_n(p, IM_S_GLOBAL); k++)
		if (p->global[k].hist)
			p->uses |= USE_HIST;
	for (v->fn = 0; !err && v->fn < prog_n(p, IM_S_FUNC); v->fn++) {
		if (v->work > WORK_MAX) {
			err = refuse(v, V_COMPLEX, "too much code to verify");
			break;
		}
		v->func = &p->func[v->fn];
		v->code = p->code + v->func->code;
		err = first_pass(v);
		if (!err)
			err = second_pass(v);
	}
	if (!err) {
		v->fn = ~0u;
		err = spread_touches(v);
	}
	if (!err)
		err = check_probe_sets(v);
	if (!err)
		err = find_need(v);
	if (!err)
		err = find_orders(v);
out:
	drop(v->label);
	drop(v->cover);
	drop(v->catcher);
	drop(v->state);
	drop(v->cut);
	drop(v->call);
	drop(v->touch);
	drop(v->sleepy);
	vmh_free(v);
	return err;
}
