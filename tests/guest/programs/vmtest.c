// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * vmtest - speaks to /dev/stpvm without stap: makes small images by hand, loads
 * them, and checks what the module does with them. For tests of the module
 * itself: counts that must be exact, storms, kill -9, bad requests.
 *
 *   vmtest CASE [arguments]     see `cases` at the end; status 0: as it should be
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../../vm-kmod/core/image.h"
#include "../../../vm-kmod/core/isa.h"
#include "../../../vm-kmod/core/record.h"
#include "../../../vm-kmod/kernel/uapi.h"

#define fail(...)                                           \
	do {                                                \
		printf("FAIL %s:%d: ", __func__, __LINE__); \
		printf(__VA_ARGS__);                        \
		printf("\n");                               \
		exit(1);                                    \
	} while (0)
#define check(cond, ...)                   \
	do {                               \
		if (!(cond))               \
			fail(__VA_ARGS__); \
	} while (0)

/* -- an image ------------------------------------------------------------------ */

struct part {
	char data[1 << 19];
	u32 len, count;
};

struct image {
	struct part part[IM_S_MAX];
	u32 caps;
	struct im_limits limits;
	u64 hash;
	char *flat;
	u32 flat_len;
};

static u32 put(struct image *im, u32 sect, const void *p, u32 size)
{
	struct part *t = &im->part[sect];

	check(t->len + size <= sizeof(t->data), "image too large");
	memcpy(t->data + t->len, p, size);
	t->len += size;
	return t->count++;
}

static u32 str(struct image *im, const char *s)
{
	struct im_str e = { im->part[IM_S_BYTES].len, strlen(s) };
	u32 i;

	for (i = 0; i <= e.len; i++)
		put(im, IM_S_BYTES, s + i, 1);
	return put(im, IM_S_STR, &e, sizeof(e));
}

static u64 ins(u32 op, u32 a, u32 b, u32 c, s32 imm)
{
	return op | a << 8 | b << 16 | (u64)c << 24 | (u64)(u32)imm << 32;
}

static u32 func(struct image *im, const char *name, u32 nregs, u32 n, const u64 *code)
{
	struct im_func f = { .code = im->part[IM_S_CODE].count,
			     .ncode = n,
			     .nregs = nregs,
			     .nstrs = 4,
			     .flags = IM_F_HANDLER,
			     .name = str(im, name) };
	u32 i;

	for (i = 0; i < n; i++)
		put(im, IM_S_CODE, &code[i], 8);
	return put(im, IM_S_FUNC, &f, sizeof(f));
}

static u32 global(struct image *im, const char *name, u32 cls)
{
	struct im_global g = { .name = str(im, name), .cls = cls, .type = IM_T_INT };

	return put(im, IM_S_GLOBAL, &g, sizeof(g));
}

static struct im_probe probe(struct image *im, u32 fn, u32 kind, const char *pp)
{
	struct im_probe p = { .func = fn, .kind = kind, .cond = ~0u };

	p.pp = p.pn = str(im, pp);
	if (kind <= IM_K_ERROR)
		p.flags = IM_P_INTERRUPTIBLE;
	return p;
}

static void lock(struct image *im, struct im_probe *p, u32 g, u32 mode)
{
	struct im_lock l = { g, mode };

	p->lock_first = put(im, IM_S_LOCK, &l, sizeof(l));
	p->lock_count = 1;
}

static u32 add(struct image *im, struct im_probe *p)
{
	return put(im, IM_S_PROBE, p, sizeof(*p));
}

/* a format "TEXT %d\n", one integer */
static u32 format(struct image *im, const char *text)
{
	struct im_fmtitem lit = { .conv = IM_C_LIT, .prec = -1, .str = str(im, text) };
	struct im_fmtitem num = { .conv = IM_C_DEC, .prec = -1 };
	struct im_fmtitem end = { .conv = IM_C_LIT, .prec = -1, .str = str(im, "\n") };
	struct im_fmt f = { .count = 3, .ni = 1 };

	f.first = put(im, IM_S_FMTITEM, &lit, sizeof(lit));
	put(im, IM_S_FMTITEM, &num, sizeof(num));
	put(im, IM_S_FMTITEM, &end, sizeof(end));
	return put(im, IM_S_FMT, &f, sizeof(f));
}

static const u32 element[IM_S_MAX] = {
	8,
	sizeof(struct im_func),
	sizeof(struct im_probe),
	sizeof(struct im_global),
	8,
	sizeof(struct im_str),
	1,
	sizeof(struct im_fmt),
	sizeof(struct im_fmtitem),
	sizeof(struct im_lock),
	sizeof(struct im_try),
	sizeof(struct im_iter),
	sizeof(struct im_dfa),
	4,
};

static struct image *image_new(u64 hash)
{
	struct image *im = calloc(1, sizeof(*im));

#define LIMIT(f, n, d, lo, hi, doc) im->limits.f = d;
#include "../../../vm-kmod/core/limits.def"
#undef LIMIT
	im->hash = hash;
	im->caps = CAP_ALL_PROCS | CAP_KERNEL_READ;
	str(im, "");
	return im;
}

static void flatten(struct image *im)
{
	struct im_header *h;
	u32 at = (sizeof(*h) + 7) & ~7u, i;

	im->flat = calloc(1, sizeof(*im));
	h = (struct im_header *)im->flat;
	h->magic = IM_MAGIC;
	h->abi = IM_ABI;
	h->header_size = sizeof(*h);
	h->caps = im->caps;
	h->isa_hash = im->hash;
	h->name = str(im, "vmtest");
	h->limits = im->limits;
	for (i = 0; i < IM_S_MAX; i++) {
		h->sect[i].off = at;
		h->sect[i].count = im->part[i].len / element[i];
		memcpy(im->flat + at, im->part[i].data, im->part[i].len);
		at = (at + im->part[i].len + 7) & ~7u;
	}
	h->total_size = im->flat_len = at;
}

/* -- a session ----------------------------------------------------------------- */

struct session {
	int fd;
	struct stpvm_info info;
	struct stpvm_load load;
	struct stpvm_start start;
	void *map[64];
};

static void open_session(struct session *s)
{
	memset(s, 0, sizeof(*s));
	s->fd = open("/dev/stpvm", O_RDWR | O_CLOEXEC);
	check(s->fd >= 0, "open: %m");
	s->info.size = sizeof(s->info);
	check(!ioctl(s->fd, STPVM_IOC_INFO, &s->info), "INFO: %m");
}

static int load(struct session *s, struct image *im)
{
	flatten(im);
	s->load = (struct stpvm_load){ .size = sizeof(s->load),
				       .image_len = im->flat_len,
				       .image = (unsigned long)im->flat,
				       .target = 17,
				       .loader_pid = getpid() };
	if (ioctl(s->fd, STPVM_IOC_LOAD, &s->load))
		return -errno;
	return 0;
}

static void must_load(struct session *s, struct image *im)
{
	int err = load(s, im);
	u32 cpu;

	check(!err, "LOAD: %s: rule %u func %d pc %d: %s", strerror(-err), s->load.fault_rule,
	      (int)s->load.fault_func, (int)s->load.fault_pc, s->load.fault_text);
	for (cpu = 0; cpu < s->info.ncpus && cpu < 64; cpu++) {
		s->map[cpu] = mmap(NULL, s->load.ring_map_len, PROT_READ | PROT_WRITE, MAP_SHARED,
				   s->fd, cpu * s->load.ring_map_len);
		check(s->map[cpu] != MAP_FAILED, "mmap %u: %m", cpu);
	}
	free(im->flat);
	free(im);
}

static int start(struct session *s)
{
	s->start = (struct stpvm_start){ .size = sizeof(s->start) };
	return ioctl(s->fd, STPVM_IOC_START, &s->start) ? -errno : 0;
}

static void must_start(struct session *s)
{
	int err = start(s);

	check(!err, "START: %s: probe %d: %s", strerror(-err), (int)s->start.failed_probe,
	      s->start.text);
}

static void must_stop(struct session *s)
{
	check(!ioctl(s->fd, STPVM_IOC_STOP), "STOP: %m");
}

static struct stpvm_probe_stats stats_of(struct session *s, u32 probe)
{
	struct stpvm_probe_stats one = {};
	struct stpvm_stats st = {
		.size = sizeof(st), .first = probe, .count = 1, .array = (unsigned long)&one
	};

	check(!ioctl(s->fd, STPVM_IOC_STATS, &st), "STATS: %m");
	return one;
}

/* next record of a ring, or NULL */
static struct rec *next(struct session *s, u32 cpu, u32 ring)
{
	struct ring_head *h = (struct ring_head *)s->map[cpu] + ring;

	for (;;) {
		u64 head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
		struct rec *r =
			(struct rec *)((char *)s->map[cpu] + h->offset + (h->tail & (h->size - 1)));

		if (h->tail == head)
			return NULL;
		check(r->len >= sizeof(*r) && !(r->len & 7) && head - h->tail >= r->len,
		      "torn record");
		h->tail += r->len;
		if (r->type != REC_PAD)
			return r;
	}
}

/* the number in the last REC_PRINT of all rings; -1: none. *count: how many */
static s64 last_print(struct session *s, u32 *count)
{
	u64 seq = 0;
	s64 value = -1;
	u32 cpu;

	*count = 0;
	for (cpu = 0; cpu < s->info.ncpus; cpu++) {
		struct rec *r;

		while ((r = next(s, cpu, RING_DATA))) {
			if (r->type != REC_PRINT)
				continue;
			++*count;
			if (r->seq > seq) {
				seq = r->seq;
				value = *(s64 *)((char *)(r + 1) + 8);
			}
		}
	}
	return value;
}

/* the reason of the REC_EXIT in the control rings, -1: none; says what else is there */
static int exit_reason(struct session *s)
{
	int reason = -1;
	u32 cpu;

	for (cpu = 0; cpu < s->info.ncpus; cpu++) {
		struct rec *r;

		while ((r = next(s, cpu, RING_CTL))) {
			u32 *b = (u32 *)(r + 1);

			if (r->type == REC_EXIT)
				reason = b[0];
			else if (r->type == REC_ERROR)
				printf("error at %u: %.*s\n", b[0], (int)b[2], (char *)(b + 4));
			else
				printf("control record %u\n", r->type);
		}
	}
	return reason;
}

static u64 symbol(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char sym[256], line[512];
	unsigned long long addr;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %255s", &addr, sym) == 2 && !strcmp(sym, name)) {
			fclose(f);
			return addr;
		}
	fail("no symbol %s", name);
}

/* -- load on the machine --------------------------------------------------------- */

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

struct hammers {
	pthread_t t[2];
	u64 calls[2];
};

static void hammer_start(struct hammers *h)
{
	int i;

	hammering = 1;
	for (i = 0; i < 2; i++) {
		h->calls[i] = 0;
		pthread_create(&h->t[i], NULL, hammer, &h->calls[i]);
	}
}

static u64 hammer_stop(struct hammers *h)
{
	hammering = 0;
	pthread_join(h->t[0], NULL);
	pthread_join(h->t[1], NULL);
	return h->calls[0] + h->calls[1];
}

static void msleep(int ms)
{
	usleep(ms * 1000);
}

/* -- scripts --------------------------------------------------------------------- */

struct place {
	const char *name; /* on the command line */
	u32 kind, flags;
	const char *sym, *event;
	s64 arg;
};

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
	{ "timer", IM_K_TIMER, 0, NULL, NULL, 1000000 },
	{ "profile", IM_K_PROFILE, 0, NULL, NULL, 1000000 },
	{}
};

static const struct place *place(const char *name)
{
	const struct place *p;

	for (p = places; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	fail("no place %s", name);
}

static struct im_probe probe_at(struct image *im, u32 fn, const struct place *at)
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
static struct image *counter(u64 hash, const struct place *at, u32 cls)
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
static struct image *printer(u64 hash, const struct place *at)
{
	struct image *im = image_new(hash);
	u32 f = format(im, "hit ");
	u64 code[] = { ins(OP_HELPI, 0, 0, 0, H_PID), ins(OP_PRINT, 0, 0, 0, f),
		       ins(OP_RET, 0, 0, 0, 0) };
	struct im_probe p = probe_at(im, func(im, "print", 2, 3, code), at);

	add(im, &p);
	return im;
}

/* -- cases ----------------------------------------------------------------------- */

/* begin, end and error handlers in the order of priority; exit() and error */
static void case_order(char **argv)
{
	static const s64 prio[] = { 5, -3, 0, -3 };
	struct session s;
	struct image *im;
	u32 f, i, seen = 0;
	struct rec *r;
	s64 got[8];
	u32 cpu;

	(void)argv;
	open_session(&s);
	im = image_new(s.info.isa_hash);
	f = format(im, "");
	for (i = 0; i < 4; i++) {
		u64 code[] = { ins(OP_LDI, 0, 0, 0, i), ins(OP_PRINT, 0, 0, 0, f),
			       ins(OP_RET, 0, 0, 0, 0) };
		struct im_probe p = probe(im, func(im, "b", 2, 3, code), IM_K_BEGIN, "begin");

		p.arg = prio[i];
		add(im, &p);
	}
	must_load(&s, im);
	must_start(&s);
	/* one record each on whatever CPU the task was; the sequence orders them */
	for (cpu = 0; cpu < s.info.ncpus; cpu++)
		while ((r = next(&s, cpu, RING_DATA))) {
			check(r->seq >= 1 && r->seq <= 4, "sequence %llu",
			      (unsigned long long)r->seq);
			got[r->seq] = *(s64 *)((char *)(r + 1) + 8);
			seen++;
		}
	check(seen == 4, "%u records", seen);
	check(got[1] == 1 && got[2] == 3 && got[3] == 2 && got[4] == 0, "order %d %d %d %d",
	      (int)got[1], (int)got[2], (int)got[3], (int)got[4]);
	must_stop(&s);
	close(s.fd);
}

/* every call of a hot function counted, on two CPUs: count PLACE [plain] */
static void case_count(char **argv)
{
	const struct place *at = place(argv[0]);
	bool plain = argv[1] && !strcmp(argv[1], "plain");
	struct stpvm_probe_stats st;
	struct hammers h;
	struct session s;
	u64 calls;
	s64 x;
	u32 n;

	open_session(&s);
	must_load(&s, counter(s.info.isa_hash, at, plain ? IM_G_INT : IM_G_PERCPU));
	must_start(&s);
	hammer_start(&h);
	msleep(500);
	calls = hammer_stop(&h);
	must_stop(&s);
	x = last_print(&s, &n);
	st = stats_of(&s, 0);
	printf("%s: %llu calls, x = %lld, hits %llu, thinned %llu, busy %llu lock %llu stack %llu\n",
	       at->name, (unsigned long long)calls, (long long)x, (unsigned long long)st.hits,
	       (unsigned long long)st.thinned, (unsigned long long)st.skipped_busy,
	       (unsigned long long)st.skipped_lock, (unsigned long long)st.skipped_stack);
	check(n == 1, "%u records", n);
	check((u64)x == st.hits - st.skipped_lock, "x is not the number of hits");
	if (at->kind == IM_K_TIMER || at->kind == IM_K_PROFILE)
		check(x > 20, "hardly any ticks");
	else
		check((u64)x + st.skipped_lock + st.thinned >= calls, "hits are missing");
	if (at->kind != IM_K_TRACE && at->kind != IM_K_TIMER && at->kind != IM_K_PROFILE)
		check((u64)x <= calls + 50, "more hits than calls");
	close(s.fd);
}

/* the reader is woken although the ring never fills to the mark */
static void case_wake(char **argv)
{
	struct pollfd pfd;
	struct session s;
	struct timespec a, b;
	u32 n;
	int ms;

	(void)argv;
	open_session(&s);
	must_load(&s, printer(s.info.isa_hash, place("timer")));
	must_start(&s);
	pfd = (struct pollfd){ .fd = s.fd, .events = POLLIN };
	clock_gettime(CLOCK_MONOTONIC, &a);
	check(poll(&pfd, 1, 2000) == 1 && pfd.revents & POLLIN, "not woken: %x", pfd.revents);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	last_print(&s, &n);
	printf("woken after %d ms, %u records\n", ms, n);
	check(n > 0, "woken for nothing");
	check(n > 1, "woken for each record");
	must_stop(&s);
	check(poll(&pfd, 1, 0) == 1 && pfd.revents & POLLHUP, "no end seen");
	close(s.fd);
}

/* an error in a handler ends the run: error probes, not end probes */
static void case_error(char **argv)
{
	struct session s;
	struct image *im;
	struct im_probe p;
	struct pollfd pfd;
	u32 f, i, n;
	s64 v;

	(void)argv;
	open_session(&s);
	im = image_new(s.info.isa_hash);
	f = format(im, "");
	{
		u64 code[] = { ins(OP_SLDK, 0, 0, 0, str(im, "oh no")), ins(OP_ERR, 0, 0, 0, 0) };

		p = probe_at(im, func(im, "t", 2, 2, code), place("timer"));
		add(im, &p);
	}
	for (i = 0; i < 2; i++) {
		u64 code[] = { ins(OP_LDI, 0, 0, 0, 10 + i), ins(OP_PRINT, 0, 0, 0, f),
			       ins(OP_RET, 0, 0, 0, 0) };

		p = probe(im, func(im, "e", 2, 3, code), i ? IM_K_ERROR : IM_K_END, "end");
		add(im, &p);
	}
	must_load(&s, im);
	must_start(&s);
	pfd = (struct pollfd){ .fd = s.fd, .events = POLLIN };
	check(poll(&pfd, 1, 2000) == 1, "not woken");
	check(exit_reason(&s) == REC_EXIT_ERRORS, "no end of the run told");
	must_stop(&s);
	v = last_print(&s, &n);
	check(n == 1 && v == 11, "%u records, last %d", n, (int)v);
	check(stats_of(&s, 0).errors == 1, "errors counted");
	close(s.fd);
}

/* a probe that can't be armed is named, and what was armed is gone */
static void case_refused(char **argv)
{
	struct place bad = { "bad", IM_K_KPROBE, 0, NULL, NULL, 0 };
	struct session s;
	struct image *im;
	struct im_probe p;
	int err;
	u64 nop[] = { ins(OP_RET, 0, 0, 0, 0) };

	(void)argv;
	open_session(&s);
	im = counter(s.info.isa_hash, place("fentry"), IM_G_PERCPU);
	p = probe_at(im, func(im, "n", 2, 1, nop), &bad);
	p.addr = 0x1234;
	add(im, &p);
	must_load(&s, im);
	err = start(&s);
	printf("refused: %s, probe %u: %s\n", strerror(-err), s.start.failed_probe, s.start.text);
	check(err && s.start.failed_probe == 2 && s.start.text[0], "no name");
	err = start(&s);
	check(err && s.start.failed_probe == 2, "another answer the second time");
	close(s.fd);

	bad = (struct place){ "bad", IM_K_TRACE, IM_P_OPTIONAL, NULL, "no_such_event", 2 };
	open_session(&s);
	im = counter(s.info.isa_hash, place("fentry"), IM_G_PERCPU);
	p = probe_at(im, func(im, "n", 2, 1, nop), &bad);
	add(im, &p);
	must_load(&s, im);
	must_start(&s);
	check(s.start.refused == 1, "refused %u", s.start.refused);
	must_stop(&s);
	close(s.fd);
}

/* storm N PLACE...: arm and disarm N times under fire, by STOP, by close, by kill -9 */
static void case_storm(char **argv)
{
	int rounds = atoi(argv[0]), i;
	struct hammers h;
	char **at;

	hammer_start(&h);
	for (i = 0; i < rounds; i++)
		for (at = argv + 1; *at; at++) {
			struct session s;
			pid_t pid;
			int st;

			switch (i % 3) {
			case 0:
			case 1:
				open_session(&s);
				must_load(&s, i & 2 ? printer(s.info.isa_hash, place(*at))
						    : counter(s.info.isa_hash, place(*at),
							      IM_G_PERCPU));
				must_start(&s);
				msleep(5);
				if (i % 3)
					must_stop(&s);
				for (st = 0; st < 64 && s.map[st]; st++)
					munmap(s.map[st], s.load.ring_map_len);
				close(s.fd);
				break;
			default:
				pid = fork();
				check(pid >= 0, "fork: %m");
				if (!pid) {
					open_session(&s);
					must_load(&s, printer(s.info.isa_hash, place(*at)));
					must_start(&s);
					pause();
				}
				msleep(rand() % 60);
				kill(pid, SIGKILL);
				waitpid(pid, &st, 0);
			}
		}
	printf("%llu calls\n", (unsigned long long)hammer_stop(&h));
}

/* two sessions on one function: each counts every call: two PLACE */
static void case_two(char **argv)
{
	struct session s[2];
	struct hammers h;
	u64 calls;
	s64 x[2];
	u32 n, i;

	for (i = 0; i < 2; i++) {
		open_session(&s[i]);
		must_load(&s[i], counter(s[i].info.isa_hash, place(argv[0]), IM_G_PERCPU));
		must_start(&s[i]);
	}
	hammer_start(&h);
	msleep(300);
	calls = hammer_stop(&h);
	for (i = 0; i < 2; i++) {
		must_stop(&s[i]);
		x[i] = last_print(&s[i], &n);
		close(s[i].fd);
	}
	printf("%llu calls, %lld and %lld\n", (unsigned long long)calls, (long long)x[0],
	       (long long)x[1]);
	check((u64)x[0] >= calls && (u64)x[1] >= calls, "hits are missing");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* names that ftrace can hook, sorted */
static char **traceable(size_t *n)
{
	FILE *f = fopen("/sys/kernel/tracing/available_filter_functions", "r");
	char **names = calloc(200000, sizeof(*names)), line[512];

	check(f, "available_filter_functions: %m");
	for (*n = 0; *n < 200000 && fgets(line, sizeof(line), f); ++*n)
		names[*n] = strdup(strtok(line, " \n"));
	fclose(f);
	qsort(names, *n, sizeof(*names), by_name);
	return names;
}

/* bulk N [return] [all]: N functions at once; all: also those that need a kprobe */
static void case_bulk(char **argv)
{
	u32 want = atoi(argv[0]), n = 0;
	u32 kind = argv[1] && !strcmp(argv[1], "return") ? IM_K_FRETURN : IM_K_FENTRY;
	bool all = argv[1] && !strcmp(argv[1], "all");
	FILE *k = fopen("/proc/kallsyms", "r");
	char **names, *key;
	size_t nnames;
	u64 nop[] = { ins(OP_RET, 0, 0, 0, 0) };
	struct timespec a, b, c;
	struct session s;
	struct image *im;
	char line[512], sym[256], type;
	unsigned long long addr;
	u32 fn;

	check(k, "kallsyms: %m");
	names = traceable(&nnames);
	open_session(&s);
	im = image_new(s.info.isa_hash);
	fn = func(im, "n", 2, 1, nop);
	while (n < want && fgets(line, sizeof(line), k)) {
		if (sscanf(line, "%llx %c %255s", &addr, &type, sym) != 3 ||
		    (type != 't' && type != 'T'))
			continue;
		if (strncmp(sym, "vfs_", 4) && strncmp(sym, "ext4_", 5) &&
		    strncmp(sym, "tcp_", 4) && strncmp(sym, "__x64_sys_", 10) &&
		    strncmp(sym, "inet", 4) && strncmp(sym, "dev_", 4) && strncmp(sym, "pci_", 4) &&
		    strncmp(sym, "bpf_", 4) && strncmp(sym, "acpi_", 5))
			continue;
		key = sym;
		if (strchr(sym, '.') ||
		    (!all && !bsearch(&key, names, nnames, sizeof(*names), by_name)))
			continue;
		struct im_probe p = probe(im, fn, kind, "f");

		p.addr = addr;
		p.flags |= IM_P_OPTIONAL;
		add(im, &p);
		n++;
	}
	must_load(&s, im);
	clock_gettime(CLOCK_MONOTONIC, &a);
	must_start(&s);
	clock_gettime(CLOCK_MONOTONIC, &b);
	must_stop(&s);
	clock_gettime(CLOCK_MONOTONIC, &c);
	printf("%u probes, %u refused: armed in %ld ms, disarmed in %ld ms\n", n, s.start.refused,
	       (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
	       (c.tv_sec - b.tv_sec) * 1000 + (c.tv_nsec - b.tv_nsec) / 1000000);
	close(s.fd);
}

static u64 rnd_state = 88172645463325252ull;

static u32 rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state >> 16;
}

/* fuzz N [seed]: damaged images and requests; the module must refuse or run them, no more */
static void case_fuzz(char **argv)
{
	u32 rounds = atoi(argv[0]), i, accepted = 0, started = 0;
	static char junk[8192];

	if (argv[1])
		rnd_state ^= strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull;
	for (i = 0; i < rounds; i++) {
		static const char *const where[] = { "fentry", "timer", "trace", "sysenter",
						     "return" };
		struct session s;
		struct image *im;
		u32 k, hits = rnd() % 6;
		u32 op = rnd() % 8;

		open_session(&s);
		if (op < 2) {
			u32 nr = STPVM_IOC_INFO + (op ? rnd() % 6 : 0);

			for (k = 0; k < sizeof(junk); k++)
				junk[k] = rnd();
			*(u32 *)junk = rnd() % 8 ? rnd() % 600 : rnd();
			ioctl(s.fd, op ? _IOC(rnd() % 4, 'v', 16 + rnd() % 6, rnd() % 1024) : nr,
			      junk);
			ioctl(s.fd, rnd(), junk);
			mmap(NULL, (rnd() % 300) << 12, rnd() % 8,
			     rnd() % 2 ? MAP_SHARED : MAP_PRIVATE, s.fd, (u64)(rnd() % 300) << 12);
			close(s.fd);
			continue;
		}
		im = counter(s.info.isa_hash, place(where[rnd() % 5]),
			     rnd() % 2 ? IM_G_PERCPU : IM_G_INT);
		flatten(im);
		for (k = 0; k < hits; k++) {
			u32 at = rnd() % im->flat_len;

			if (rnd() % 2)
				im->flat[at] = rnd();
			else
				*(u32 *)(im->flat + (at & ~3u)) = rnd() % 4 ? rnd() % 64 : rnd();
		}
		s.load = (struct stpvm_load){ .size = sizeof(s.load),
					      .image = (unsigned long)im->flat,
					      .image_len = rnd() % 8 ? im->flat_len
								     : rnd() % im->flat_len };
		if (!(rnd() % 8)) {
			char *at = (char *)&s.load + rnd() % sizeof(s.load);

			*at = rnd();
		}
		if (!ioctl(s.fd, STPVM_IOC_LOAD, &s.load)) {
			accepted++;
			if (!start(&s)) {
				started++;
				msleep(2);
				if (rnd() % 2)
					ioctl(s.fd, STPVM_IOC_STOP);
			}
		}
		close(s.fd);
		free(im->flat);
		free(im);
	}
	printf("%u rounds, %u loaded, %u started\n", rounds, accepted, started);
}

/* cost PLACE N: instructions (under -icount: ns) of a call with and without the counter */
static void case_cost(char **argv)
{
	u32 calls = argv[1] ? atoi(argv[1]) : 100000, i, round;
	struct timespec a, b;
	struct session s;
	double ns[2];

	for (round = 0; round < 2; round++) {
		if (round) {
			open_session(&s);
			must_load(&s, counter(s.info.isa_hash, place(argv[0]), IM_G_PERCPU));
			must_start(&s);
		}
		for (i = 0; i < 1000; i++)
			syscall(SYS_getppid);
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (i = 0; i < calls; i++)
			syscall(SYS_getppid);
		clock_gettime(CLOCK_MONOTONIC, &b);
		ns[round] = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / calls;
	}
	printf("%s: bare %.1f, probed %.1f, handler costs %.1f\n", argv[0], ns[0], ns[1],
	       ns[1] - ns[0]);
	must_stop(&s);
	close(s.fd);
}

/* caps GID WANTED: what a user of that group may do, by the module's word and in fact */
static void case_caps(char **argv)
{
	u32 wanted = strtoul(argv[1], NULL, 0);
	gid_t gid = atoi(argv[0]);
	struct session s;
	struct image *im;
	u64 getppid_at = symbol("__do_sys_getppid");
	int err;

	check(!setgroups(1, &gid) && !setgid(gid) && !setuid(4711), "becoming a user: %m");
	if (!wanted) {
		check(open("/dev/stpvm", O_RDWR) < 0 && errno == EACCES, "opened");
		return;
	}
	open_session(&s);
	check(s.info.caps == wanted, "caps %x", s.info.caps);
	im = image_new(s.info.isa_hash);
	im->caps = CAP_KERNEL_READ | CAP_USER_READ | CAP_ALL_PROCS;
	err = load(&s, im);
	check(!err == ((wanted & im->caps) == im->caps), "LOAD: %d", err);
	close(s.fd);

	/* a hook in the kernel, by an image that states nothing */
	open_session(&s);
	{
		u64 nop[] = { ins(OP_RET, 0, 0, 0, 0) };
		struct im_probe p;

		im = image_new(s.info.isa_hash);
		im->caps = 0;
		p = probe(im, func(im, "n", 2, 1, nop), IM_K_FENTRY, "f");
		p.addr = getppid_at;
		add(im, &p);
	}
	must_load(&s, im);
	err = start(&s);
	printf("kernel probe: %s, %s\n", err ? strerror(-err) : "ok", s.start.text);
	check(!err == !!(wanted & CAP_KERNEL_READ), "START: %d", err);
	close(s.fd);
}

/* endless: a begin handler without a bound dies with its loader */
static void case_endless(char **argv)
{
	struct timespec a, b;
	int st, ms;
	pid_t pid;

	(void)argv;
	pid = fork();
	check(pid >= 0, "fork: %m");
	if (!pid) {
		struct session s;
		struct image *im;
		u64 code[] = { ins(OP_LOOP, 1, 0, 0, -1) };
		struct im_probe p;

		open_session(&s);
		im = image_new(s.info.isa_hash);
		im->caps |= CAP_GURU;
		im->limits.suppress_time = 1;
		p = probe(im, func(im, "b", 2, 1, code), IM_K_BEGIN, "begin");
		add(im, &p);
		must_load(&s, im);
		must_start(&s);
		exit(0);
	}
	msleep(500);
	check(waitpid(pid, &st, WNOHANG) == 0, "it did not run on: %x", st);
	clock_gettime(CLOCK_MONOTONIC, &a);
	kill(pid, SIGKILL);
	waitpid(pid, &st, 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	printf("dead after %d ms\n", ms);
	check(ms < 1000, "too long");
}

/* bare N: what a call costs as the machine is */
static void case_bare(char **argv)
{
	u32 calls = atoi(argv[0]), i;
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < calls; i++)
		syscall(SYS_getppid);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("bare: %.1f\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / calls);
}

/* hold PLACE: a running session until it is killed */
static void case_hold(char **argv)
{
	struct session s;

	open_session(&s);
	must_load(&s, printer(s.info.isa_hash, place(argv[0])));
	must_start(&s);
	printf("running\n");
	fflush(stdout);
	for (;;)
		pause();
}

static const struct {
	const char *name;
	void (*run)(char **argv);
	int least;
} cases[] = {
	{ "order", case_order, 0 },	{ "count", case_count, 1 },	{ "wake", case_wake, 0 },
	{ "error", case_error, 0 },	{ "refused", case_refused, 0 }, { "storm", case_storm, 2 },
	{ "two", case_two, 1 },		{ "bulk", case_bulk, 1 },	{ "fuzz", case_fuzz, 1 },
	{ "cost", case_cost, 1 },	{ "bare", case_bare, 1 },	{ "caps", case_caps, 2 },
	{ "endless", case_endless, 0 }, { "hold", case_hold, 1 },
};

int main(int argc, char **argv)
{
	u32 i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(cases[i].name, argv[1]) && argc - 2 >= cases[i].least) {
			cases[i].run(argv + 2);
			printf("ok %s\n", argv[1]);
			return 0;
		}
	fprintf(stderr, "usage: vmtest CASE [arguments]\n");
	return 2;
}
