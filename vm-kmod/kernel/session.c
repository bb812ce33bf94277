// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * session.c - the life of a session: NEW, LOADED, RUNNING, STOPPED and the ways
 * between (session.h draws them). In: requests of device.c. Out: states, and a
 * text where something is refused. All of it runs in the loader's task.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "session.h"
#include "attach.h"
#include "compat/compat.h"

#define IMAGE_LIMIT  (64u << 20)
#define PROBES_LIMIT 65535u /* records name a probe in 16 bits */
/* of MINSTACKSPACE: the deepest handler takes half of it, a fault of a read in it the rest */
#define STACK_LEAST 2048u

DEFINE_MUTEX(stpvm_load_lock);

struct stpvm_session *stpvm_session_new(void)
{
	struct stpvm_session *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return NULL;
	mutex_init(&s->lock);
	stpvm_wake_init(s);
	s->owner = current_euid();
	return s;
}

/* -- memory ------------------------------------------------------------------ */

/* what all sessions have, and those of users without rights; under stpvm_load_lock */
static u64 taken_all, taken_own;

/*
 * All sessions together may take half of the machine's memory, and those of users
 * without rights an eighth: it belongs to no process, so nothing else bounds it.
 */
static u64 budget(const struct stpvm_session *s)
{
	u64 half = ((u64)totalram_pages() << PAGE_SHIFT) / 2;
	u64 left = half - min(half, taken_all);

	if (!(s->caps & CAP_ALL_PROCS))
		left = min(left, half / 4 - min(half / 4, taken_own));
	return left;
}

static void account(struct stpvm_session *s, s64 bytes)
{
	s->mem_taken += bytes;
	taken_all += bytes;
	if (!(s->caps & CAP_ALL_PROCS))
		taken_own += bytes;
}

/* Memory that arming takes: whether there is room for it. */
int stpvm_take(struct stpvm_session *s, u64 bytes)
{
	int err = -ENOMEM;

	mutex_lock(&stpvm_load_lock);
	if (bytes <= budget(s)) {
		account(s, bytes);
		err = 0;
	}
	mutex_unlock(&stpvm_load_lock);
	return err;
}

void stpvm_give(struct stpvm_session *s, u64 bytes)
{
	mutex_lock(&stpvm_load_lock);
	account(s, -(s64)bytes);
	mutex_unlock(&stpvm_load_lock);
}

static void drop_machine(struct stpvm_session *s)
{
	u32 cpu;

	if (s->vm)
		vm_free(s->vm);
	if (s->prog)
		vm_unload(s->prog);
	if (s->cpu) {
		for_each_possible_cpu(cpu)
			kvfree(per_cpu_ptr(s->cpu, cpu)->stats);
		free_percpu(s->cpu);
	}
	kvfree(s->probe);
	stpvm_rings_free(s);
	s->vm = NULL;
	s->prog = NULL;
	s->cpu = NULL;
	s->probe = NULL;
	s->mem_rings = 0;
	s->mem_session = 0;
}

/* Last close, for whatever reason: everything down, without end probes. */
void stpvm_session_free(struct stpvm_session *s)
{
	mutex_lock(&s->lock);
	WRITE_ONCE(s->state, STPVM_STOPPING);
	stpvm_disarm_all(s);
	stpvm_wake_stop(s);
	drop_machine(s);
	stpvm_give(s, s->mem_taken);
	mutex_unlock(&s->lock);
	kfree(s);
}

/* -- LOAD ------------------------------------------------------------------ */

/* Contexts of the CPUs and one stpvm_probe for each probe of the image. */
static int new_probes(struct stpvm_session *s)
{
	u32 cpu, n;
	u64 row = sizeof(*s->probe) + num_possible_cpus() * sizeof(struct stpvm_probe_stats);

	s->nprobes = vm_nprobes(s->prog);
	if (s->nprobes > PROBES_LIMIT)
		return -E2BIG;
	s->mem_session = s->nprobes * row;
	if (s->mem_session > stpvm_budget)
		return -ENOMEM;
	stpvm_budget -= s->mem_session;
	s->probe = kvcalloc(max(s->nprobes, 1u), sizeof(*s->probe), GFP_KERNEL_ACCOUNT);
	s->cpu = alloc_percpu_gfp(struct stpvm_cpu, GFP_KERNEL_ACCOUNT);
	if (!s->probe || !s->cpu)
		return -ENOMEM;
	for (n = 0; n < s->nprobes; n++) {
		s->probe[n].session = s;
		s->probe[n].im = vm_probe(s->prog, n);
		s->probe[n].addr = s->probe[n].im->addr;
		s->probe[n].index = n;
		s->probe[n].kind = s->probe[n].im->kind;
		s->probe[n].flags = s->probe[n].im->flags;
	}
	for_each_possible_cpu(cpu) {
		struct stpvm_cpu *c = per_cpu_ptr(s->cpu, cpu);

		c->number = cpu;
		c->ctx = vm_ctx(s->vm, cpu);
		c->stats = kvcalloc(max(s->nprobes, 1u), sizeof(*c->stats), GFP_KERNEL_ACCOUNT);
		if (!c->stats || !c->ctx)
			return -ENOMEM;
	}
	return 0;
}

/* What of the image's limits is used at every hit, at hand. */
static void set_limits(struct stpvm_session *s)
{
	const struct im_limits *l = &vm_header(s->prog)->limits;

	s->limits = l;
	s->minstack = max_t(u32, l->minstackspace, STACK_LEAST);
	s->interval = s->timing ? 0 : l->overload_interval;
	s->threshold = l->overload_threshold;
	s->guard = !l->no_overload && !l->suppress_time;
	s->count_busy = !l->interruptible;
	s->unlimited = l->suppress_errors;
}

/* what a user without rights may load: enough for any script that is typed in */
#define IMAGE_OWN (1u << 20)

enum {
#define LIMIT(field, name, dflt, lo, hi, doc) DEFAULT_##field = dflt,
#include "../core/limits.def"
#undef LIMIT
};

/*
 * A user without rights gets the limits that everybody gets, or lower ones: raised,
 * they let a handler hold a processor for as long as it likes. NULL, or which not.
 */
static const char *raised(const struct im_limits *l)
{
	if (l->maxaction > DEFAULT_maxaction || l->suppress_time)
		return "MAXACTION";
	if (l->maxaction_int > DEFAULT_maxaction_int)
		return "MAXACTION_INTERRUPTIBLE";
	if (l->maxstringlen > DEFAULT_maxstringlen)
		return "MAXSTRINGLEN";
	if (l->maxtrylock > DEFAULT_maxtrylock)
		return "MAXTRYLOCK";
	if (l->trylockdelay > DEFAULT_trylockdelay)
		return "TRYLOCKDELAY";
	if (!l->interruptible)
		return "STP_INTERRUPTIBLE";
	/* the share of a processor is what counts */
	if (l->no_overload || l->overload_threshold > DEFAULT_overload_threshold ||
	    l->overload_threshold > l->overload_interval / 2)
		return "STP_OVERLOAD_THRESHOLD";
	return NULL;
}

static int load_locked(struct stpvm_session *s, struct stpvm_load *req, const void *image)
{
	struct vm_refusal fault = {};
	struct vm_figures figures = {};
	u64 all = budget(s), cap;
	const char *limit;
	int err;

	if (s->own_only && req->image_len > IMAGE_OWN)
		return -E2BIG;
	stpvm_budget = all;
	err = vm_load(image, req->image_len, s->caps, &s->prog, &fault);
	if (err) {
		req->fault_rule = fault.rule;
		req->fault_func = fault.func;
		req->fault_pc = fault.pc;
		strscpy(req->fault_text, fault.text, sizeof(req->fault_text));
		return err;
	}
	s->timing = req->flags & STPVM_LF_TIMING;
	set_limits(s);
	limit = s->own_only ? raised(s->limits) : NULL;
	if (limit) {
		scnprintf(req->fault_text, sizeof(req->fault_text),
			  "limit %s can't be raised by this user", limit);
		return -EPERM;
	}
	all -= stpvm_budget;
	if (s->limits->maxmemory)
		stpvm_budget = min(stpvm_budget, (u64)s->limits->maxmemory << 10);
	cap = stpvm_budget;
	s->ncpus = nr_cpu_ids;
	err = vm_new(s->prog, s->ncpus, s, &s->vm);
	if (!err) {
		vm_set_words(s->vm, s->words);
		vm_set_reader(s->vm, &s->wake, s->watermark);
		err = new_probes(s);
	}
	if (!err)
		err = stpvm_rings_new(s, req->ring_data, req->ring_ctl);
	if (err) {
		if (err == -ENOMEM)
			strscpy(req->fault_text, "the session needs more memory than it may have",
				sizeof(req->fault_text));
		return err;
	}
	account(s, all + cap - stpvm_budget);
	vm_memory(s->vm, &figures);
	req->mem_image = figures.image;
	req->mem_globals = figures.globals;
	req->mem_contexts = figures.contexts + s->mem_session;
	req->mem_rings = s->mem_rings;
	req->ring_map_len = s->ring_len;
	return 0;
}

int stpvm_session_load(struct stpvm_session *s, struct stpvm_load *req, u32 caps)
{
	void *image;
	int err;

	req->fault_rule = 0;
	req->fault_func = ~0u;
	req->fault_pc = ~0u;
	memset(req->fault_text, 0, sizeof(req->fault_text));
	if (req->image_len < sizeof(struct im_header) || req->image_len > IMAGE_LIMIT)
		return -EINVAL;
	image = kvmalloc(req->image_len, GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
	if (!image)
		return -ENOMEM;
	if (copy_from_user(image, u64_to_user_ptr(req->image), req->image_len)) {
		err = -EFAULT;
		goto out;
	}
	if (mutex_lock_killable(&s->lock)) {
		err = -EINTR;
		goto out;
	}
	err = -EBUSY;
	if (s->state != STPVM_NEW)
		goto unlock;
	s->caps = caps;
	s->own_only = !(caps & CAP_ALL_PROCS);
	s->target = req->target;
	s->loader_pid = req->loader_pid;
	s->tz_west = req->tz_west;
	strscpy(s->tz_name, req->tz_name, sizeof(s->tz_name));
	s->watermark = req->watermark ?: PAGE_SIZE;
	s->room_ms = req->room_ms ?: ROOM_DEFAULT;
	s->wake_ms = clamp(req->wake_ms ?: 50u, 1u, 10000u);
	if (mutex_lock_killable(&stpvm_load_lock)) {
		err = -EINTR;
		goto unlock;
	}
	err = stpvm_offsets_set(s, &req->offsets) ?: load_locked(s, req, image);
	mutex_unlock(&stpvm_load_lock);
	if (err)
		drop_machine(s);
	else
		smp_store_release(&s->state, STPVM_LOADED);
unlock:
	mutex_unlock(&s->lock);
out:
	kvfree(image);
	return err;
}

/* -- START and STOP ---------------------------------------------------------- */

/* Without sight of the kernel: what needs no hook in it. */
static int check_kinds(struct stpvm_session *s)
{
	u32 n;

	for (n = 0; n < s->nprobes; n++) {
		struct stpvm_probe *p = &s->probe[n];

		p->via = VIA_DEFAULT;
		switch (p->kind) {
		case IM_K_BEGIN:
		case IM_K_END:
		case IM_K_ERROR:
		case IM_K_NEVER:
		case IM_K_TIMER:
		case IM_K_INPUT: /* what the caller hands on himself, in his own task */
			continue;
		case IM_K_PROCFS_R:
		case IM_K_PROCFS_W:
			/* other people's tasks run these handlers, and wait for them */
			if (s->caps & CAP_ALL_PROCS)
				continue;
			if (stpvm_refuse(s, p, -EACCES, "procfs probes are not for this user"))
				return -EACCES;
			continue;
		case IM_K_PROFILE:
		case IM_K_PERF:
		case IM_K_HWBREAK:
		case IM_K_FENTRY:
		case IM_K_FRETURN:
		case IM_K_KPROBE:
		case IM_K_TRACE:
		case IM_K_SYSENTER:
		case IM_K_SYSEXIT:
		case IM_K_NETFILTER:
			if (s->caps & CAP_KERNEL_READ)
				continue;
			if (stpvm_refuse(s, p, -EACCES,
					 "probes in the kernel are not for this user"))
				return -EACCES;
			continue;
		default:
			if (stpvm_refuse(s, p, -EOPNOTSUPP, "this module has no such probes"))
				return -EOPNOTSUPP;
		}
	}
	return 0;
}

int stpvm_session_start(struct stpvm_session *s, struct stpvm_start *req)
{
	bool only_arm = req->flags & STPVM_SF_ARM;
	int err = 0;

	req->failed_probe = ~0u;
	req->refused = 0;
	memset(req->text, 0, sizeof(req->text));
	if (req->flags & ~STPVM_SF_ARM)
		return -EINVAL;
	if (mutex_lock_killable(&s->lock))
		return -EINTR;
	if (s->state == STPVM_STARTING && !only_arm)
		goto begin;
	err = -EBADFD;
	if (s->state != STPVM_LOADED)
		goto out;
	s->failed_probe = ~0u;
	s->refused = 0;
	s->fail_text[0] = 0;
	WRITE_ONCE(s->state, STPVM_STARTING);
	err = check_kinds(s);
	if (!err)
		err = stpvm_arm_all(s);
	if (err) {
		stpvm_disarm_all(s);
		WRITE_ONCE(s->state, STPVM_LOADED);
		req->failed_probe = s->failed_probe;
		strscpy(req->text, s->fail_text, sizeof(req->text));
		goto out;
	}
	if (only_arm)
		goto armed;
begin:
	stpvm_run_begin(s);
	if (READ_ONCE(s->end)) {
		WRITE_ONCE(s->state, STPVM_ENDING);
		goto armed;
	}
	/* what the begin handlers wrote is there for whoever sees this */
	smp_store_release(&s->state, STPVM_RUNNING);
	stpvm_go_all(s);
armed:
	req->refused = s->refused;
out:
	mutex_unlock(&s->lock);
	return err;
}

int stpvm_session_stop(struct stpvm_session *s)
{
	int reason;

	if (mutex_lock_killable(&s->lock))
		return -EINTR;
	if (s->state != STPVM_RUNNING && s->state != STPVM_ENDING) {
		mutex_unlock(&s->lock);
		return -EBADFD;
	}
	WRITE_ONCE(s->state, STPVM_STOPPING);
	stpvm_disarm_all(s);
	reason = READ_ONCE(s->end) - 1;
	s->failed = reason == REC_EXIT_ERRORS || reason == REC_EXIT_OVERLOAD;
	stpvm_run_end(s, s->failed ? IM_K_ERROR : IM_K_END);
	WRITE_ONCE(s->state, STPVM_STOPPED);
	WRITE_ONCE(s->wake, WAKE_NOW);
	wake_up_interruptible(&s->wait);
	mutex_unlock(&s->lock);
	return 0;
}

/* -- figures ----------------------------------------------------------------- */

u32 stpvm_session_state(const struct stpvm_session *s)
{
	switch (READ_ONCE(s->state)) {
	case STPVM_NEW:
		return STPVM_S_NEW;
	case STPVM_LOADED:
	case STPVM_STARTING:
		return STPVM_S_LOADED;
	case STPVM_STOPPED:
		return STPVM_S_STOPPED;
	default:
		return STPVM_S_RUNNING;
	}
}

/* Sum over the CPUs; exact once the session has stopped. */
void stpvm_session_stats(struct stpvm_session *s, u32 probe, struct stpvm_probe_stats *out)
{
	u32 cpu;

	memset(out, 0, sizeof(*out));
	for_each_possible_cpu(cpu) {
		const struct stpvm_probe_stats *one = &per_cpu_ptr(s->cpu, cpu)->stats[probe];

		out->hits += one->hits;
		out->errors += one->errors;
		out->skipped_busy += one->skipped_busy;
		out->skipped_lock += one->skipped_lock;
		out->skipped_stack += one->skipped_stack;
		out->lost += one->lost;
		out->cycles += one->cycles;
		out->thinned += one->thinned;
		if (one->cycles_min && (!out->cycles_min || one->cycles_min < out->cycles_min))
			out->cycles_min = one->cycles_min;
		out->cycles_max = max(out->cycles_max, one->cycles_max);
	}
}
