// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * rings.c - pages of the output rings, and waking who reads them. In: sizes
 * from LOAD, calls of vmh_wake() after each record. Out: one mapping per CPU
 * (core/record.h describes what is in it), EPOLLIN for the loader.
 *
 * A record does not wake the reader. The first one after the reader went to
 * sleep queues an irq_work, which starts a timer of wake_ms; when a CPU's ring
 * holds more than the watermark, or a control record was written, the reader
 * is woken at once. poll() takes the mark down again (device.c).
 *
 * The loader can write into these pages: nothing read from them is trusted,
 * and core/ keeps its own copy of what matters.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/vmalloc.h>

#include "session.h"
#include "compat/compat.h"

#define DATA_DEFAULT (512u << 10)
#define CTL_DEFAULT  (64u << 10)
#define RING_MAX     (1u << 30)

static int ring_size(u32 want, u32 normal, size_t *out)
{
	if (!want)
		want = normal;
	if (want > RING_MAX)
		return -EINVAL;
	*out = roundup_pow_of_two(max_t(u32, want, PAGE_SIZE));
	return 0;
}

/* Takes the rings of every CPU, out of the budget of this LOAD. */
int stpvm_rings_new(struct stpvm_session *s, u32 data, u32 ctl)
{
	u64 total;
	u32 cpu;
	int err;

	err = ring_size(data, DATA_DEFAULT, &s->ring_data);
	if (!err)
		err = ring_size(ctl, CTL_DEFAULT, &s->ring_ctl);
	if (err)
		return err;
	s->ring_len = PAGE_SIZE + s->ring_data + s->ring_ctl;
	total = (u64)s->ring_len * s->ncpus;
	if (total > stpvm_budget)
		return -ENOMEM;
	stpvm_budget -= total;
	s->ring = kvcalloc(s->ncpus, sizeof(*s->ring), GFP_KERNEL_ACCOUNT);
	if (!s->ring)
		return -ENOMEM;
	for (cpu = 0; cpu < s->ncpus; cpu++) {
		if (!cpu_possible(cpu))
			continue;
		s->ring[cpu].map = vmalloc_user(s->ring_len);
		if (!s->ring[cpu].map)
			return -ENOMEM;
		vm_set_ring(s->vm, cpu, s->ring[cpu].map, s->ring_data, s->ring_ctl);
		s->mem_rings += s->ring_len;
	}
	return 0;
}

void stpvm_rings_free(struct stpvm_session *s)
{
	u32 cpu;

	for (cpu = 0; s->ring && cpu < s->ncpus; cpu++)
		vfree(s->ring[cpu].map);
	kvfree(s->ring);
	s->ring = NULL;
}

/* Maps the rings of one CPU: its number is the offset in units of ring_len. */
int stpvm_rings_mmap(struct stpvm_session *s, struct vm_area_struct *vma)
{
	unsigned long pages = s->ring_len >> PAGE_SHIFT;
	unsigned long cpu;

	if (!s->ring)
		return -EBADFD;
	if (vma->vm_end - vma->vm_start != s->ring_len || vma->vm_pgoff % pages)
		return -EINVAL;
	cpu = vma->vm_pgoff / pages;
	if (cpu >= s->ncpus || !s->ring[cpu].map)
		return -ENXIO;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	stpvm_vma_no_exec(vma);
	return remap_vmalloc_range(vma, s->ring[cpu].map, 0);
}

static void wake_reader(struct stpvm_session *s)
{
	WRITE_ONCE(s->wake, WAKE_NOW);
	wake_up_interruptible_poll(&s->wait, EPOLLIN | EPOLLRDNORM);
}

static void wake_work(struct irq_work *w)
{
	struct stpvm_session *s = container_of(w, struct stpvm_session, wake_work);

	if (READ_ONCE(s->end)) {
		stpvm_announce(s);
		wake_reader(s);
	} else if (READ_ONCE(s->wake) == WAKE_LATER) {
		hrtimer_start(&s->wake_timer, ms_to_ktime(s->wake_ms), HRTIMER_MODE_REL);
	} else {
		wake_reader(s);
	}
}

static enum hrtimer_restart wake_timer(struct hrtimer *t)
{
	wake_reader(container_of(t, struct stpvm_session, wake_timer));
	return HRTIMER_NORESTART;
}

void stpvm_wake_init(struct stpvm_session *s)
{
	init_waitqueue_head(&s->wait);
	init_irq_work(&s->wake_work, wake_work);
	stpvm_hrtimer_setup(&s->wake_timer, wake_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
}

/* No handler runs any more: nobody queues the work again. */
void stpvm_wake_stop(struct stpvm_session *s)
{
	irq_work_sync(&s->wake_work);
	hrtimer_cancel(&s->wake_timer);
}

/* bytes that wait in this CPU's data ring; a loader that lies gets its wakes wrong */
static __always_inline u64 waiting(const struct stpvm_session *s, u32 cpu)
{
	const struct ring_head *h = s->ring[cpu].map;

	return READ_ONCE(h[RING_DATA].head) - READ_ONCE(h[RING_DATA].tail);
}

/*
 * A begin, end or error handler runs in the task that asked, where nothing but
 * the globals of its own session is held: it can wait. The loader reads in
 * another thread meanwhile; its death ends the wait, as does room_ms without
 * any progress of the reader, so that a loader that does not read is not stuck.
 */
bool vmh_wait_room(struct vm_ctx *c, u32 ring, u64 tail)
{
	struct stpvm_session *s = vm_ctx_host(c);
	u32 number = vm_ctx_cpu(c), slept = 0;
	struct stpvm_cpu *cpu = per_cpu_ptr(s->cpu, number);
	const struct ring_head *h = s->ring[number].map;

	if (!cpu->in_task || irqs_disabled() || (cpu->stuck && cpu->stuck_at == tail))
		return false;
	cond_resched();
	while (!fatal_signal_pending(current)) {
		if (READ_ONCE(h[ring].tail) != tail)
			return true;
		if (s->room_ms != ROOM_FOREVER && slept > msecs_to_jiffies(s->room_ms)) {
			cpu->stuck = true;
			cpu->stuck_at = tail;
			return false;
		}
		wake_reader(s);
		schedule_timeout_killable(1);
		slept++;
	}
	return false;
}

void vmh_wake(struct vm_ctx *c, bool urgent)
{
	struct stpvm_session *s = vm_ctx_host(c);
	int was = READ_ONCE(s->wake);

	/* exit() has put its record into the control ring */
	if (urgent && vm_exiting(s->vm))
		stpvm_end(s, REC_EXIT_CALL);
	if (was == WAKE_NOW)
		return;
	if (urgent || waiting(s, raw_smp_processor_id()) >= s->watermark)
		WRITE_ONCE(s->wake, WAKE_NOW);
	else if (was == WAKE_LATER || cmpxchg(&s->wake, WAKE_IDLE, WAKE_LATER) != WAKE_IDLE)
		return;
	irq_work_queue(&s->wake_work);
}
