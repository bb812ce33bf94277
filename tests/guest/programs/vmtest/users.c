// SPDX-License-Identifier: MIT OR Apache-2.0
/* users.c - what a user without rights gets, and what he can't talk the module into. */
#include "vmtest.h"
#include <grp.h>
#include <sys/prctl.h>

static void become(gid_t gid)
{
	check(!setgroups(1, &gid) && !setgid(gid) && !setuid(4711), "becoming a user: %m");
}

/* an image of his: begin probe that prints what the helper or register says */
static struct image *own_image(struct session *s)
{
	struct image *im = image_new(s->info.isa_hash);

	im->caps = 0;
	return im;
}

static struct image *asks_pid(struct session *s)
{
	struct image *im = own_image(s);
	u32 f = format(im, "");
	u64 code[] = { ins(OP_HELPI, 0, 0, 0, H_PID), ins(OP_PRINT, 0, 0, 0, f),
		       ins(OP_RET, 0, 0, 0, 0) };
	struct im_probe p = probe(im, func(im, "b", 2, 3, code), IM_K_BEGIN, "begin");

	add(im, &p);
	return im;
}

/* handler of a timer: { try { printf("%d", register(ip)) } catch { } } */
static struct image *asks_registers(struct session *s, s64 period)
{
	struct place at = { "timer", IM_K_TIMER, 0, NULL, NULL, period };
	struct image *im = own_image(s);
	struct im_try caught = { .from = 0, .to = 2, .target = 3 };
	u32 f = format(im, "");
	u64 code[] = { ins(OP_REG, 0, 0, 0, 16), ins(OP_PRINT, 0, 0, 0, f), ins(OP_RET, 0, 0, 0, 0),
		       ins(OP_RET, 0, 0, 0, 0) };
	u32 fn = func(im, "t", 2, 4, code);
	struct im_probe p = probe_at(im, fn, &at);

	((struct im_func *)im->part[IM_S_FUNC].data)[fn].try_count = 1;
	put(im, IM_S_TRY, &caught, sizeof(caught));
	add(im, &p);
	return im;
}

static void refused_limit(const char *name, void (*raise)(struct im_limits *))
{
	struct session s;
	struct image *im;
	int err;

	open_session(&s);
	im = asks_pid(&s);
	raise(&im->limits);
	err = load(&s, im);
	printf("%s: %s, %s\n", name, strerror(-err), s.load.fault_text);
	check(err && s.load.fault_text[0], "%s was raised", name);
	close(s.fd);
}

static void no_end(struct im_limits *l)
{
	l->suppress_time = 1;
}

static void more_actions(struct im_limits *l)
{
	l->maxaction++;
}

static void no_guard(struct im_limits *l)
{
	l->no_overload = 1;
}

static void late_guard(struct im_limits *l)
{
	l->overload_interval = l->overload_threshold;
}

static void deaf(struct im_limits *l)
{
	l->interruptible = 0;
}

static u64 timer_hits(int dumpable)
{
	struct hammers h;
	struct session s;
	struct rec *r;
	u64 hits, ip;
	u32 cpu, n = 0;

	check(!prctl(PR_SET_DUMPABLE, dumpable), "prctl: %m");
	open_session(&s);
	must_load(&s, asks_registers(&s, 500000));
	hammer_start(&h);
	must_start(&s);
	msleep(400);
	must_stop(&s);
	hammer_stop(&h);
	hits = stats_of(&s, 0).hits;
	for (cpu = 0; cpu < s.info.ncpus; cpu++)
		while ((r = next(&s, cpu, RING_DATA))) {
			ip = *(u64 *)((char *)(r + 1) + 8);
			check(ip < 1ull << 47, "a register of the kernel: %llx",
			      (unsigned long long)ip);
			n++;
		}
	printf("dumpable %d: %llu hits, %u in user code\n", dumpable, (unsigned long long)hits, n);
	close(s.fd);
	return hits;
}

/* START of a probe of that kind is refused, with a word */
static void refused_kind(const char *name, u32 kind, const char *path)
{
	struct session s;
	struct image *im;
	struct im_probe *p;
	int err;

	open_session(&s);
	im = asks_pid(&s);
	p = (struct im_probe *)im->part[IM_S_PROBE].data;
	p->kind = kind;
	p->name = str(im, path);
	p->arg2 = kind == IM_K_NETFILTER ? 2 : 0; /* NFPROTO_IPV4 */
	must_load(&s, im);
	err = start(&s);
	printf("%s: %s, %s\n", name, strerror(-err), s.start.text);
	check(err == -EACCES && strstr(s.start.text, "not for this user"), "%s: %d", name, err);
	close(s.fd);
}

/* own GID: the group may look at its own processes only */
void case_own(char **argv)
{
	struct session s;
	struct image *im;
	s64 told;
	u32 n;
	int err;

	become(atoi(argv[0]));
	check(!prctl(PR_SET_DUMPABLE, 1), "prctl: %m");
	refused_limit("no end", no_end);
	refused_limit("more actions", more_actions);
	refused_limit("no guard", no_guard);
	refused_limit("late guard", late_guard);
	refused_limit("deaf", deaf);
	refused_kind("procfs read", IM_K_PROCFS_R, "command");
	refused_kind("procfs write", IM_K_PROCFS_W, "command");
	refused_kind("netfilter", IM_K_NETFILTER, "");

	/* offsets of his own making: the name of a task for its number */
	open_session(&s);
	s.load.offsets = (struct stpvm_offsets){ .task_size = 9000, .task_tgid = 64 };
	im = asks_pid(&s);
	must_load(&s, im);
	must_start(&s);
	told = last_print(&s, &n);
	check(n == 1 && told == getpid(), "pid() is %lld, not %d", (long long)told, getpid());
	close(s.fd);

	/* a tenth of a second of timers in each second */
	open_session(&s);
	must_load(&s, asks_registers(&s, 20000));
	err = start(&s);
	printf("fast timer: %s, %s\n", strerror(-err), s.start.text);
	check(err == -EPERM, "started: %d", err);
	close(s.fd);

	/* half of the machine's memory is for those who may do everything */
	open_session(&s);
	s.load.ring_data = 1 << 28;
	err = load(&s, asks_pid(&s));
	check(err == -ENOMEM, "LOAD of large rings: %d", err);
	close(s.fd);

	check(timer_hits(1) > 10, "hardly any hits in his own program");
	check(timer_hits(0) == 0, "hits in a program that keeps its secrets");
}

/* many: sessions take their memory from one budget, and give it back */
void case_many(char **argv)
{
	struct session s[64];
	u32 n, round, had[2] = {};

	(void)argv;
	for (round = 0; round < 2; round++) {
		for (n = 0; n < 64; n++) {
			open_session(&s[n]);
			s[n].load.ring_data = 32 << 20;
			if (load(&s[n], printer(s[n].info.isa_hash, place("timer"))))
				break;
		}
		check(n < 64, "no end of memory");
		had[round] = n;
		do
			close(s[n].fd);
		while (n--);
	}
	printf("%u sessions, then %u\n", had[0], had[1]);
	check(had[0] && had[0] == had[1], "memory was not given back");
}

/* compat: a 32-bit program gets no answer that it could misread */
void case_compat(char **argv)
{
	struct session s;
	long got;

	(void)argv;
	open_session(&s);
	/* system call 54 of i386 is ioctl; the number of INFO fits 32 bits, as does a zero */
	asm volatile("int $0x80"
		     : "=a"(got)
		     : "a"(54), "b"(s.fd), "c"(STPVM_IOC_INFO), "d"(0)
		     : "r8", "r9", "r10", "r11", "memory");
	printf("32-bit ioctl: %ld\n", got);
	check(got == -ENOTTY || got == -ENOSYS, "it answered");
	close(s.fd);
}
