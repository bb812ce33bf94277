// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_syscall.c - system calls, by the raw sys_enter and sys_exit events: one
 * hook each for any number of calls, then a table by number. No debug
 * information is needed; arguments come from the user's registers.
 *
 *   table[exit?][32-bit?][nr] ──► order[first ...], numbers of probes, ~0 ends
 *
 * Row NR_MAX stands for every number that has no probe of its own.
 */
#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <asm/syscall.h>

#include "attach.h"
#include "arch.h"

#define NR_MAX 1024u
#define END    0xffffffffu

struct syscalls {
	struct stpvm_session *session;
	struct tracepoint *tp[2];
	struct stpvm_range caller[2]; /* of callbacks, where there are several */
	bool registered[2];
	u32 table[2][2][NR_MAX + 1];
	u32 *order;
};

static __always_inline void dispatch(struct syscalls *sc, struct pt_regs *regs, u32 leave, s64 nr,
				     u64 ret)
{
	bool narrow = in_ia32_syscall();
	struct stpvm_session *s = sc->session;
	const u32 *order;
	struct vm_hit hit;

	order = &sc->order[sc->table[leave][narrow][(u64)nr < NR_MAX ? nr : NR_MAX]];
	if (*order == END)
		return;
	hit.regs = regs;
	hit.args = hit.regs;
	hit.argmap = narrow ? stpvm_map_sys32 : stpvm_map_sys;
	hit.retval = ret;
	hit.addr = 0;
	hit.caller = 0;
	hit.nargs = NREGS;
	/* the call is made with what stands in the registers behind the event */
	hit.flags = HIT_CALLER | (leave ? VM_HIT_RETURN : HIT_LIVE) | (narrow ? VM_HIT_COMPAT : 0);
	hit.sysnr = nr;
	hit.host = &sc->caller[leave];
	for (; *order != END; order++)
		stpvm_hit(&s->probe[*order], &hit);
}

static void on_enter(void *data, struct pt_regs *regs, long nr)
{
	struct syscalls *sc = data;

	if (likely(stpvm_live(sc->session)))
		dispatch(sc, regs, 0, nr, 0);
}

static void on_exit(void *data, struct pt_regs *regs, long ret)
{
	struct syscalls *sc = data;

	if (likely(stpvm_live(sc->session)))
		dispatch(sc, regs, 1, (int)regs->orig_ax, ret);
}

/* -- the tables --------------------------------------------------------------- */

static bool wanted(const struct stpvm_probe *p, u32 leave, u32 narrow, s64 nr)
{
	return p->kind == (leave ? IM_K_SYSEXIT : IM_K_SYSENTER) && p->via == VIA_DEFAULT &&
	       p->im->arg2 == narrow && (p->im->arg == nr || p->im->arg == -1);
}

/*
 * Lists for one table, behind *used. With `order` NULL only counts the room
 * that they need. Probes of one number are found by walking all probes once per
 * number that has any, so the marks keep that to numbers in use.
 */
static int build(struct stpvm_session *s, struct syscalls *sc, u32 leave, u32 narrow,
		 unsigned long *own, u32 *used, u32 *order)
{
	u32 n, nr;

	bitmap_zero(own, NR_MAX + 1);
	for (n = 0; n < s->nprobes; n++)
		if (wanted(&s->probe[n], leave, narrow, s->probe[n].im->arg) &&
		    s->probe[n].im->arg >= 0)
			__set_bit(s->probe[n].im->arg, own);
	__set_bit(NR_MAX, own);
	for_each_set_bit(nr, own, NR_MAX + 1)
	{
		sc->table[leave][narrow][nr] = *used;
		for (n = 0; n < s->nprobes; n++) {
			if (!wanted(&s->probe[n], leave, narrow, nr == NR_MAX ? -1 : nr))
				continue;
			if (order)
				order[*used] = n;
			if (++*used > (1u << 24))
				return -E2BIG;
		}
		if (order)
			order[*used] = END;
		++*used;
		if (stpvm_interrupted(s))
			return -EINTR;
	}
	for (nr = 0; nr < NR_MAX; nr++)
		if (!test_bit(nr, own))
			sc->table[leave][narrow][nr] = sc->table[leave][narrow][NR_MAX];
	return 0;
}

static int build_all(struct stpvm_session *s, struct syscalls *sc, u32 *used)
{
	unsigned long *own = bitmap_alloc(NR_MAX + 1, GFP_KERNEL);
	int err = own ? 0 : -ENOMEM;
	u32 n;

	*used = 0;
	for (n = 0; n < 4 && !err; n++)
		err = build(s, sc, n >> 1, n & 1, own, used, sc->order);
	bitmap_free(own);
	return err;
}

/* -- the source --------------------------------------------------------------- */

static int check(struct stpvm_session *s)
{
	u32 n;
	int err;

	for (n = 0; n < s->nprobes; n++) {
		struct stpvm_probe *p = &s->probe[n];

		if ((p->kind != IM_K_SYSENTER && p->kind != IM_K_SYSEXIT) || p->via != VIA_DEFAULT)
			continue;
		if (p->im->arg >= -1 && p->im->arg < NR_MAX && (u64)p->im->arg2 <= 1)
			continue;
		err = stpvm_refuse(s, p, -EINVAL, "no such system call number");
		if (err)
			return err;
	}
	return 0;
}

static int syscall_arm(struct stpvm_session *s)
{
	static const char *const names[2] = { "sys_enter", "sys_exit" };
	struct syscalls *sc;
	struct module *none;
	u32 n, used;
	int err;

	err = check(s);
	if (err || (!stpvm_count(s, IM_K_SYSENTER, VIA_DEFAULT) &&
		    !stpvm_count(s, IM_K_SYSEXIT, VIA_DEFAULT)))
		return err;
	sc = kvzalloc(sizeof(*sc), GFP_KERNEL_ACCOUNT);
	if (!sc)
		return -ENOMEM;
	s->arm[SRC_SYSCALL] = sc;
	sc->session = s;
	err = build_all(s, sc, &used);
	if (err)
		return err;
	sc->order = kvcalloc(used, sizeof(*sc->order), GFP_KERNEL_ACCOUNT);
	if (!sc->order)
		return -ENOMEM;
	err = build_all(s, sc, &used);
	for (n = 0; n < 2 && !err; n++) {
		if (!stpvm_count(s, n ? IM_K_SYSEXIT : IM_K_SYSENTER, VIA_DEFAULT))
			continue;
		sc->tp[n] = stpvm_tracepoint(names[n], &none);
		if (!sc->tp[n])
			return -ENOENT;
		stpvm_symbol_range((unsigned long)sc->tp[n]->iterator, &sc->caller[n]);
		err = tracepoint_probe_register(sc->tp[n], n ? (void *)on_exit : (void *)on_enter,
						sc);
		sc->registered[n] = !err;
	}
	return err;
}

static void syscall_disarm(struct stpvm_session *s)
{
	struct syscalls *sc = s->arm[SRC_SYSCALL];
	u32 n;

	for (n = 0; n < 2; n++) {
		if (sc->registered[n])
			tracepoint_probe_unregister(sc->tp[n],
						    n ? (void *)on_exit : (void *)on_enter, sc);
		sc->registered[n] = false;
	}
}

static void syscall_release(struct stpvm_session *s)
{
	struct syscalls *sc = s->arm[SRC_SYSCALL];

	kvfree(sc->order);
	kvfree(sc);
}

const struct stpvm_source stpvm_syscall_source = {
	.name = "syscall",
	.arm = syscall_arm,
	.disarm = syscall_disarm,
	.release = syscall_release,
};
