// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * lock.c - the locks of globals, and one per CPU for its cells.
 *
 * Handlers may run in NMIs, so nothing here waits for ever: each lock is
 * tried MAXTRYLOCK times with a pause of TRYLOCKDELAY, then the handler is
 * skipped. Sets are taken in the order of globals, then CPU locks in the
 * order of CPUs: two handlers never hold what the other waits for.
 *
 * Word of a lock: 0 free, WRITER, or the number of readers.
 */
#include "machine.h"

#define WRITER 0x80000000u

static notrace bool try_write(struct vm_lock *l)
{
	u32 free = 0;

	return __atomic_load_n(&l->word, __ATOMIC_RELAXED) == 0 &&
	       __atomic_compare_exchange_n(&l->word, &free, WRITER, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static notrace bool try_read(struct vm_lock *l)
{
	u32 now = __atomic_load_n(&l->word, __ATOMIC_RELAXED);

	return now < WRITER - 1 && __atomic_compare_exchange_n(&l->word, &now, now + 1, false,
							       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static notrace bool take(struct vm_ctx *c, struct vm_lock *l, bool write)
{
	const struct im_limits *lim = &c->vm->prog->h->limits;
	s32 tries;

	for (tries = lim->maxtrylock; tries > 0; tries--) {
		if (write ? try_write(l) : try_read(l))
			return true;
		vmh_relax((u32)lim->trylockdelay);
	}
	return false;
}

static notrace void drop(struct vm_lock *l)
{
	if (__atomic_load_n(&l->word, __ATOMIC_RELAXED) == WRITER)
		__atomic_store_n(&l->word, 0, __ATOMIC_RELEASE);
	else
		__atomic_fetch_sub(&l->word, 1, __ATOMIC_RELEASE);
}

static notrace bool is_per_cpu(const struct vm_global *g)
{
	return g->g->cls == IM_G_PERCPU || g->g->cls == IM_G_STAT || g->g->cls == IM_G_STATMAP;
}

/* What the set wants of the CPU locks: 0 none, 1 this one's, 2 all. A full
 * wrapping map of statistics drops entries under every CPU's cells. */
static u8 cpu_locks_wanted(const struct vm *vm, const struct im_probe *pr)
{
	const struct im_lock *l = vm->prog->lock + pr->lock_first;
	u8 want = 0;
	u32 k;

	for (k = 0; k < pr->lock_count; k++, l++) {
		const struct vm_global *g = &vm->global[l->global];

		if (!is_per_cpu(g))
			continue;
		if (l->mode != IM_L_ADD || (g->g->cls == IM_G_STATMAP && g->g->flags & IM_GF_WRAP))
			return 2;
		want = 1;
	}
	return want;
}

/* runs while no other handler does */
static bool alone(const struct im_probe *pr)
{
	return pr->kind == IM_K_BEGIN || pr->kind == IM_K_END || pr->kind == IM_K_ERROR;
}

/* short code that adds to one counter once, and calls and repeats nothing */
static bool adds_once(const struct vm_prog *p, const struct im_func *f)
{
	const u64 *code = p->code + f->code;
	u32 k, adds = 0;

	for (k = 0; k < f->ncode && k < 32; k++)
		switch (I_OP(code[k])) {
		case OP_GADD:
		case OP_GADDI:
			adds++;
			break;
		case OP_CALL:
		case OP_LOOP:
		case OP_LOOPLT:
		case OP_LOOPLTI:
		case OP_INCLT:
			return false;
		}
	return f->ncode <= 32 && adds <= 1;
}

/* `probe ... { x++ }`, the handler that runs most often of all: lock, gaddi, ret. One
 * that does nothing adds nothing to the first cell, which is nobody's. */
static void plan_counter(const struct vm *vm, struct vm_plan *plan, const struct im_func *f)
{
	const u64 *code = vm->prog->code + f->code;
	u32 k = I_OP(code[0]) == OP_LOCK;

	plan->counter = I_OP(code[k]) == OP_RET;
	if (f->ncode < k + 2 || I_OP(code[k]) != OP_GADDI || I_OP(code[k + 1]) != OP_RET ||
	    vm->global[I_IMM(code[k])].g->cls != IM_G_PERCPU)
		return;
	plan->counter = true;
	plan->cell = vm->global[I_IMM(code[k])].cell;
	plan->add = (s8)I_A(code[k]);
}

/*
 * Which probes need no lock for their set. On one CPU, none: the context is lock
 * enough. Else those whose whole set is one counter kept per CPU, which they
 * add to once: the cell is a word that only this CPU's handlers write, so who
 * sums the cells sees the addition or does not. Unless somebody sets the counter
 * while handlers run: that writes other CPUs' cells.
 */
void vm_plan_locks(struct vm *vm)
{
	const struct vm_prog *p = vm->prog;
	u32 n, k, nprobes = prog_n(p, IM_S_PROBE);

	for (n = 0; n < nprobes; n++)
		for (k = 0; k < p->probe[n].lock_count && !alone(&p->probe[n]); k++) {
			const struct im_lock *l = &p->lock[p->probe[n].lock_first + k];

			if (l->mode == IM_L_WRITE)
				vm->global[l->global].is_set = true;
		}
	for (n = 0; n < nprobes; n++) {
		const struct im_probe *pr = &p->probe[n];
		const struct im_lock *l = &p->lock[pr->lock_first];
		struct vm_plan *plan = &vm->plan[n];

		plan->cpu_locks = cpu_locks_wanted(vm, pr);
		plan->nolock = vm->ncpus == 1 || pr->lock_count == 0 ||
			       (pr->lock_count == 1 && l->mode == IM_L_ADD &&
				vm->global[l->global].g->cls == IM_G_PERCPU &&
				!vm->global[l->global].is_set && pr->cond == ~0u &&
				adds_once(p, &p->func[pr->func]));
		if (plan->nolock && pr->cond == ~0u)
			plan_counter(vm, plan, &p->func[pr->func]);
	}
}

static notrace void drop_first(struct vm_ctx *c, u32 globals, u32 cpus)
{
	const struct im_lock *l = c->vm->prog->lock + c->probe->lock_first;

	while (cpus-- > 0)
		drop(&c->vm->cpu[cpus]->lock);
	while (globals-- > 0)
		if (!is_per_cpu(&c->vm->global[l[globals].global]))
			drop(&c->vm->global[l[globals].global].lock);
}

notrace bool vm_locks_take(struct vm_ctx *c)
{
	const struct im_lock *l = c->vm->prog->lock + c->probe->lock_first;
	u32 k, want = c->plan->cpu_locks;

	if (c->plan->nolock)
		return true;
	c->held = true;
	c->cpu_locks = 0;
	for (k = 0; k < c->probe->lock_count; k++) {
		struct vm_global *g = &c->vm->global[l[k].global];

		if (!is_per_cpu(g) && !take(c, &g->lock, l[k].mode != IM_L_READ)) {
			drop_first(c, k, 0);
			goto fail;
		}
	}
	c->cpu_locks = (u8)want;
	if (want == 1) {
		if (take(c, &c->lock, true))
			return true;
		drop_first(c, c->probe->lock_count, 0);
		goto fail;
	}
	for (k = 0; want == 2 && k < c->vm->ncpus; k++)
		if (!take(c, &c->vm->cpu[k]->lock, true)) {
			drop_first(c, c->probe->lock_count, k);
			goto fail;
		}
	return true;
fail:
	c->held = false;
	c->error = E_LOCK;
	return false;
}

/* of a set that was taken and is held */
notrace void vm_locks_drop(struct vm_ctx *c)
{
	c->held = false;
	if (c->cpu_locks == 1)
		drop(&c->lock);
	drop_first(c, c->probe->lock_count, c->cpu_locks == 2 ? c->vm->ncpus : 0);
}

/* a lock held for a few instructions, inside of core */
notrace bool vm_spin(struct vm_ctx *c, struct vm_lock *l)
{
	return c->vm->ncpus == 1 || take(c, l, true);
}

notrace void vm_unspin(struct vm_ctx *c, struct vm_lock *l)
{
	if (c->vm->ncpus > 1)
		drop(l);
}
