// SPDX-License-Identifier: MIT OR Apache-2.0
/* scripts.c - load on the machine, places in the kernel, and the scripts that most cases run there. */
#include "vmtest.h"

static volatile int hammering;

static void *hammer(void *arg)
{
	u64 *calls = arg;

	while (hammering) {
		syscall(SYS_getppid);
		++*calls;
	}
	return NULL;
}

void hammer_start(struct hammers *h)
{
	int i;

	hammering = 1;
	for (i = 0; i < 2; i++) {
		h->calls[i] = 0;
		pthread_create(&h->t[i], NULL, hammer, &h->calls[i]);
	}
}

u64 hammer_stop(struct hammers *h)
{
	hammering = 0;
	pthread_join(h->t[0], NULL);
	pthread_join(h->t[1], NULL);
	return h->calls[0] + h->calls[1];
}

void msleep(int ms)
{
	usleep(ms * 1000);
}

static const struct place places[] = {
	{ "fentry", IM_K_FENTRY, 0, "__do_sys_getppid", NULL, IM_AT_ANY },
	{ "regs", IM_K_FENTRY, 0, "__do_sys_getppid", NULL, IM_AT_REGS },
	{ "kprobe", IM_K_KPROBE, 0, "__do_sys_getppid", NULL, 0 },
	{ "return", IM_K_FRETURN, 0, "__do_sys_getppid", NULL, 0 },
	{ "retargs", IM_K_FRETURN, IM_P_ENTRY_ARGS, "__do_sys_getppid", NULL, 0 },
	{ "kretprobe", IM_K_FRETURN, 0, "__do_sys_getppid", NULL, 64 },
	{ "sysenter", IM_K_SYSENTER, 0, NULL, NULL, SYS_getppid },
	{ "sysexit", IM_K_SYSEXIT, 0, NULL, NULL, SYS_getppid },
	{ "trace", IM_K_TRACE, 0, NULL, "sys_enter", 2 },
	{ "nmi", IM_K_TRACE, 0, NULL, "nmi_handler", 3 },
	{ "timer", IM_K_TIMER, 0, NULL, NULL, 1000000 },
	{ "profile", IM_K_PROFILE, 0, NULL, NULL, 1000000 },
	{}
};

const struct place *place(const char *name)
{
	const struct place *p;

	for (p = places; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	fail("no place %s", name);
}

struct im_probe probe_at(struct image *im, u32 fn, const struct place *at)
{
	struct im_probe p = probe(im, fn, at->kind, at->name);

	p.flags |= at->flags;
	if (at->kind == IM_K_FRETURN || at->kind == IM_K_SYSEXIT)
		p.flags |= IM_P_RETURN;
	p.arg = at->arg;
	if (at->sym) {
		p.addr = symbol(at->sym);
		p.name = str(im, at->sym);
	}
	if (at->event)
		p.name = str(im, at->event);
	return p;
}

/* global x; probe PLACE { x++ } probe end { printf("x %d\n", x) } */
struct image *counter(u64 hash, const struct place *at, u32 cls)
{
	struct image *im = image_new(hash);
	u32 g = global(im, "x", cls), f = format(im, "x ");
	u64 count[] = { ins(OP_LOCK, 0, 0, 0, 0), ins(OP_GADDI, 1, 0, 0, g),
			ins(OP_RET, 0, 0, 0, 0) };
	u64 print[] = { ins(OP_LOCK, 0, 0, 0, 0), ins(OP_GGET, 0, 0, 0, g),
			ins(OP_PRINT, 0, 0, 0, f), ins(OP_UNLOCK, 0, 0, 0, 0),
			ins(OP_RET, 0, 0, 0, 0) };
	u32 fc = func(im, "count", 2, 3, count), fp = func(im, "print", 2, 5, print);
	struct im_probe p = probe_at(im, fc, at), e;

	lock(im, &p, g, cls == IM_G_PERCPU ? IM_L_ADD : IM_L_WRITE);
	add(im, &p);
	e = probe(im, fp, IM_K_END, "end");
	lock(im, &e, g, IM_L_READ);
	add(im, &e);
	return im;
}

/* probe PLACE { printf("hit %d\n", pid()) } */
struct image *printer(u64 hash, const struct place *at)
{
	struct image *im = image_new(hash);
	u32 f = format(im, "hit ");
	u64 code[] = { ins(OP_HELPI, 0, 0, 0, H_PID), ins(OP_PRINT, 0, 0, 0, f),
		       ins(OP_RET, 0, 0, 0, 0) };
	struct im_probe p = probe_at(im, func(im, "print", 2, 3, code), at);

	add(im, &p);
	return im;
}
