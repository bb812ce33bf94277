// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * verify_calls.c - last pass of the verifier: what functions touch through
 * those they call, whether the probes' lock sets cover it, and how much frame
 * memory the deepest path can need.
 */
#include "verify_pass.h"

static bool charge_work(struct verifier *v, u64 n)
{
	v->work += n;
	return v->work <= WORK_MAX;
}

/* -- the calls ---------------------------------------------------------------- */

/* what callees touch, callers touch */
int verify_touches(struct verifier *v)
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

int verify_probe_sets(struct verifier *v)
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
int verify_need(struct verifier *v)
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
