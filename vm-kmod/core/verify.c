// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * verify.c - checks the code of an image whose tables prog.c has checked, by
 * the rules of rules.def. Finds out on the way how much frame memory probes
 * can need. Never changes the code.
 */
#include "verify_pass.h"

const struct op_row op_row[OP_MAX] = {
#define OP(name, mn, a, b, c, imm, flags, doc) { K_##a, K_##b, K_##c, M_##imm, flags },
#include "ops.def"
#undef OP
};

int refuse(struct verifier *v, u32 rule, const char *text)
{
	return prog_fault(v->f, -ENOEXEC, rule, v->fn, v->pc, text);
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
		err = verify_words(v);
		if (!err)
			err = verify_flow(v);
	}
	if (!err) {
		v->fn = ~0u;
		err = verify_touches(v);
	}
	if (!err)
		err = verify_probe_sets(v);
	if (!err)
		err = verify_costs(v);
	if (!err)
		err = verify_need(v);
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
