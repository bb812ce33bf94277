// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * verify_word.c - first pass of the verifier: every instruction by itself.
 * Opcode, fields, indices, types and targets; marks the labels of jumps and
 * catch blocks for the second pass.
 */
#include "verify_pass.h"

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
	if (n == H_BACKTRACE || n == H_CALLERS || n == H_STACK)
		v->p->uses |= USE_STACK;
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
	u32 size = c & ~48u;

	if ((op == OP_STM || op == OP_STU) && c & 48)
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
	case OP_INCLT:
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

bool jumps_to(u64 i, u32 pc, s64 *target)
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
		if (t <= v->pc && v->pc - t >= LOOP_MAX)
			return refuse(v, V_COMPLEX, "loop over too much code");
		v->label[t] = 1;
	}
	return 0;
}

int verify_words(struct verifier *v)
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
	v->nlabels = n;
	memset(v->cut, 0, sizeof(*v->cut) * (size_t)n);
	return 0;
}
