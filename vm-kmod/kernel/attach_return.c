// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_return.c - function returns. What makes a function return to a probe is
 * the kernel's rethook, of which modules can only have kretprobes. Registering
 * a kretprobe for each of a thousand functions takes half a minute, and its way
 * in by a kprobe is dear. So a kretprobe is taken as the owner of a pool:
 *
 *   ftrace ──► enter() ──► pre_handler of the pool's kretprobe: takes an instance
 *                            ──► entered(), and puts the trampoline into the stack
 *   the trampoline ──► left(), the rethook's handler, which is replaced
 *
 * The kretprobe itself is registered disabled, at a function that matters to
 * nobody. One ftrace_ops hooks all functions. Most of them share a pool; a
 * probe with a maxactive has its own. The kernel's own handler is left out
 * because it writes the per-CPU variable that says which kprobe is under way,
 * and here a kprobe may be.
 *
 * What ftrace can't hook, and all functions of a kernel that does kretprobes in another
 * way, get a kretprobe each. Handlers run non-preemptible.
 */
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "ipmap.h"
#include "arch.h"
#include "compat/compat.h"

/* kept with an instance, for one call that is under way */
struct kept {
	u64 of;	    /* pools: where in the map's order its probes begin */
	u64 arg[6]; /* the argument registers, where a probe wants them */
};

/* a function with a kretprobe that is armed */
struct ret {
	struct kretprobe k;
	struct stpvm_probe *p;
};

struct pool {
	struct kretprobe k;
	struct exits *exits;
};

/* functions that ftrace hooks: those that share a pool, or those with their own */
struct exits {
	struct ftrace_ops ops;
	struct stpvm_session *session;
	struct stpvm_ipmap *map;
	struct pool *pool; /* one, or one for each place of the map's order */
	atomic_t missed;
	bool own, keep, registered;
};

struct rets {
	struct exits shared, own;
	u64 bytes; /* of all instances, taken from the session's budget */
	u32 count, registered;
	struct ret *ret;
	struct kretprobe **list; /* all that are registered */
};

/* The most instances of a shared pool: in so many calls may the threads of the machine be. */
#define POOL_MOST 16384u

/* what an instance takes */
#define INSTANCE_BYTES (sizeof(struct kretprobe_instance) + sizeof(struct kept))

static __always_inline void keep(struct kept *c, const struct pt_regs *regs)
{
	c->arg[0] = regs->di;
	c->arg[1] = regs->si;
	c->arg[2] = regs->dx;
	c->arg[3] = regs->cx;
	c->arg[4] = regs->r8;
	c->arg[5] = regs->r9;
}

static __always_inline void fill(struct vm_hit *hit, struct pt_regs *regs, unsigned long caller,
				 const struct kept *c)
{
	hit->regs = regs;
	hit->args = c ? c->arg : NULL;
	hit->argmap = stpvm_map_plain;
	hit->retval = regs_return_value(regs);
	hit->caller = caller;
	hit->nargs = c ? 6 : 0;
	hit->flags = VM_HIT_RETURN;
	hit->sysnr = -1;
}

/* SystemTap's KRETACTIVE: how many callers may be inside at one time */
static int max_active(const struct stpvm_probe *p)
{
	if (p->im->arg > 0)
		return min_t(s64, p->im->arg, 65536);
	return max(15u, 6 * num_possible_cpus());
}

static int take(struct stpvm_session *s, struct rets *rs, u64 instances)
{
	/* later kernels keep a pointer to each instance for each CPU, and room for as many again */
	u64 each = INSTANCE_BYTES + 2 * sizeof(void *) * num_possible_cpus();
	int err = stpvm_take(s, instances * each);

	if (err)
		strscpy(s->fail_text, "return probes need more memory than the session may have",
			sizeof(s->fail_text));
	else
		rs->bytes += instances * each;
	return err;
}

/* Calls whose return will not be seen: of the probes from there to the last one. */
static void skipped(struct exits *h, struct stpvm_cpu *cpu, u32 n)
{
	u32 probe;

	do {
		probe = h->map->order[n++];
		cpu->stats[probe & ~IPMAP_LAST].skipped_busy++;
	} while (!h->own && !(probe & IPMAP_LAST));
}

/* -- a kretprobe each -------------------------------------------------------- */

static int kret_enter(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	keep((struct kept *)ri->data, regs);
	return 0;
}

static int leave(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct kretprobe *k = get_kretprobe(ri);
	struct stpvm_probe *p;
	struct vm_hit hit;

	if (unlikely(!k))
		return 0;
	p = container_of(k, struct ret, k)->p;
	if (unlikely(!stpvm_live(p->session)))
		return 0;
	fill(&hit, regs, get_kretprobe_retaddr(ri),
	     p->flags & IM_P_ENTRY_ARGS ? (struct kept *)ri->data : NULL);
	hit.addr = p->im->addr;
	stpvm_hit(p, &hit);
	return 0;
}

static int kret_arm(struct stpvm_session *s, struct rets *rs)
{
	static const char refusal[] = "the kernel allows no return probe on this function";
	u32 n, all = stpvm_count(s, IM_K_FRETURN, VIA_KPROBE);
	u64 instances = 0;
	int err;

	if (!all)
		return 0;
	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_FRETURN && s->probe[n].via == VIA_KPROBE)
			instances += max_active(&s->probe[n]);
	err = take(s, rs, instances);
	if (err)
		return err;
	rs->ret = kvcalloc(all, sizeof(*rs->ret), GFP_KERNEL_ACCOUNT);
	if (!rs->ret)
		return -ENOMEM;
	for (n = 0; n < s->nprobes; n++) {
		struct stpvm_probe *p = &s->probe[n];
		struct ret *r = &rs->ret[rs->count];

		if (p->kind != IM_K_FRETURN || p->via != VIA_KPROBE)
			continue;
		r->p = p;
		r->k.kp.addr = (kprobe_opcode_t *)(unsigned long)p->im->addr;
		r->k.handler = leave;
		r->k.kp.flags = KPROBE_FLAG_DISABLED;
		r->k.maxactive = max_active(p);
		if (p->flags & IM_P_ENTRY_ARGS) {
			r->k.entry_handler = kret_enter;
			r->k.data_size = sizeof(struct kept);
		}
		rs->count++;
		err = within_module(p->im->addr, THIS_MODULE) ? -EINVAL : register_kretprobe(&r->k);
		if (!err)
			rs->list[rs->registered++] = &r->k;
		else
			err = stpvm_refuse(s, p, err, refusal);
		err = err ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	/* not while others are registered, as with kprobes */
	for (n = 0; n < rs->count; n++) {
		struct stpvm_probe *p = rs->ret[n].p;

		if (p->via == VIA_REFUSED)
			continue;
		err = enable_kretprobe(&rs->ret[n].k);
		if (err)
			err = stpvm_refuse(s, p, err, refusal);
		err = err ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	return 0;
}

/* -- pools ------------------------------------------------------------------- */

#ifdef HAVE_KRETPROBE_RETHOOK
/*
 * Interrupts are off and `busy` is set, so that nothing that fires in the
 * kernel's part can come here again.
 */
static void enter(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
		  struct ftrace_regs *fregs)
{
	struct exits *h = container_of(ops, struct exits, ops);
	struct stpvm_session *s = h->session;
	u32 n = stpvm_ipmap_find(h->map, ip);
	struct stpvm_cpu *cpu;
	struct kprobe *kp;
	unsigned long flags;

	if (unlikely(!stpvm_live(s) || n == IPMAP_EMPTY))
		return;
	raw_local_irq_save(flags);
	cpu = raw_cpu_ptr(s->cpu);
	for (;;) {
		if (unlikely(cpu->busy)) {
			skipped(h, cpu, n);
		} else {
			cpu->busy = 1;
			cpu->entered = n;
			barrier();
			kp = &h->pool[h->own ? n : 0].k.kp;
			kp->pre_handler(kp, stpvm_ftrace_regs(fregs));
			barrier();
			cpu->busy = 0;
			if (unlikely(cpu->entered != IPMAP_EMPTY)) {
				skipped(h, cpu, n);
				/* in the idle task there is no RCU, and so no pool */
				if (rcu_is_watching())
					atomic_inc(&h->missed);
			}
		}
		if (likely(!h->own) || h->map->order[n++] & IPMAP_LAST)
			break;
	}
	raw_local_irq_restore(flags);
}

static int entered(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct pool *pool = container_of(get_kretprobe(ri), struct pool, k);
	struct stpvm_cpu *cpu = raw_cpu_ptr(pool->exits->session->cpu);
	struct kept *c = (struct kept *)ri->data;

	c->of = cpu->entered;
	cpu->entered = IPMAP_EMPTY;
	if (pool->exits->keep)
		keep(c, regs);
	return 0;
}

static __always_inline void left(struct rethook_node *node, struct kretprobe *k,
				 struct pt_regs *regs)
{
	struct exits *h = container_of(k, struct pool, k)->exits;
	struct kept *c = (struct kept *)container_of(node, struct kretprobe_instance, node)->data;
	struct vm_hit hit;

	if (unlikely(!stpvm_live(h->session)))
		return;
	/* the trampoline has put the true return address there */
	fill(&hit, regs, instruction_pointer(regs), h->keep ? c : NULL);
	if (unlikely(h->own)) {
		struct stpvm_probe *p = &h->session->probe[h->map->order[c->of] & ~IPMAP_LAST];

		hit.addr = p->addr;
		stpvm_hit(p, &hit);
		return;
	}
	stpvm_ipmap_run(h->map, h->session, c->of, &hit);
}

#ifdef HAVE_RETHOOK_RET_ADDR
static void on_return(struct rethook_node *node, void *k, unsigned long ret, struct pt_regs *regs)
{
	left(node, k, regs);
}
#else
static void on_return(struct rethook_node *node, void *k, struct pt_regs *regs)
{
	left(node, k, regs);
}
#endif

static int pool_new(struct rets *rs, struct exits *h, struct pool *pool, u32 instances)
{
	int err;

	pool->exits = h;
	/* any function where a kprobe may be; it is not armed */
	pool->k.kp.addr = (kprobe_opcode_t *)register_kretprobe;
	pool->k.kp.flags = KPROBE_FLAG_DISABLED;
	pool->k.entry_handler = entered;
	pool->k.data_size = h->keep ? sizeof(struct kept) : offsetof(struct kept, arg);
	pool->k.maxactive = instances;
	err = register_kretprobe(&pool->k);
	if (err)
		return err;
	rs->list[rs->registered++] = &pool->k;
	WRITE_ONCE(pool->k.rh->handler, on_return);
	return 0;
}

static int exits_arm(struct stpvm_session *s, struct rets *rs, struct exits *h, u32 via)
{
	u64 instances = 0;
	u32 n;
	int err;

	if (!stpvm_count(s, IM_K_FRETURN, via))
		return 0;
	h->session = s;
	h->own = via == VIA_POOL;
	h->map = stpvm_ipmap_new(s, IM_K_FRETURN, via);
	if (!h->map)
		return -ENOMEM;
	h->pool = kvcalloc(h->own ? h->map->nprobes : 1, sizeof(*h->pool), GFP_KERNEL_ACCOUNT);
	if (!h->pool)
		return -ENOMEM;
	for (n = 0; n < s->nprobes; n++) {
		if (s->probe[n].kind != IM_K_FRETURN || s->probe[n].via != via)
			continue;
		instances += max_active(&s->probe[n]);
		h->keep |= s->probe[n].flags & IM_P_ENTRY_ARGS;
	}
	if (!h->own)
		instances = min_t(u64, instances, POOL_MOST);
	err = take(s, rs, instances);
	if (!h->own && !err)
		err = pool_new(rs, h, h->pool, instances);
	for (n = 0; h->own && !err && n < h->map->nprobes; n++)
		err = stpvm_interrupted(s)
			      ?: pool_new(rs, h, &h->pool[n],
					  max_active(&s->probe[h->map->order[n] & ~IPMAP_LAST]));
	if (err)
		return err;
	h->ops.func = enter;
	err = ftrace_set_filter_ips(&h->ops, h->map->addr, h->map->sites, 0, 1)
		      ?: register_ftrace_function(&h->ops);
	h->registered = !err;
	return err;
}

static int pools_arm(struct stpvm_session *s, struct rets *rs)
{
	int err = stpvm_ftrace_sort(s, IM_K_FRETURN, VIA_FTRACE, VIA_KPROBE);
	u32 n;

	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_FRETURN && s->probe[n].via == VIA_FTRACE &&
		    s->probe[n].im->arg > 0)
			s->probe[n].via = VIA_POOL;
	return err ?: exits_arm(s, rs, &rs->shared, VIA_FTRACE) ?:
			      exits_arm(s, rs, &rs->own, VIA_POOL);
}
#else
static int pools_arm(struct stpvm_session *s, struct rets *rs)
{
	u32 n;

	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_FRETURN && s->probe[n].via == VIA_DEFAULT)
			s->probe[n].via = VIA_KPROBE;
	return 0;
}
#endif

/* -- the source -------------------------------------------------------------- */

static int return_arm(struct stpvm_session *s)
{
	u32 all = stpvm_count(s, IM_K_FRETURN, VIA_DEFAULT);
	struct rets *rs;

	if (!all)
		return 0;
	rs = kzalloc(sizeof(*rs), GFP_KERNEL_ACCOUNT);
	if (!rs)
		return -ENOMEM;
	s->arm[SRC_RETURN] = rs;
	rs->list = kvcalloc(all, sizeof(*rs->list), GFP_KERNEL_ACCOUNT);
	if (!rs->list)
		return -ENOMEM;
	return pools_arm(s, rs) ?: kret_arm(s, rs);
}

static void exits_disarm(struct exits *h)
{
	if (h->registered)
		unregister_ftrace_function(&h->ops);
	h->registered = false;
	ftrace_free_filter(&h->ops);
}

static void return_disarm(struct stpvm_session *s)
{
	struct rets *rs = s->arm[SRC_RETURN];

	exits_disarm(&rs->shared);
	exits_disarm(&rs->own);
	if (rs->registered)
		unregister_kretprobes(rs->list, rs->registered);
	rs->registered = 0;
}

static void exits_release(struct stpvm_session *s, struct exits *h)
{
	atomic_add(atomic_read(&h->missed), &s->skipped);
	stpvm_ipmap_free(h->map);
	kvfree(h->pool);
}

/* returns that found no free instance count as skipped */
static void return_release(struct stpvm_session *s)
{
	struct rets *rs = s->arm[SRC_RETURN];
	u32 n;

	for (n = 0; n < rs->count; n++) {
		struct ret *r = &rs->ret[n];

		raw_cpu_ptr(s->cpu)->stats[r->p->index].skipped_busy +=
			r->k.nmissed + r->k.kp.nmissed;
		atomic_add(r->k.nmissed, &s->skipped);
	}
	exits_release(s, &rs->shared);
	exits_release(s, &rs->own);
	stpvm_give(s, rs->bytes);
	kvfree(rs->list);
	kvfree(rs->ret);
	kfree(rs);
}

const struct stpvm_source stpvm_return_source = {
	.name = "return",
	.arm = return_arm,
	.disarm = return_disarm,
	.release = return_release,
};
