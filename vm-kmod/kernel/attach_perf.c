// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_perf.c - what the kernel's perf events fire: timer.profile (the
 * software clock), perf.type().config() and hardware breakpoints on data. One
 * event for each probe and CPU, with the registers of what was interrupted; in
 * hard interrupts, and in NMIs where the hardware counts that way.
 *
 * The overflow handler gets the perf_event. What belongs to it is found by its
 * address in a list, not through its members: they move between updates of one
 * kernel series.
 */
#include <linux/cpu.h>
#include <linux/hw_breakpoint.h>
#include <linux/mm.h>
#include <linux/perf_event.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "attach.h"
#include "arch.h"

struct watch {
	struct list_head list;
	struct stpvm_probe *p;
	struct perf_event **event; /* per CPU number */
};

struct watches {
	u32 count;
	struct watch w[];
};

static LIST_HEAD(watch_list);
static DEFINE_MUTEX(list_lock);

/* shorter periods of a clock leave no time for anything else */
#define SHORTEST_NS 20000

static void overflow(struct perf_event *event, struct perf_sample_data *data, struct pt_regs *regs)
{
	u32 cpu = raw_smp_processor_id();
	struct watch *w;

	/* interrupts are off, or this is an exception or an NMI that runs with RCU
	 * watching and can't be preempted: a read side of RCU */
	list_for_each_entry_rcu(w, &watch_list, list, true) {
		struct vm_hit hit = {
			.argmap = stpvm_map_plain,
			.regs = regs,
			.sysnr = -1,
		};

		if (READ_ONCE(w->event[cpu]) != event)
			continue;
		if (!stpvm_live(w->p->session))
			return;
		if (user_mode(regs))
			hit.flags = VM_HIT_USER;
		hit.addr = instruction_pointer(regs);
		stpvm_hit(w->p, &hit);
		return;
	}
}

static bool is_ours(const struct stpvm_probe *p)
{
	return p->via == VIA_DEFAULT &&
	       (p->kind == IM_K_PROFILE || p->kind == IM_K_PERF || p->kind == IM_K_HWBREAK);
}

/* the event that a probe asks for; what is wrong with it, or NULL */
static const char *describe(const struct im_probe *im, struct perf_event_attr *attr)
{
	attr->size = sizeof(*attr);
	switch (im->kind) {
	case IM_K_PROFILE:
		attr->type = PERF_TYPE_SOFTWARE;
		attr->config = PERF_COUNT_SW_CPU_CLOCK;
		attr->pinned = 1;
		attr->sample_period = im->arg ?: NSEC_PER_SEC / HZ;
		return im->arg < 0 || attr->sample_period < SHORTEST_NS
			       ? "sampling period out of range"
			       : NULL;
	case IM_K_HWBREAK:
		hw_breakpoint_init(attr);
		if (!im->addr)
			return "no such variable";
		attr->bp_addr = im->addr;
		attr->bp_len = im->arg;
		attr->bp_type = im->arg2 & HW_BREAKPOINT_RW;
		return im->arg2 != HW_BREAKPOINT_W && im->arg2 != HW_BREAKPOINT_RW
			       ? "no such kind of access"
			       : NULL;
	default:
		attr->type = (u32)im->arg2;
		attr->config = im->addr;
		if (im->arg2 & IM_PERF_FREQ) {
			attr->freq = 1;
			attr->sample_freq = im->arg;
		} else {
			attr->sample_period = im->arg;
		}
		if (im->arg2 & ~(IM_PERF_FREQ | U32_MAX))
			return "no such kind of event";
		return im->arg <= 0 ? "sampling period out of range" : NULL;
	}
}

static const char *refusal(u32 kind, int err)
{
	switch (kind) {
	case IM_K_HWBREAK:
		if (err == -ENOSPC)
			return "all hardware breakpoints are in use";
		return "no hardware breakpoint can be set there";
	case IM_K_PROFILE:
		return "no sampling clock";
	default:
		if (err == -ENOENT || err == -EOPNOTSUPP)
			return "this machine has no such performance event";
		return "the kernel refuses this performance event";
	}
}

static void release_events(struct stpvm_session *s, struct watch *w)
{
	u32 cpu;

	for (cpu = 0; w->event && cpu < s->ncpus; cpu++)
		if (w->event[cpu])
			perf_event_release_kernel(w->event[cpu]);
}

static int watch_one(struct stpvm_session *s, struct stpvm_probe *p, struct watch *w)
{
	struct perf_event_attr attr = {};
	struct perf_event *event;
	const char *wrong = describe(p->im, &attr);
	u32 cpu;

	if (wrong)
		return stpvm_refuse(s, p, -EINVAL, wrong);
	w->p = p;
	w->event = kvcalloc(s->ncpus, sizeof(*w->event), GFP_KERNEL_ACCOUNT);
	if (!w->event)
		return -ENOMEM;
	mutex_lock(&list_lock);
	list_add_tail_rcu(&w->list, &watch_list);
	mutex_unlock(&list_lock);
	/*
	 * Not under cpus_read_lock(): creating an event may take it. A CPU that goes
	 * away meanwhile has no event, as one that comes later has none.
	 */
	for_each_online_cpu(cpu) {
		event = perf_event_create_kernel_counter(&attr, cpu, NULL, overflow, NULL);
		if (PTR_ERR_OR_ZERO(event) == -ENODEV && !cpu_online(cpu))
			continue;
		if (IS_ERR(event)) {
			release_events(s, w);
			memset(w->event, 0, s->ncpus * sizeof(*w->event));
			return stpvm_refuse(s, p, PTR_ERR(event), refusal(p->kind, PTR_ERR(event)));
		}
		WRITE_ONCE(w->event[cpu], event);
	}
	return 0;
}

static int perf_arm(struct stpvm_session *s)
{
	struct watches *ws;
	u32 n, all = 0;
	int err;

	for (n = 0; n < s->nprobes; n++)
		all += is_ours(&s->probe[n]);
	if (!all)
		return 0;
	ws = kvzalloc(struct_size(ws, w, all), GFP_KERNEL_ACCOUNT);
	if (!ws)
		return -ENOMEM;
	s->arm[SRC_PERF] = ws;
	for (n = 0; n < s->nprobes; n++) {
		if (!is_ours(&s->probe[n]))
			continue;
		INIT_LIST_HEAD(&ws->w[ws->count].list);
		err = watch_one(s, &s->probe[n], &ws->w[ws->count++]) ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	return 0;
}

static void perf_disarm(struct stpvm_session *s)
{
	struct watches *ws = s->arm[SRC_PERF];
	u32 n;

	for (n = 0; n < ws->count; n++) {
		struct watch *w = &ws->w[n];

		release_events(s, w);
		mutex_lock(&list_lock);
		if (!list_empty(&w->list))
			list_del_rcu(&w->list);
		mutex_unlock(&list_lock);
	}
}

static void perf_release(struct stpvm_session *s)
{
	struct watches *ws = s->arm[SRC_PERF];
	u32 n;

	for (n = 0; n < ws->count; n++)
		kvfree(ws->w[n].event);
	kvfree(ws);
}

const struct stpvm_source stpvm_perf_source = {
	.name = "perf",
	.arm = perf_arm,
	.disarm = perf_disarm,
	.release = perf_release,
};
