// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach.c - the sources of probe hits and the order in which they are taken
 * down: what fires by itself first, then hooks in code, then tracepoints, then
 * one grace period for all, then their memory. In: a session with its probes.
 * Out: armed or disarmed sources, or which probe was refused and why.
 */
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>

#include "attach.h"

static const struct stpvm_source *const stpvm_sources[SRC_MAX] = {
	[SRC_TIMER] = &stpvm_timer_source,	   [SRC_PERF] = &stpvm_perf_source,
	[SRC_KPROBE] = &stpvm_kprobe_source,	   [SRC_RETURN] = &stpvm_return_source,
	[SRC_FENTRY] = &stpvm_fentry_source,	   [SRC_SYSCALL] = &stpvm_syscall_source,
	[SRC_TRACE] = &stpvm_trace_source,	   [SRC_PROCFS] = &stpvm_procfs_source,
	[SRC_NETFILTER] = &stpvm_netfilter_source,
};

/*
 * Function hooks are sorted into ftrace and kprobes by the fentry source, so
 * it goes before the kprobes; files first, for their names may be taken; timers
 * last, they are cheapest to take back.
 */
static const u8 arm_order[SRC_MAX] = {
	SRC_PROCFS, SRC_FENTRY,	   SRC_RETURN, SRC_KPROBE, SRC_SYSCALL,
	SRC_TRACE,  SRC_NETFILTER, SRC_PERF,   SRC_TIMER,
};

int stpvm_arm_all(struct stpvm_session *s)
{
	u32 n;
	int err;

	for (n = 0; n < SRC_MAX; n++) {
		u32 id = arm_order[n];

		/* disarmed also when it fails half way */
		s->armed |= BIT(id);
		err = stpvm_sources[id]->arm(s);
		if (err) {
			if (!s->fail_text[0])
				scnprintf(s->fail_text, sizeof(s->fail_text),
					  "cannot set up %s probes (error %d)",
					  stpvm_sources[id]->name, -err);
			return err;
		}
	}
	return 0;
}

void stpvm_go_all(struct stpvm_session *s)
{
	u32 id;

	for (id = 0; id < SRC_MAX; id++)
		if (s->arm[id] && stpvm_sources[id]->go)
			stpvm_sources[id]->go(s);
}

void stpvm_disarm_all(struct stpvm_session *s)
{
	u32 id;

	if (!s->armed)
		return;
	for (id = 0; id < SRC_MAX; id++)
		if (s->arm[id])
			stpvm_sources[id]->disarm(s);
	if (s->arm[SRC_SYSCALL] || s->arm[SRC_TRACE])
		tracepoint_synchronize_unregister();
	else
		synchronize_rcu();
	for (id = 0; id < SRC_MAX; id++) {
		if (s->arm[id])
			stpvm_sources[id]->release(s);
		s->arm[id] = NULL;
	}
	s->armed = 0;
}

int stpvm_refuse(struct stpvm_session *s, struct stpvm_probe *p, int err, const char *why)
{
	p->via = VIA_REFUSED;
	if (p->flags & IM_P_OPTIONAL) {
		s->refused++;
		return 0;
	}
	if (s->failed_probe == ~0u) {
		s->failed_probe = p->index;
		strscpy(s->fail_text, why, sizeof(s->fail_text));
	}
	return err;
}

int stpvm_interrupted(struct stpvm_session *s)
{
	cond_resched();
	if (!fatal_signal_pending(current))
		return 0;
	strscpy(s->fail_text, "killed while probes were armed", sizeof(s->fail_text));
	return -EINTR;
}

u32 stpvm_count(const struct stpvm_session *s, u32 kind, u32 via)
{
	u32 n, found = 0;

	for (n = 0; n < s->nprobes; n++)
		found += s->probe[n].kind == kind && s->probe[n].via == via;
	return found;
}
