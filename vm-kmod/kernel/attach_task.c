// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_task.c - begin, end and error probes: handlers that run in the task
 * of the loader, inside START and STOP, in the order of their priorities and,
 * where these are equal, of the script. And those of its standard input,
 * inside INPUT.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "attach.h"

static int by_priority(const void *a, const void *b)
{
	const struct stpvm_probe *p = *(void *const *)a, *q = *(void *const *)b;

	if (p->im->arg != q->im->arg)
		return p->im->arg < q->im->arg ? -1 : 1;
	return p->index < q->index ? -1 : 1;
}

/* the probes of that kind in order; NULL: none, or no memory */
static struct stpvm_probe **in_order(struct stpvm_session *s, u32 kind, u32 *count)
{
	u32 n, found = 0, all = stpvm_count(s, kind, VIA_DEFAULT);
	struct stpvm_probe **list;

	*count = 0;
	if (!all)
		return NULL;
	list = kvmalloc_array(all, sizeof(*list), GFP_KERNEL);
	if (!list)
		return NULL;
	for (n = 0; n < s->nprobes && found < all; n++)
		if (s->probe[n].kind == kind && s->probe[n].via == VIA_DEFAULT)
			list[found++] = &s->probe[n];
	sort(list, found, sizeof(*list), by_priority, NULL);
	*count = found;
	return list;
}

/* exit() lets the other begin handlers run; abort() and too many errors do not */
void stpvm_run_begin(struct stpvm_session *s)
{
	u32 n, count;
	struct stpvm_probe **list = in_order(s, IM_K_BEGIN, &count);

	for (n = 0; n < count; n++) {
		if (vm_aborted(s->vm) || fatal_signal_pending(current))
			break;
		if (READ_ONCE(s->end) && READ_ONCE(s->end) != REC_EXIT_CALL + 1)
			break;
		stpvm_run_in_task(list[n]);
		cond_resched();
	}
	kvfree(list);
}

/* end or error handlers: all of them, whatever happens in one */
void stpvm_run_end(struct stpvm_session *s, u32 kind)
{
	u32 n, count;
	struct stpvm_probe **list = in_order(s, kind, &count);

	for (n = 0; n < count && !fatal_signal_pending(current); n++) {
		stpvm_run_in_task(list[n]);
		cond_resched();
	}
	kvfree(list);
}

/*
 * The lock of the session is not needed: its machine and its probes stand until
 * the file is closed, and no handler starts once the run is over.
 */
int stpvm_session_input(struct stpvm_session *s, struct stpvm_input *req)
{
	struct vm_value v = {};
	int err = 0;
	u32 n;

	if (smp_load_acquire(&s->state) < STPVM_LOADED)
		return -EBADFD;
	v.len = v.cap = min_t(u32, req->len, s->limits->maxstringlen - 1);
	v.buf = kvmalloc(v.len + 1, GFP_KERNEL_ACCOUNT);
	if (!v.buf)
		return -ENOMEM;
	if (copy_from_user(v.buf, u64_to_user_ptr(req->text), v.len))
		err = -EFAULT;
	for (n = 0; !err && n < s->nprobes; n++)
		if (s->probe[n].kind == IM_K_INPUT && s->probe[n].im->arg == req->line)
			stpvm_hit_value(&s->probe[n], &v);
	kvfree(v.buf);
	return err;
}
