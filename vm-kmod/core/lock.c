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

static notrace bool per_cpu(const struct vm_global *g)
{
	return g->g->cls == IM_G_PERCPU || g->g->cls == IM_G_STAT || g->g->cls == IM_G_STATMAP;
}

/* What the set wants of the CPU locks: 0 none, 1 this one's, 2 all. A full
 * wrapping map of statistics drops entries under every CPU's cells. */
static notrace u32 cpu_locks_wanted(const struct vm_ctx *c)
{
	const struct im_lock *l = c->vm->prog->lock + c->probe->lock_first;
	u32 k, want = 0;

	for (k = 0; k < c->probe->lock_count; k++, l++) {
		const struct vm_global *g = &c->vm->global[l->global];

		if (!per_cpu(g))
			continue;
		if (l->mode != IM_L_ADD || (g->g->cls == IM_G_STATMAP && g->g->flags & IM_GF_WRAP))
			return 2;
		want = 1;
	}
	return want;
}

static notrace void drop_first(struct vm_ctx *c, u32 globals, u32 cpus)
{
	const struct im_lock *l = c->vm->prog->lock + c->probe->lock_first;

	while (cpus-- > 0)
		drop(&c->vm->cpu[cpus]->lock);
	while (globals-- > 0)
		if (!per_cpu(&c->vm->global[l[globals].global]))
			drop(&c->vm->global[l[globals].global].lock);
}

notrace bool vm_locks_take(struct vm_ctx *c)
{
	const struct im_lock *l = c->vm->prog->lock + c->probe->lock_first;
	u32 k, want;

	c->held = true;
	c->cpu_locks = 0;
	for (k = 0; k < c->probe->lock_count; k++) {
		struct vm_global *g = &c->vm->global[l[k].global];

		if (!per_cpu(g) && c->vm->ncpus > 1 && !take(c, &g->lock, l[k].mode != IM_L_READ)) {
			drop_first(c, k, 0);
			goto fail;
		}
	}
	if (c->vm->ncpus == 1) /* the context is lock enough */
		return true;
	want = cpu_locks_wanted(c);
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

notrace void vm_locks_drop(struct vm_ctx *c)
{
	c->held = false;
	if (c->vm->ncpus == 1)
		return;
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
