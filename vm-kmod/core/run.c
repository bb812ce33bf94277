// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * run.c - one hit: the context is made ready, the condition asked, the handler
 * run, its error told. In: a probe and where it hit. Takes no memory.
 */
#include "machine.h"
#include "check.h"

/* More than one instruction can charge. */
vm_noinline notrace bool vm_more(struct vm_ctx *c, s64 *budget)
{
	s64 later = c->plan->actions - c->plan->budget - c->dealt;
	s64 portion = later < PORTION ? later : PORTION;

	if (*budget + portion < 0 || !vmh_go_on(c))
		return false;
	c->dealt += portion;
	*budget += portion;
	return true;
}

notrace bool vm_exiting(const struct vm *vm)
{
	return __atomic_load_n(&vm->exiting, __ATOMIC_RELAXED);
}

notrace bool vm_aborted(const struct vm *vm)
{
	return __atomic_load_n(&vm->aborted, __ATOMIC_RELAXED);
}

/* the condition, then the handler: 0, -1 and an error, 1: the condition does not hold */
static vm_noinline notrace int run_on_condition(struct vm_ctx *c)
{
	const struct vm_prog *p = c->vm->prog;
	const struct im_func *f = &p->func[c->probe->cond];

	if (f->flags & IM_F_LOCKED && !vm_locks_take(c))
		return -1;
	if (vm_exec(c, f))
		return -1;
	return c->regs[0] ? vm_exec(c, &p->func[c->probe->func]) : 1;
}

vm_unit_inline notrace enum vm_result vm_run(struct vm_ctx *c, u32 probe, const struct vm_hit *hit)
{
	const struct vm_plan *plan = &c->vm->plan[probe];
	int err;

	if (plan->counter) {
		*(u64 *)(c->cells + plan->cell) += (u64)plan->add;
		return VM_OK;
	}
	c->hit = hit;
	c->probe = plan->probe;
	c->probe_nr = probe;
	c->plan = plan;
	c->error = E_NONE;
	c->budget = plan->budget;
	c->dealt = 0;
	c->calls = 0;
	c->work = plan->work;
	check_hit(c);
	if (plan->tidy) {
		c->tok_len = 0;
		c->match.valid = false;
		c->stack_len = 0;
	}
	err = likely(plan->f) ? vm_exec(c, plan->f) : run_on_condition(c);
	if (c->held)
		vm_locks_drop(c);
	if (likely(!err))
		return VM_OK;
	if (err > 0)
		return VM_SKIP_COND;
	if (c->error == E_ABORT)
		return VM_OK;
	if (c->error == E_LOCK)
		return VM_SKIP_LOCK;
	vm_emit_error(c);
	return VM_ERROR;
}
