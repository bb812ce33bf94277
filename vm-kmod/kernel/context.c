// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * context.c - entering and leaving a handler. In: a probe and where it hit.
 * Out: the handler has run on this CPU's context, or it is counted why not.
 * Here sit the guards of a run: reentrancy, stack space, other people's tasks,
 * the overload guard, MAXERRORS and MAXSKIPPED. Nothing here sleeps, takes a
 * lock or calls what can be probed before `busy` is set.
 */
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <asm/msr.h>

#include "session.h"
#include "arch.h"

/* how far the overload guard thins out a probe before it ends the run */
#define SAMPLE_MAX 1023

void stpvm_end(struct stpvm_session *s, u32 reason)
{
	if (cmpxchg(&s->end, 0, (int)reason + 1) != 0)
		return;
	/* in STARTING and STOPPING the ioctl that runs looks at s->end itself */
	cmpxchg(&s->state, STPVM_RUNNING, STPVM_ENDING);
	irq_work_queue(&s->wake_work);
}

/*
 * Not from where the run ended: the control ring of a CPU belongs to the
 * handler that is busy there. This runs in the irq_work (interrupts off, so no
 * handler but a begin handler can be under way here) and after begin handlers.
 */
void stpvm_announce(struct stpvm_session *s)
{
	struct stpvm_cpu *cpu;
	unsigned long flags;
	u32 body[2] = {};

	if (!READ_ONCE(s->end))
		return;
	raw_local_irq_save(flags);
	cpu = raw_cpu_ptr(s->cpu);
	if (!cpu->busy && !xchg(&s->announced, 1)) {
		cpu->busy = 1;
		barrier();
		body[0] = s->end - 1;
		/* exit() has put its own record into the ring */
		if (body[0] != REC_EXIT_CALL)
			vm_control(s->vm, cpu->number, REC_EXIT, body, sizeof(body));
		barrier();
		cpu->busy = 0;
	}
	raw_local_irq_restore(flags);
}

static void count_error(struct stpvm_session *s)
{
	int n = atomic_inc_return(&s->errors);

	if (!s->unlimited && n > s->limits->maxerrors)
		stpvm_end(s, REC_EXIT_ERRORS);
}

static void count_skip(struct stpvm_session *s)
{
	int n = atomic_inc_return(&s->skipped);

	if (!s->unlimited && n > s->limits->maxskipped)
		stpvm_end(s, REC_EXIT_SKIPPED);
}

/*
 * More cycles than allowed went into handlers on this CPU. The probe that took
 * most of them is thinned out, by halves, and the loader is told; when that is
 * not enough any more the run ends, as SystemTap's does at once.
 */
static void overload(struct stpvm_session *s, struct stpvm_cpu *cpu)
{
	u32 n, worst = 0;
	u64 most = 0;

	for (n = 0; n < s->nprobes; n++) {
		if (cpu->stats[n].cycles > most) {
			most = cpu->stats[n].cycles;
			worst = n;
		}
	}
	if (s->probe[worst].sample >= SAMPLE_MAX) {
		stpvm_end(s, REC_EXIT_OVERLOAD);
		return;
	}
	s->probe[worst].sample = s->probe[worst].sample * 2 + 1;
	vm_note(s->vm, cpu->number, worst, REC_NOTE_SAMPLED, s->probe[worst].sample + 1);
}

static void note_extremes(struct stpvm_probe_stats *st, u64 took)
{
	took = max(took, 1ull);
	if (!st->cycles_min || took < st->cycles_min)
		st->cycles_min = took;
	if (took > st->cycles_max)
		st->cycles_max = took;
}

/*
 * Once in an interval: was it too much? Also finds an exit() whose record had no room.
 * A session that keeps the extremes of each probe has intervals of no length, so that
 * others need not ask at each hit.
 */
static noinline void interval_ends(struct stpvm_session *s, struct stpvm_cpu *cpu,
				   struct stpvm_probe_stats *st, u64 start, u64 now)
{
	if (s->timing) {
		note_extremes(st, now - start);
		if (now - cpu->since < (u64)s->limits->overload_interval)
			return;
	}
	if (cpu->used > s->threshold && s->guard)
		overload(s, cpu);
	cpu->since = now;
	cpu->used = 0;
	if (vm_exiting(s->vm))
		stpvm_end(s, REC_EXIT_CALL);
}

/*
 * Of the thread's stack only: those of interrupts, NMIs and debug exceptions are all
 * but empty and lie anywhere. (in_nmi() would not tell: the breakpoint of a kprobe
 * counts as NMI, on the stack of the thread.)
 */
static __always_inline bool stack_is_low(u32 need)
{
	unsigned long base = (unsigned long)task_stack_page(current);

	return (unsigned long)__builtin_frame_address(0) - base < need;
}

/* a handler did not run to its end */
static noinline void count_result(struct stpvm_session *s, struct stpvm_probe_stats *st,
				  enum vm_result r)
{
	if (r == VM_ERROR) {
		st->errors++;
		count_error(s);
	} else if (r == VM_SKIP_LOCK) {
		st->skipped_lock++;
		count_skip(s);
	}
}

/* What few hits meet: false where the handler must not run. */
static noinline bool rare_checks(struct stpvm_probe *p, struct stpvm_probe_stats *st)
{
	struct stpvm_session *s = p->session;

	if (!stpvm_live(s) || (s->own_only && !stpvm_own_task(s)))
		return false;
	if (stack_is_low(s->minstack)) {
		st->skipped_stack++;
		count_skip(s);
		return false;
	}
	return true;
}

static noinline void count_reentry(struct stpvm_session *s, struct stpvm_probe_stats *st)
{
	st->skipped_busy++;
	if (s->count_busy)
		count_skip(s);
}

enum vm_result stpvm_hit(struct stpvm_probe *p, const struct vm_hit *hit)
{
	struct stpvm_session *s = p->session;
	struct stpvm_probe_stats *st;
	struct stpvm_cpu *cpu;
	unsigned long flags;
	enum vm_result r = VM_SKIP_LOCK;
	u64 start, now;

	raw_local_irq_save(flags);
	cpu = raw_cpu_ptr(s->cpu);
	st = &cpu->stats[p->index];
	if (unlikely(cpu->busy)) {
		count_reentry(s, st);
		goto out;
	}
	cpu->busy = 1;
	barrier();
	if (unlikely(!stpvm_live(s) || s->own_only || stack_is_low(s->minstack)) &&
	    !rare_checks(p, st))
		goto idle;
	if (unlikely(p->sample) && ((st->hits + st->thinned) & p->sample)) {
		st->thinned++;
		goto idle;
	}
	st->hits++;
	start = rdtsc();
	r = vm_run(cpu->ctx, p->index, hit);
	if (unlikely(r != VM_OK))
		count_result(s, st, r);
	now = rdtsc();
	st->cycles += now - start;
	cpu->used += now - start;
	if (unlikely(now - cpu->since >= s->interval))
		interval_ends(s, cpu, st, start, now);
idle:
	barrier();
	cpu->busy = 0;
out:
	raw_local_irq_restore(flags);
	return r;
}

int stpvm_hit_value(struct stpvm_probe *p, struct vm_value *v)
{
	struct vm_hit hit = { .argmap = stpvm_map_plain, .sysnr = -1, .host = v };

	switch (stpvm_hit(p, &hit)) {
	case VM_ERROR:
		return -EIO;
	case VM_SKIP_LOCK:
		return -EAGAIN;
	default:
		return 0;
	}
}

/*
 * No other handler of the session runs in STARTING and STOPPING, so the
 * context of the CPU where this begins is free, and stays so when the task is
 * preempted or moves. `busy` keeps the irq_work out of its rings.
 */
enum vm_result stpvm_run_in_task(struct stpvm_probe *p)
{
	struct stpvm_session *s = p->session;
	struct stpvm_cpu *cpu = per_cpu_ptr(s->cpu, raw_smp_processor_id());
	struct stpvm_probe_stats *st = &cpu->stats[p->index];
	struct vm_hit hit = { .argmap = stpvm_map_plain, .sysnr = -1 };
	unsigned long flags = 0;
	enum vm_result r;
	u64 start, took;

	if (!s->limits->interruptible)
		raw_local_irq_save(flags);
	WRITE_ONCE(cpu->busy, 1);
	cpu->in_task = true;
	cpu->stuck = false;
	barrier();
	st->hits++;
	start = rdtsc();
	r = vm_run(cpu->ctx, p->index, &hit);
	took = rdtsc() - start;
	st->cycles += took;
	if (s->timing)
		note_extremes(st, took);
	count_result(s, st, r);
	if (vm_exiting(s->vm))
		stpvm_end(s, REC_EXIT_CALL);
	cpu->in_task = false;
	barrier();
	WRITE_ONCE(cpu->busy, 0);
	if (!s->limits->interruptible)
		raw_local_irq_restore(flags);
	stpvm_announce(s);
	return r;
}
