/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * attach.h - what a source of probe hits looks like. One file attach_X.c per
 * source; attach.c holds the table and the order.
 */
#ifndef STPVM_ATTACH_H
#define STPVM_ATTACH_H

#include "session.h"

struct stpvm_source {
	const char *name;
	/*
	 * Arm every probe of the session that is this source's. Handlers may
	 * fire at once; they are ignored until the session runs. 0, or an errno
	 * after stpvm_refuse() has said which probe; what was armed by then is
	 * taken down by disarm. May be NULL, as the others.
	 */
	int (*arm)(struct stpvm_session *s);
	/* the session starts to run: for what must not tick before */
	void (*go)(struct stpvm_session *s);
	/* No handler starts after this; those that run may go on until the
	 * grace period that follows. */
	void (*disarm)(struct stpvm_session *s);
	/* after the grace period */
	void (*release)(struct stpvm_session *s);
};

extern const struct stpvm_source stpvm_timer_source, stpvm_perf_source;
extern const struct stpvm_source stpvm_kprobe_source, stpvm_return_source;
extern const struct stpvm_source stpvm_fentry_source, stpvm_trace_source;
extern const struct stpvm_source stpvm_syscall_source, stpvm_procfs_source;
extern const struct stpvm_source stpvm_netfilter_source;

int stpvm_arm_all(struct stpvm_session *s);
void stpvm_go_all(struct stpvm_session *s);
void stpvm_disarm_all(struct stpvm_session *s);

/*
 * A probe can't be armed. Returns 0 when the probe is optional (it is marked
 * and counted), else err, with the text that START gives back.
 */
int stpvm_refuse(struct stpvm_session *s, struct stpvm_probe *p, int err, const char *why);
/* kill -9 while arming: give up */
int stpvm_interrupted(struct stpvm_session *s);

/* how many probes are of a kind and to be armed by that source */
u32 stpvm_count(const struct stpvm_session *s, u32 kind, u32 via);

/* -- attach_task.c -- */
void stpvm_run_begin(struct stpvm_session *s);
void stpvm_run_end(struct stpvm_session *s, u32 kind);

/* -- attach_fentry.c -- */
/* marks which probes of the kind ftrace can hook: via becomes yes or no */
int stpvm_ftrace_sort(struct stpvm_session *s, u32 kind, u8 yes, u8 no);

/* -- unwind.c -- */
struct stpvm_range {
	unsigned long from, to;
};
/* the function at that address */
void stpvm_symbol_range(unsigned long addr, struct stpvm_range *out);

/* -- attach_trace.c -- */
struct tracepoint;
/* the event of that name; *mod is pinned (module_put) where it is in a module */
struct tracepoint *stpvm_tracepoint(const char *name, struct module **mod);

#endif
