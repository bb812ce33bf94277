// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * verify_cost.c - last pass of the verifier: whether a probe that states a
 * worst case has one. In: the calls, and what the flow pass found of each
 * function. Statements are not seen in code: what can be found out again is
 * that nothing in it repeats, and what it charges.
 */
#include "verify_pass.h"

/* What a function charges at most, itself and through those it calls; ENDLESS
 * when it repeats anything. */
#define ENDLESS (~0ull)

/* code without loops: each charge in it is made once at most */
static u64 own_charges(const struct vm_prog *p, const struct im_func *f)
{
	const u64 *code = p->code + f->code;
	u64 sum = 0;
	u32 k;

	for (k = 0; k < f->ncode; k++) {
		if (op_row[I_OP(code[k])].flags & B)
			return ENDLESS;
		if (I_OP(code[k]) == OP_CHARGE)
			sum += (u32)I_IMM(code[k]);
	}
	return sum;
}

static u64 sum_of(u64 a, u64 b)
{
	u64 sum;

	/* calls of calls multiply: more than fits is as good as no end */
	return __builtin_add_overflow(a, b, &sum) ? ENDLESS : sum;
}

/*
 * Callees before callers: a function is settled when all that it calls are.
 * What never settles stands in a cycle of calls or leads into one. open[f]
 * counts the calls in f whose callee is not settled.
 */
static int settle(struct verifier *v, u64 *most, u32 *open)
{
	u32 n = prog_n(v->p, IM_S_FUNC), k, left = v->ncalls, before;
	bool *seen = vmh_alloc((size_t)v->ncalls + 1);
	int err = 0;

	if (!seen)
		return -ENOMEM;
	for (k = 0; k < v->ncalls; k++)
		open[v->call[k].from]++;
	do {
		before = left;
		v->work += v->ncalls;
		if (v->work > WORK_MAX) {
			err = refuse(v, V_COMPLEX, "calls are too many to follow");
			break;
		}
		for (k = v->ncalls; k-- > 0;) {
			const struct call *e = &v->call[k];

			if (seen[k] || open[e->to])
				continue;
			seen[k] = true;
			left--;
			open[e->from]--;
			most[e->from] = sum_of(most[e->from], most[e->to]);
		}
	} while (left && left < before);
	for (k = 0; k < n; k++)
		if (open[k])
			most[k] = ENDLESS;
	vmh_free(seen);
	return err;
}

int verify_costs(struct verifier *v)
{
	const struct vm_prog *p = v->p;
	u32 n = prog_n(p, IM_S_FUNC), k;
	u64 *most = vmh_alloc(8 * ((size_t)n + 1));
	u32 *open = vmh_alloc(4 * ((size_t)n + 1));
	int err = -ENOMEM;

	v->pc = ~0u;
	if (!most || !open)
		goto out;
	for (k = 0; k < n; k++)
		most[k] = own_charges(p, &p->func[k]);
	err = settle(v, most, open);
	for (k = 0; !err && k < prog_n(p, IM_S_PROBE); k++) {
		const struct im_probe *pr = &p->probe[k];

		v->fn = pr->func;
		if (pr->cost && most[pr->func] == ENDLESS)
			err = refuse(v, V_COST, "a worst case is stated for code that repeats");
		else if (pr->cost && most[pr->func] > pr->cost)
			err = refuse(v, V_COST, "the stated worst case is less than is charged");
	}
out:
	if (most)
		vmh_free(most);
	if (open)
		vmh_free(open);
	return err;
}
