// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_timer.c - timer.* probes: one hrtimer per probe, in hard interrupts.
 * Timers begin to tick when the session runs, all from one moment, so those of
 * equal period fire in the order of the script.
 */
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/irq_regs.h>

#include "attach.h"
#include "arch.h"
#include "compat/compat.h"

/* shorter periods would leave the CPU to nothing else */
#define SHORTEST_NS 20000

/* hits per second that all timers of a user without rights may make together */
#define OWN_RATE 20000u

struct timer {
	struct hrtimer t;
	struct stpvm_probe *p;
	u64 period, random;
};

struct timers {
	u32 count;
	struct timer timer[];
};

static u64 next_period(const struct timer *t)
{
	s64 ns = t->period;

	if (t->random)
		ns += (s64)(((u64)vmh_random() << 32 | vmh_random()) % (2 * t->random + 1)) -
		      (s64)t->random;
	return max_t(s64, ns, SHORTEST_NS);
}

static enum hrtimer_restart tick(struct hrtimer *h)
{
	struct timer *t = container_of(h, struct timer, t);
	struct pt_regs *regs = get_irq_regs();
	struct vm_hit hit = { .argmap = stpvm_map_plain, .regs = regs, .sysnr = -1 };

	if (!stpvm_live(t->p->session))
		return HRTIMER_NORESTART;
	if (regs && user_mode(regs))
		hit.flags = VM_HIT_USER;
	else if (!(t->p->session->caps & CAP_KERNEL_READ))
		hit.regs = NULL; /* what the kernel has in its registers is not for everybody */
	stpvm_hit(t->p, &hit);
	hrtimer_forward_now(h, ns_to_ktime(next_period(t)));
	return HRTIMER_RESTART;
}

static int timer_arm(struct stpvm_session *s)
{
	u32 n, all = stpvm_count(s, IM_K_TIMER, VIA_DEFAULT);
	struct timers *ts;
	u64 rate = 0;
	int err;

	if (!all)
		return 0;
	ts = kvzalloc(struct_size(ts, timer, all), GFP_KERNEL_ACCOUNT);
	if (!ts)
		return -ENOMEM;
	s->arm[SRC_TIMER] = ts;
	for (n = 0; n < s->nprobes; n++) {
		struct stpvm_probe *p = &s->probe[n];
		struct timer *t = &ts->timer[ts->count];

		if (p->kind != IM_K_TIMER || p->via != VIA_DEFAULT)
			continue;
		if (p->im->arg <= 0 || p->im->arg2 < 0 || p->im->arg > KTIME_MAX / 4 ||
		    p->im->arg2 > KTIME_MAX / 4) {
			err = stpvm_refuse(s, p, -EINVAL, "timer period out of range");
			if (err)
				return err;
			continue;
		}
		rate += NSEC_PER_SEC /
			max_t(u64, p->im->arg - min(p->im->arg, p->im->arg2), SHORTEST_NS);
		if (s->own_only && rate > OWN_RATE)
			return stpvm_refuse(s, p, -EPERM, "timers of this user fire too often")
				       ?: -EPERM;
		t->p = p;
		t->period = p->im->arg;
		t->random = p->im->arg2;
		stpvm_hrtimer_setup(&t->t, tick, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
		ts->count++;
	}
	return 0;
}

static void timer_go(struct stpvm_session *s)
{
	struct timers *ts = s->arm[SRC_TIMER];
	ktime_t now = ktime_get();
	u32 n;

	for (n = 0; n < ts->count; n++)
		hrtimer_start(&ts->timer[n].t, ktime_add_ns(now, next_period(&ts->timer[n])),
			      HRTIMER_MODE_ABS_HARD);
}

static void timer_disarm(struct stpvm_session *s)
{
	struct timers *ts = s->arm[SRC_TIMER];
	u32 n;

	for (n = 0; n < ts->count; n++)
		hrtimer_cancel(&ts->timer[n].t);
}

static void timer_release(struct stpvm_session *s)
{
	kvfree(s->arm[SRC_TIMER]);
}

const struct stpvm_source stpvm_timer_source = {
	.name = "timer",
	.arm = timer_arm,
	.go = timer_go,
	.disarm = timer_disarm,
	.release = timer_release,
};
