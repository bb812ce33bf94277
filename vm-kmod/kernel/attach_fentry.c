// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_fentry.c - function entries, by one ftrace_ops per session with a
 * filter of all its functions: tens of instructions a hit, and thousands of
 * functions armed in one go. What ftrace refuses, and what needs every machine
 * register, is left to attach_kprobe.c.
 *
 * The hook may run with preemption on and interrupts as they come; its guard is
 * that of stpvm_hit(). Unregistering waits until no CPU and no preempted task
 * is in it any more.
 */
#include <linux/ftrace.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "ipmap.h"
#include "arch.h"
#include "compat/compat.h"

struct fentry {
	struct ftrace_ops ops;
	struct stpvm_session *session;
	struct stpvm_ipmap *map;
	bool registered;
};

static void enter(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
		  struct ftrace_regs *fregs)
{
	struct fentry *f = container_of(ops, struct fentry, ops);
	struct vm_hit hit;

	hit.regs = stpvm_ftrace_regs(fregs);
	hit.args = hit.regs;
	hit.argmap = stpvm_map_func;
	hit.retval = 0;
	hit.caller = parent;
	hit.nargs = NREGS;
	hit.flags = HIT_PARTIAL | HIT_ENTRY | HIT_LIVE;
	hit.sysnr = -1;
	stpvm_ipmap_hit(f->map, f->session, ip, &hit);
}

/*
 * Which of addr[lo, hi) can't ftrace hook? The filter of a scratch ops takes or
 * refuses whole lists, so halves are tried until those to blame stand alone.
 */
static int sieve(struct ftrace_ops *scratch, unsigned long *addr, u32 lo, u32 hi,
		 unsigned long *bad)
{
	u32 mid;
	int err;

	if (lo >= hi)
		return 0;
	err = ftrace_set_filter_ips(scratch, &addr[lo], hi - lo, 0, 1);
	if (!err)
		return 0;
	if (err != -EINVAL)
		return err;
	if (hi - lo == 1) {
		__set_bit(lo, bad);
		return 0;
	}
	cond_resched();
	mid = lo + (hi - lo) / 2;
	return sieve(scratch, addr, lo, mid, bad) ?: sieve(scratch, addr, mid, hi, bad);
}

/* Marks each probe of the kind: ftrace can hook it, or something else must. */
int stpvm_ftrace_sort(struct stpvm_session *s, u32 kind, u8 yes, u8 no)
{
	struct stpvm_ipmap *m = stpvm_ipmap_new(s, kind, VIA_DEFAULT);
	struct ftrace_ops *scratch = kzalloc(sizeof(*scratch), GFP_KERNEL);
	unsigned long *bad = NULL;
	u32 n, lo, hi, mid;
	int err = -ENOMEM;

	if (!m || !scratch)
		goto out;
	bad = kvcalloc(BITS_TO_LONGS(m->sites) + 1, sizeof(long), GFP_KERNEL);
	if (!bad)
		goto out;
	err = sieve(scratch, m->addr, 0, m->sites, bad);
	ftrace_free_filter(scratch);
	for (n = 0; n < s->nprobes && !err; n++) {
		struct stpvm_probe *p = &s->probe[n];

		if (p->kind != kind || p->via != VIA_DEFAULT)
			continue;
		for (lo = 0, hi = m->sites; hi - lo > 1;) {
			mid = lo + (hi - lo) / 2;
			if (m->addr[mid] <= p->addr)
				lo = mid;
			else
				hi = mid;
		}
		p->via = test_bit(lo, bad) ? no : yes;
	}
out:
	kvfree(bad);
	kfree(scratch);
	stpvm_ipmap_free(m);
	return err;
}

static int fentry_arm(struct stpvm_session *s)
{
	struct fentry *f;
	u32 n;
	int err;

	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_FENTRY && s->probe[n].via == VIA_DEFAULT &&
		    s->probe[n].im->arg == IM_AT_REGS)
			s->probe[n].via = VIA_KPROBE;
	if (!stpvm_count(s, IM_K_FENTRY, VIA_DEFAULT))
		return 0;
	err = stpvm_ftrace_sort(s, IM_K_FENTRY, VIA_FTRACE, VIA_KPROBE);
	if (err || !stpvm_count(s, IM_K_FENTRY, VIA_FTRACE))
		return err;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	s->arm[SRC_FENTRY] = f;
	f->session = s;
	f->map = stpvm_ipmap_new(s, IM_K_FENTRY, VIA_FTRACE);
	if (!f->map)
		return -ENOMEM;
	f->ops.func = enter;
	err = ftrace_set_filter_ips(&f->ops, f->map->addr, f->map->sites, 0, 1);
	if (err)
		return err;
	err = register_ftrace_function(&f->ops);
	f->registered = !err;
	return err;
}

static void fentry_disarm(struct stpvm_session *s)
{
	struct fentry *f = s->arm[SRC_FENTRY];

	if (f->registered)
		unregister_ftrace_function(&f->ops);
	f->registered = false;
	ftrace_free_filter(&f->ops);
}

static void fentry_release(struct stpvm_session *s)
{
	struct fentry *f = s->arm[SRC_FENTRY];

	stpvm_ipmap_free(f->map);
	kfree(f);
}

const struct stpvm_source stpvm_fentry_source = {
	.name = "function",
	.arm = fentry_arm,
	.disarm = fentry_disarm,
	.release = fentry_release,
};
