/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * session.h - the data of a session of the module, and who may touch it when.
 *
 *   struct file ──► struct stpvm_session
 *                    ├─ prog, vm           core/: verified image, globals, maps
 *                    ├─ cpu (per CPU) ───► struct stpvm_cpu
 *                    │                      ├─ busy      a handler runs here
 *                    │                      ├─ ctx       core/: registers, strings
 *                    │                      └─ stats[]   one row per probe
 *                    ├─ probe[] ─────────► struct stpvm_probe, one per im_probe:
 *                    │                      what an attach source hands to
 *                    │                      stpvm_hit() when it fires
 *                    ├─ arm[] ───────────► what each attach source keeps
 *                    │                      (ftrace_ops, kprobes, hrtimers ...)
 *                    └─ ring[cpu] ───────► pages shared with the loader
 *
 * The way of a hit:
 *
 *   ftrace, kprobe, hrtimer, ... ──► attach_X.c: which probes, fill vm_hit
 *        ──► stpvm_hit() (context.c): guards, accounting
 *        ──► vm_run() (core/) ──► vmh_*() (vmh.c, ring wake-up in rings.c)
 *
 * States (session.c moves them, under `lock`, but for ENDING):
 *
 *   NEW ─LOAD─► LOADED ─START─► STARTING ──► RUNNING ─STOP─► STOPPING ─► STOPPED
 *                                   │            └─exit(), errors─► ENDING ──┘
 *                                   └─a probe can't be armed─► LOADED
 *
 *   A START that only arms leaves the session in STARTING; the next one runs the
 *   begin handlers.
 *
 *   Handlers run in RUNNING only; begin handlers in STARTING, end and error
 *   handlers in STOPPING, both in the task that asked. ENDING means that the
 *   run is over but the loader does not know yet; a handler may set it.
 *
 * Locks, in the order in which they are taken:
 *
 *   session.lock (mutex)    ioctls, mmap against LOAD, release. Held over
 *                           arming and disarming, which sleep.
 *   stpvm_load_lock (mutex) one LOAD at a time; owns the memory budget that
 *                           vmh_alloc charges, and what all sessions have taken.
 *   attach_perf.c: list_lock (mutex)   its list of counters.
 *   attach_procfs.c: name_lock (mutex) the names of sessions with files.
 *   attach_procfs.c: value.lock (mutex) of an open file; taken by who reads or
 *                           writes it, who holds nothing else.
 *
 *   Probe context takes none of these, nor any lock of the kernel that might
 *   be held where the probe stands: a handler can run inside the scheduler,
 *   the allocator, the timer code, a hard interrupt or an NMI. What it may
 *   touch is
 *    - the data of its CPU: interrupts are off and `busy` is set before
 *      anything that can be probed is called, so whatever fires inside the
 *      handler (its own helpers, a page fault of a nofault read, an NMI) finds
 *      busy set, counts a skip and goes away. `busy` needs no atomic: only
 *      its own CPU writes it, and who interrupts puts it back;
 *    - globals of the script, by trylocks inside core/ with a bounded number
 *      of tries (vm.h);
 *    - single words of the session, atomically: state, end, errors, skipped.
 *   To wake the reader it queues an irq_work, which does what a handler may not:
 *   start a timer, wake a task.
 *   All of the module is built without -pg, so nothing in it is traceable by
 *   ftrace; probes on it by address are refused.
 *
 * Lifetimes: a session lives as long as its open file (a mapping of a ring
 * holds the file too). Its memory is freed by release(), after every source is
 * disarmed, after a grace period, and after the irq_work and the wake-up timer
 * have ended. Disarming goes in the order of stpvm_sources[] (attach.c): what
 * fires by itself first, then code hooks, then tracepoints, each waiting for
 * its own running handlers. The module is pinned by the open file.
 */
#ifndef STPVM_SESSION_H
#define STPVM_SESSION_H

#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/kallsyms.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/wait.h>

#include "../core/vm.h"
#include "../core/isa.h"
#include "uapi.h"

enum stpvm_state {
	STPVM_NEW,
	STPVM_LOADED,
	STPVM_STARTING,
	STPVM_RUNNING,
	STPVM_ENDING,
	STPVM_STOPPING,
	STPVM_STOPPED,
};

struct stpvm_session;

struct stpvm_probe {
	struct stpvm_session *session;
	const struct im_probe *im;
	u64 addr; /* im->addr, at hand */
	u32 index;
	u8 kind;    /* enum im_kind */
	u8 via;	    /* enum stpvm_via */
	u16 flags;  /* IM_P_* */
	u32 sample; /* overload: run one hit in sample + 1 */
};

/* which source arms a probe that several could */
enum stpvm_via { VIA_DEFAULT, VIA_FTRACE, VIA_KPROBE, VIA_POOL, VIA_REFUSED };

struct stpvm_cpu {
	u32 busy;
	u32 number;
	bool in_task; /* a begin, end or error handler */
	bool stuck;   /* that has given up to wait for the reader, at this tail */
	u64 stuck_at;
	u32 entered; /* attach_return.c: what the entry that is being hooked is of */
	struct vm_ctx *ctx;
	struct stpvm_probe_stats *stats;
	char symbol[KSYM_SYMBOL_LEN]; /* unwind.c: the one that a handler asks for */
	/* overload guard: start of the interval, cycles of handlers in it */
	u64 since, used;
};

#define ROOM_DEFAULT 10000u
#define ROOM_FOREVER 0xffffffffu

struct stpvm_ring {
	void *map; /* record.h: heads, data, control */
};

enum stpvm_source_id {
	SRC_PROCFS,
	SRC_NETFILTER,
	SRC_TIMER,
	SRC_PERF,
	SRC_KPROBE,
	SRC_RETURN,
	SRC_FENTRY,
	SRC_SYSCALL,
	SRC_TRACE,
	SRC_MAX
};

enum stpvm_wake { WAKE_IDLE, WAKE_LATER, WAKE_NOW };

struct stpvm_session {
	/* -- read at every hit -- */
	int state;	 /* enum stpvm_state */
	bool own_only;	 /* no CAP_ALL_PROCS: handlers run in tasks of `owner` only */
	bool guard;	 /* overload guard on */
	bool count_busy; /* reentrant hits count as skipped (STP_INTERRUPTIBLE=0) */
	bool unlimited;	 /* --suppress-handler-errors */
	u32 minstack;
	bool timing; /* STPVM_LF_TIMING */
	struct vm *vm;
	struct stpvm_cpu __percpu *cpu;
	u64 interval, threshold;
	kuid_t owner;

	/* -- written by handlers -- */
	int wake;      /* enum stpvm_wake */
	int end;       /* 0, or REC_EXIT_* + 1: why the run ends */
	int announced; /* the loader has been told */
	atomic_t errors, skipped;

	/* -- the rest: under lock -- */
	struct mutex lock;
	struct vm_prog *prog;
	const struct im_limits *limits;
	struct stpvm_probe *probe;
	u32 nprobes, ncpus;
	u32 caps;    /* what the caller may do */
	bool failed; /* ended by errors: error probes, not end probes */
	s64 target, loader_pid, tz_west;
	char tz_name[16];
	struct stpvm_offsets off;
	u16 words[H_MAX]; /* as vm_set_words says */
	void *arm[SRC_MAX];
	u32 armed; /* bit per source */
	u32 failed_probe, refused;
	char fail_text[160];

	struct stpvm_ring *ring;
	size_t ring_len, ring_data, ring_ctl;
	u32 watermark, wake_ms;
	u32 room_ms; /* how long a reader may stand still; ROOM_FOREVER: no limit */
	wait_queue_head_t wait;
	struct irq_work wake_work;
	struct hrtimer wake_timer;
	u64 mem_rings, mem_session;
	u64 mem_taken; /* of what all sessions together may have */
};

/* -- session.c -- */
struct stpvm_session *stpvm_session_new(void);
void stpvm_session_free(struct stpvm_session *s);
int stpvm_session_load(struct stpvm_session *s, struct stpvm_load *req, u32 caps);
int stpvm_session_start(struct stpvm_session *s, struct stpvm_start *req);
int stpvm_session_stop(struct stpvm_session *s);
int stpvm_session_input(struct stpvm_session *s, struct stpvm_input *req);
u32 stpvm_session_state(const struct stpvm_session *s);
void stpvm_session_stats(struct stpvm_session *s, u32 probe, struct stpvm_probe_stats *out);
extern struct mutex stpvm_load_lock;
/* memory that arming takes and disarming gives back: -ENOMEM where it is too much */
int stpvm_take(struct stpvm_session *s, u64 bytes);
void stpvm_give(struct stpvm_session *s, u64 bytes);

/* -- device.c -- */
u32 stpvm_caller_caps(struct file *file);

/* -- rings.c -- */
int stpvm_rings_new(struct stpvm_session *s, u32 data, u32 ctl);
void stpvm_rings_free(struct stpvm_session *s);
int stpvm_rings_mmap(struct stpvm_session *s, struct vm_area_struct *vma);
void stpvm_wake_init(struct stpvm_session *s);
void stpvm_wake_stop(struct stpvm_session *s);

/* -- context.c -- */
/*
 * A probe has fired. Runs its handler on this CPU, or counts why it does not.
 * Any context, NMI included. Callers must be code that disarming waits for.
 * VM_SKIP_LOCK stands for all reasons not to run it.
 */
enum vm_result stpvm_hit(struct stpvm_probe *p, const struct vm_hit *hit);
/* the same from a task, for a probe with a $value; 0 or an errno for who asked */
int stpvm_hit_value(struct stpvm_probe *p, struct vm_value *v);
/* a begin, end or error handler, in the task that asked */
enum vm_result stpvm_run_in_task(struct stpvm_probe *p);
/* the run is over, for reason REC_EXIT_*; the first reason stands */
void stpvm_end(struct stpvm_session *s, u32 reason);
/* tell the loader, if the run is over and it does not know */
void stpvm_announce(struct stpvm_session *s);

/* cheap test before a source does any work for a hit */
static __always_inline bool stpvm_live(const struct stpvm_session *s)
{
	return READ_ONCE(s->state) == STPVM_RUNNING;
}

/* -- vmh.c -- */
int stpvm_offsets_set(struct stpvm_session *s, const struct stpvm_offsets *from);
bool stpvm_own_task(const struct stpvm_session *s);
void stpvm_vmh_init(void);
/* memory that LOAD may still take; guarded by stpvm_load_lock */
extern u64 stpvm_budget;

#endif
