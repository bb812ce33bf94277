// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_kprobe.c - probes at an instruction, and function entries that ftrace
 * can't hook: one kprobe each. The kernel checks that the address is the start
 * of an instruction that may be probed; the module adds that it is not its own.
 *
 * All are registered before the first is enabled. A jump in the place of the
 * breakpoint is what the kernel makes of it a moment later, for all that it
 * finds, and holds the lock of kprobes while it waits for every task; enabled
 * one by one while others were checked, they met that wait again and again.
 * (register_kprobes() is a loop over register_kprobe().)
 */
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "attach.h"
#include "arch.h"

struct kp {
	struct kprobe k;
	struct stpvm_probe *p;
};

struct kps {
	u32 count, armed;
	struct kprobe **list; /* of the armed, for unregistering in bulk */
	struct kp kp[];
};

static int pre(struct kprobe *k, struct pt_regs *regs)
{
	struct kp *kp = container_of(k, struct kp, k);
	struct stpvm_probe *p = kp->p;
	struct vm_hit hit;

	if (unlikely(!stpvm_live(p->session)))
		return 0;
	hit.regs = regs;
	hit.args = hit.regs;
	hit.argmap = stpvm_map_func;
	hit.retval = 0;
	hit.addr = p->im->addr;
	hit.caller = 0;
	hit.nargs = NREGS;
	hit.flags = p->kind == IM_K_FENTRY ? HIT_ENTRY | HIT_LIVE : HIT_LIVE;
	hit.sysnr = -1;
	stpvm_hit(p, &hit);
	return 0;
}

static bool mine(const struct stpvm_probe *p)
{
	return (p->kind == IM_K_KPROBE && p->via == VIA_DEFAULT) ||
	       (p->kind == IM_K_FENTRY && p->via == VIA_KPROBE);
}

static int kprobe_arm(struct stpvm_session *s)
{
	static const char refusal[] = "the kernel allows no probe at this address";
	u32 n, all = stpvm_count(s, IM_K_KPROBE, VIA_DEFAULT) +
		     stpvm_count(s, IM_K_FENTRY, VIA_KPROBE);
	struct kps *ks;
	int err;

	if (!all)
		return 0;
	ks = kvzalloc(struct_size(ks, kp, all), GFP_KERNEL_ACCOUNT);
	if (!ks)
		return -ENOMEM;
	s->arm[SRC_KPROBE] = ks;
	ks->list = kvcalloc(all, sizeof(*ks->list), GFP_KERNEL_ACCOUNT);
	if (!ks->list)
		return -ENOMEM;
	for (n = 0; n < s->nprobes; n++) {
		struct stpvm_probe *p = &s->probe[n];
		struct kp *kp = &ks->kp[ks->count];

		if (!mine(p))
			continue;
		kp->p = p;
		kp->k.addr = (kprobe_opcode_t *)(unsigned long)p->im->addr;
		kp->k.pre_handler = pre;
		kp->k.flags = KPROBE_FLAG_DISABLED;
		ks->count++;
		err = within_module(p->im->addr, THIS_MODULE) ? -EINVAL : register_kprobe(&kp->k);
		if (!err)
			ks->list[ks->armed++] = &kp->k;
		else
			err = stpvm_refuse(s, p, err, refusal);
		err = err ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	for (n = 0; n < ks->count; n++) {
		struct stpvm_probe *p = ks->kp[n].p;

		if (p->via == VIA_REFUSED)
			continue;
		err = enable_kprobe(&ks->kp[n].k);
		if (err)
			err = stpvm_refuse(s, p, err, refusal);
		err = err ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	return 0;
}

static void kprobe_disarm(struct stpvm_session *s)
{
	struct kps *ks = s->arm[SRC_KPROBE];

	if (ks->armed)
		unregister_kprobes(ks->list, ks->armed);
}

/* hits that the kernel dropped because another kprobe's handler ran */
static void kprobe_release(struct stpvm_session *s)
{
	struct kps *ks = s->arm[SRC_KPROBE];
	u32 n;

	for (n = 0; n < ks->count; n++)
		raw_cpu_ptr(s->cpu)->stats[ks->kp[n].p->index].skipped_busy += ks->kp[n].k.nmissed;
	kvfree(ks->list);
	kvfree(ks);
}

const struct stpvm_source stpvm_kprobe_source = {
	.name = "kprobe",
	.arm = kprobe_arm,
	.disarm = kprobe_disarm,
	.release = kprobe_release,
};
