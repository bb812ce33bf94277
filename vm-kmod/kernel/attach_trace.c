// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_trace.c - tracepoints, of the kernel and of loaded modules, found by
 * name (the symbols of tracepoints are not exported). One callback serves all
 * of them: it takes the arguments as machine words; what they mean the compiler
 * knows from BTF. Handlers run with preemption off.
 *
 * On x86-64 a callback of up to 5 arguments after its own finds them in
 * registers. One of more finds them above its return address; reading all
 * twelve stays inside the caller's frames whatever the event has.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include "attach.h"
#include "arch.h"

struct trace {
	struct stpvm_probe *p;
	struct stpvm_range caller; /* of callbacks, where there are several */
	struct tracepoint *tp;
	struct module *mod;
	void *func;
};

struct traces {
	u32 count;
	struct trace tr[];
};

static __always_inline void event(struct trace *t, const u64 *args)
{
	struct vm_hit hit;

	hit.args = args;
	hit.argmap = stpvm_map_plain;
	hit.regs = NULL;
	hit.retval = 0;
	hit.addr = 0;
	hit.caller = 0;
	hit.nargs = t->p->im->arg;
	hit.flags = HIT_CALLER;
	hit.sysnr = -1;
	hit.host = &t->caller;
	stpvm_hit(t->p, &hit);
}

static void event_few(void *data, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
	struct trace *t = data;
	u64 args[5] = { a0, a1, a2, a3, a4 };

	if (likely(stpvm_live(t->p->session)))
		event(t, args);
}

static void event_many(void *data, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5, u64 a6, u64 a7,
		       u64 a8, u64 a9, u64 a10, u64 a11)
{
	struct trace *t = data;
	u64 args[12] = { a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11 };

	if (likely(stpvm_live(t->p->session)))
		event(t, args);
}

/* -- finding one by name ----------------------------------------------------- */

struct search {
	const char *name;
	struct tracepoint *tp;
	struct module *mod;
	struct notifier_block nb;
};

static void look(struct tracepoint *tp, void *arg)
{
	struct search *f = arg;

	if (!f->tp && !strcmp(tp->name, f->name))
		f->tp = tp;
}

#ifdef CONFIG_MODULES
/* Registering a notifier shows every module with tracepoints that is loaded. */
static int look_module(struct notifier_block *nb, unsigned long action, void *data)
{
	struct search *f = container_of(nb, struct search, nb);
	struct tp_module *tm = data;
	u32 n;

	if (action != MODULE_STATE_COMING || f->tp)
		return NOTIFY_OK;
	for (n = 0; n < tm->mod->num_tracepoints; n++) {
		struct tracepoint *tp = tracepoint_ptr_deref(&tm->mod->tracepoints_ptrs[n]);

		if (!strcmp(tp->name, f->name) && try_module_get(tm->mod)) {
			f->tp = tp;
			f->mod = tm->mod;
			break;
		}
	}
	return NOTIFY_OK;
}
#endif

struct tracepoint *stpvm_tracepoint(const char *name, struct module **mod)
{
	struct search f = { .name = name };

	for_each_kernel_tracepoint(look, &f);
#ifdef CONFIG_MODULES
	if (!f.tp) {
		f.nb.notifier_call = look_module;
		if (!register_tracepoint_module_notifier(&f.nb))
			unregister_tracepoint_module_notifier(&f.nb);
	}
#endif
	*mod = f.mod;
	return f.tp;
}

/* -- the source --------------------------------------------------------------- */

static int trace_one(struct stpvm_session *s, struct stpvm_probe *p, struct trace *t)
{
	struct tracepoint *tp;
	int err;

	if (p->im->arg < 0 || p->im->arg > 12)
		return stpvm_refuse(s, p, -EINVAL, "an event has at most 12 arguments");
	tp = stpvm_tracepoint(vm_string(s->prog, p->im->name), &t->mod);
	if (!tp)
		return stpvm_refuse(s, p, -ENOENT, "no such tracepoint");
	t->p = p;
	stpvm_symbol_range((unsigned long)tp->iterator, &t->caller);
	t->func = p->im->arg <= 5 ? (void *)event_few : (void *)event_many;
	err = tracepoint_probe_register(tp, t->func, t);
	if (err)
		return stpvm_refuse(s, p, err, "the tracepoint can't be used");
	t->tp = tp;
	return 0;
}

static int trace_arm(struct stpvm_session *s)
{
	u32 n, all = stpvm_count(s, IM_K_TRACE, VIA_DEFAULT);
	struct traces *ts;
	int err;

	if (!all)
		return 0;
	ts = kvzalloc(struct_size(ts, tr, all), GFP_KERNEL_ACCOUNT);
	if (!ts)
		return -ENOMEM;
	s->arm[SRC_TRACE] = ts;
	for (n = 0; n < s->nprobes; n++) {
		if (s->probe[n].kind != IM_K_TRACE || s->probe[n].via != VIA_DEFAULT)
			continue;
		err = trace_one(s, &s->probe[n], &ts->tr[ts->count++]) ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	return 0;
}

static void trace_disarm(struct stpvm_session *s)
{
	struct traces *ts = s->arm[SRC_TRACE];
	u32 n;

	for (n = 0; n < ts->count; n++)
		if (ts->tr[n].tp)
			tracepoint_probe_unregister(ts->tr[n].tp, ts->tr[n].func, &ts->tr[n]);
}

static void trace_release(struct stpvm_session *s)
{
	struct traces *ts = s->arm[SRC_TRACE];
	u32 n;

	for (n = 0; n < ts->count; n++)
		module_put(ts->tr[n].mod);
	kvfree(ts);
}

const struct stpvm_source stpvm_trace_source = {
	.name = "tracepoint",
	.arm = trace_arm,
	.disarm = trace_disarm,
	.release = trace_release,
};
