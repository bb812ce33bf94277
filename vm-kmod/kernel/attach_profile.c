// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_profile.c - timer.profile: perf's software clock on every CPU, in hard
 * interrupts, with the registers of what was interrupted.
 *
 * The overflow handler gets the perf_event. What belongs to it is found by its
 * address in a list of counters, not through its members: they move between
 * updates of one kernel series.
 */
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/perf_event.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "attach.h"
#include "arch.h"

struct profile {
	struct list_head list;
	struct stpvm_probe *p;
	struct perf_event **event; /* per CPU number */
};

struct profiles {
	u32 count;
	struct profile prof[];
};

static LIST_HEAD(profile_list);
static DEFINE_MUTEX(list_lock);

static void overflow(struct perf_event *event, struct perf_sample_data *data, struct pt_regs *regs)
{
	u32 cpu = raw_smp_processor_id();
	struct profile *f;

	/* hard interrupts are off: a read side of RCU */
	list_for_each_entry_rcu(f, &profile_list, list, true) {
		struct vm_hit hit = {
			.argmap = stpvm_map_plain,
			.regs = regs,
			.sysnr = -1,
		};

		if (READ_ONCE(f->event[cpu]) != event)
			continue;
		if (!stpvm_live(f->p->session))
			return;
		if (user_mode(regs))
			hit.flags = VM_HIT_USER;
		hit.addr = instruction_pointer(regs);
		stpvm_hit(f->p, &hit);
		return;
	}
}

static int profile_one(struct stpvm_session *s, struct stpvm_probe *p, struct profile *f)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attr),
		.pinned = 1,
		.sample_period = p->im->arg ?: NSEC_PER_SEC / HZ,
	};
	struct perf_event *event;
	u32 cpu;

	if (p->im->arg < 0 || attr.sample_period < 20000)
		return stpvm_refuse(s, p, -EINVAL, "sampling period out of range");
	f->p = p;
	f->event = kvcalloc(s->ncpus, sizeof(*f->event), GFP_KERNEL_ACCOUNT);
	if (!f->event)
		return -ENOMEM;
	mutex_lock(&list_lock);
	list_add_tail_rcu(&f->list, &profile_list);
	mutex_unlock(&list_lock);
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		event = perf_event_create_kernel_counter(&attr, cpu, NULL, overflow, NULL);
		if (IS_ERR(event)) {
			cpus_read_unlock();
			return stpvm_refuse(s, p, PTR_ERR(event), "no sampling clock");
		}
		WRITE_ONCE(f->event[cpu], event);
	}
	cpus_read_unlock();
	return 0;
}

static int profile_arm(struct stpvm_session *s)
{
	u32 n, all = stpvm_count(s, IM_K_PROFILE, VIA_DEFAULT);
	struct profiles *fs;
	int err;

	if (!all)
		return 0;
	fs = kvzalloc(struct_size(fs, prof, all), GFP_KERNEL_ACCOUNT);
	if (!fs)
		return -ENOMEM;
	s->arm[SRC_PROFILE] = fs;
	for (n = 0; n < s->nprobes; n++) {
		if (s->probe[n].kind != IM_K_PROFILE || s->probe[n].via != VIA_DEFAULT)
			continue;
		INIT_LIST_HEAD(&fs->prof[fs->count].list);
		err = profile_one(s, &s->probe[n], &fs->prof[fs->count++]) ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	return 0;
}

static void profile_disarm(struct stpvm_session *s)
{
	struct profiles *fs = s->arm[SRC_PROFILE];
	u32 n, cpu;

	for (n = 0; n < fs->count; n++) {
		struct profile *f = &fs->prof[n];

		for (cpu = 0; f->event && cpu < s->ncpus; cpu++)
			if (f->event[cpu])
				perf_event_release_kernel(f->event[cpu]);
		mutex_lock(&list_lock);
		if (!list_empty(&f->list))
			list_del_rcu(&f->list);
		mutex_unlock(&list_lock);
	}
}

static void profile_release(struct stpvm_session *s)
{
	struct profiles *fs = s->arm[SRC_PROFILE];
	u32 n;

	for (n = 0; n < fs->count; n++)
		kvfree(fs->prof[n].event);
	kvfree(fs);
}

const struct stpvm_source stpvm_profile_source = {
	.name = "profile",
	.arm = profile_arm,
	.disarm = profile_disarm,
	.release = profile_release,
};
