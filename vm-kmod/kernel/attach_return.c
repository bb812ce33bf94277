// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_return.c - function returns. One fprobe for all of them where the
 * kernel has it (armed in bulk); else, and for what ftrace can't hook or a probe
 * with its own maxactive, a kretprobe each. Both run the handler non-preemptible
 * in the trampoline that stands in for the return address.
 */
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "ipmap.h"
#include "arch.h"
#include "compat/compat.h"

struct ret {
	struct kretprobe k;
	struct stpvm_probe *p;
};

/* what the kernel keeps for one call that is under way */
#define INSTANCE_BYTES (sizeof(struct kretprobe_instance) + sizeof(struct entry_args))

struct rets {
	u32 count, armed;
	u64 bytes; /* of all instances, taken from the session's budget */
	struct kretprobe **list;
	struct ret *ret;
#ifdef HAVE_FPROBE
	struct fprobe fp;
	struct stpvm_session *session;
	struct stpvm_ipmap *map;
	bool registered;
#endif
};

/* the argument registers as they were at entry, kept with the instance */
struct entry_args {
	u64 arg[6];
};

static __always_inline void keep(struct entry_args *e, const struct pt_regs *regs)
{
	e->arg[0] = regs->di;
	e->arg[1] = regs->si;
	e->arg[2] = regs->dx;
	e->arg[3] = regs->cx;
	e->arg[4] = regs->r8;
	e->arg[5] = regs->r9;
}

static __always_inline void fill(struct vm_hit *hit, struct pt_regs *regs, unsigned long caller,
				 const struct entry_args *e)
{
	hit->regs = regs;
	hit->args = e ? e->arg : NULL;
	hit->argmap = stpvm_map_plain;
	hit->retval = regs_return_value(regs);
	hit->caller = caller;
	hit->nargs = e ? 6 : 0;
	hit->flags = VM_HIT_RETURN;
	hit->sysnr = -1;
	hit->host = NULL;
}

static int kret_enter(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	keep((struct entry_args *)ri->data, regs);
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
	     p->flags & IM_P_ENTRY_ARGS ? (struct entry_args *)ri->data : NULL);
	hit.addr = p->im->addr;
	stpvm_hit(p, &hit);
	return 0;
}

/* SystemTap's KRETACTIVE: how many callers may be inside at one time */
static int max_active(const struct stpvm_probe *p)
{
	if (p->im->arg > 0)
		return min_t(s64, p->im->arg, 65536);
	return max(15u, 6 * num_possible_cpus());
}

static int kret_arm(struct stpvm_session *s, struct rets *rs)
{
	u32 n, all = stpvm_count(s, IM_K_FRETURN, VIA_KPROBE);
	int err;

	if (!all)
		return 0;
	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_FRETURN && s->probe[n].via == VIA_KPROBE)
			rs->bytes += (u64)max_active(&s->probe[n]) * INSTANCE_BYTES;
	err = stpvm_take(s, rs->bytes);
	if (err) {
		rs->bytes = 0;
		strscpy(s->fail_text, "return probes need more memory than the session may have",
			sizeof(s->fail_text));
		return err;
	}
	rs->ret = kvcalloc(all, sizeof(*rs->ret), GFP_KERNEL_ACCOUNT);
	rs->list = kvcalloc(all, sizeof(*rs->list), GFP_KERNEL_ACCOUNT);
	if (!rs->ret || !rs->list)
		return -ENOMEM;
	for (n = 0; n < s->nprobes; n++) {
		struct stpvm_probe *p = &s->probe[n];
		struct ret *r = &rs->ret[rs->count];

		if (p->kind != IM_K_FRETURN || p->via != VIA_KPROBE)
			continue;
		r->p = p;
		r->k.kp.addr = (kprobe_opcode_t *)(unsigned long)p->im->addr;
		r->k.handler = leave;
		r->k.maxactive = max_active(p);
		if (p->flags & IM_P_ENTRY_ARGS) {
			r->k.entry_handler = kret_enter;
			r->k.data_size = sizeof(struct entry_args);
		}
		rs->count++;
		err = within_module(p->im->addr, THIS_MODULE) ? -EINVAL : register_kretprobe(&r->k);
		if (!err)
			rs->list[rs->armed++] = &r->k;
		else
			err = stpvm_refuse(s, p, err,
					   "the kernel allows no return probe on this function");
		err = err ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	return 0;
}

#ifdef HAVE_FPROBE
static int fprobe_enter(struct fprobe *fp, unsigned long ip, unsigned long caller,
			stpvm_fprobe_regs *fregs, void *data)
{
	keep(data, stpvm_fprobe_pt_regs(fregs));
	return 0;
}

static void fprobe_leave(struct fprobe *fp, unsigned long ip, unsigned long caller,
			 stpvm_fprobe_regs *fregs, void *data)
{
	struct rets *rs = container_of(fp, struct rets, fp);
	struct vm_hit hit;

	if (unlikely(!stpvm_live(rs->session)))
		return;
	fill(&hit, stpvm_fprobe_pt_regs(fregs), caller, rs->fp.entry_data_size ? data : NULL);
	stpvm_ipmap_hit(rs->map, rs->session, ip, &hit);
}

static int fprobe_arm(struct stpvm_session *s, struct rets *rs)
{
	u32 n;
	int err;

	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_FRETURN && s->probe[n].via == VIA_DEFAULT &&
		    s->probe[n].im->arg > 0)
			s->probe[n].via = VIA_KPROBE;
	if (!stpvm_count(s, IM_K_FRETURN, VIA_DEFAULT))
		return 0;
	err = stpvm_ftrace_sort(s, IM_K_FRETURN, VIA_FPROBE, VIA_KPROBE);
	if (err || !stpvm_count(s, IM_K_FRETURN, VIA_FPROBE))
		return err;
	rs->session = s;
	rs->map = stpvm_ipmap_new(s, IM_K_FRETURN, VIA_FPROBE);
	if (!rs->map)
		return -ENOMEM;
	rs->fp.exit_handler = fprobe_leave;
	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].via == VIA_FPROBE && s->probe[n].flags & IM_P_ENTRY_ARGS) {
			rs->fp.entry_handler = fprobe_enter;
			rs->fp.entry_data_size = sizeof(struct entry_args);
		}
	stpvm_fprobe_set_active(&rs->fp,
				min(rs->map->sites, 1024u) * max(15u, 6 * num_possible_cpus()));
	err = register_fprobe_ips(&rs->fp, rs->map->addr, rs->map->sites);
	rs->registered = !err;
	return err;
}

static void fprobe_disarm(struct rets *rs)
{
	if (rs->registered)
		unregister_fprobe(&rs->fp);
	rs->registered = false;
}

static void fprobe_release(struct stpvm_session *s, struct rets *rs)
{
	stpvm_ipmap_free(rs->map);
}
#else
static int fprobe_arm(struct stpvm_session *s, struct rets *rs)
{
	u32 n;

	for (n = 0; n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_FRETURN && s->probe[n].via == VIA_DEFAULT)
			s->probe[n].via = VIA_KPROBE;
	return 0;
}

static void fprobe_disarm(struct rets *rs)
{
}

static void fprobe_release(struct stpvm_session *s, struct rets *rs)
{
}
#endif

static int return_arm(struct stpvm_session *s)
{
	struct rets *rs;

	if (!stpvm_count(s, IM_K_FRETURN, VIA_DEFAULT))
		return 0;
	rs = kzalloc(sizeof(*rs), GFP_KERNEL_ACCOUNT);
	if (!rs)
		return -ENOMEM;
	s->arm[SRC_RETURN] = rs;
	return fprobe_arm(s, rs) ?: kret_arm(s, rs);
}

static void return_disarm(struct stpvm_session *s)
{
	struct rets *rs = s->arm[SRC_RETURN];

	if (rs->armed)
		unregister_kretprobes(rs->list, rs->armed);
	fprobe_disarm(rs);
}

/* returns that found no free instance count as skipped */
static void return_release(struct stpvm_session *s)
{
	struct rets *rs = s->arm[SRC_RETURN];
	u32 n;

	for (n = 0; n < rs->count; n++) {
		int missed = rs->ret[n].k.nmissed + rs->ret[n].k.kp.nmissed;

		raw_cpu_ptr(s->cpu)->stats[rs->ret[n].p->index].skipped_busy += missed;
	}
	fprobe_release(s, rs);
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
