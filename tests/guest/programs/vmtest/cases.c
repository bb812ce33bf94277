// SPDX-License-Identifier: MIT OR Apache-2.0
/* cases.c - what the module must do with a sound request, and say to a bad one. */
#include "vmtest.h"
#include <grp.h>

/* begin, end and error handlers in the order of priority; exit() and error */
void case_order(char **argv)
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
void case_count(char **argv)
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
	/* nothing counts before the session runs */
	must_arm(&s);
	hammer_start(&h);
	msleep(50);
	hammer_stop(&h);
	st = stats_of(&s, 0);
	check(!st.hits, "%llu hits while armed only", (unsigned long long)st.hits);
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
void case_wake(char **argv)
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
void case_error(char **argv)
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
void case_refused(char **argv)
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

/* two sessions on one function: each counts every call: two PLACE */
void case_two(char **argv)
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
void case_bulk(char **argv)
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

#define MANY 30000u /* records of 32 bytes: more than a ring of 512 KiB holds */

/* probe begin { for (i = 0; i < MANY; i++) printf("%d\n", i) }, and the same at the end */
static struct image *chatterbox(u64 hash)
{
	struct image *im = image_new(hash);
	u32 f = format(im, ""), i;
	u64 code[] = { ins(OP_LDI, 0, 0, 0, 0), ins(OP_PRINT, 0, 0, 0, f), ins(OP_ADDI, 0, 0, 0, 1),
		       ins(OP_LOOPLTI, 0, 3, 0, MANY), ins(OP_RET, 0, 0, 0, 0) };

	im->limits.maxaction_int = 2 * MANY;
	for (i = 0; i < 2; i++) {
		struct im_probe p = probe(im, func(im, "chat", 2, 5, code),
					  i ? IM_K_END : IM_K_BEGIN, i ? "end" : "begin");

		add(im, &p);
	}
	return im;
}

struct reader {
	struct session *s;
	volatile int done;
	u32 count;
	bool ordered;
};

/* reads slowly what one handler prints, all of it on one CPU */
static void *read_all(void *arg)
{
	struct reader *r = arg;
	struct rec *rec;
	u32 cpu;
	int last;

	do {
		last = r->done;
		for (cpu = 0; cpu < r->s->info.ncpus; cpu++)
			while ((rec = next(r->s, cpu, RING_DATA)))
				r->ordered &= *(s64 *)((char *)(rec + 1) + 8) == r->count++ % MANY;
		msleep(30);
	} while (!last);
	return NULL;
}

/* room: begin and end handlers wait for their reader, and not for ever where there is none */
void case_room(char **argv)
{
	struct timespec a, b;
	struct session s;
	struct reader r = { &s, 0, 0, true };
	pthread_t t;
	s64 last;
	u32 n;
	int ms;

	cpu_set_t one;

	(void)argv;
	open_session(&s);
	must_load(&s, chatterbox(s.info.isa_hash));
	pthread_create(&t, NULL, read_all, &r);
	/* begin and end on one CPU: the reader goes from ring to ring, not by sequence */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	check(!sched_setaffinity(0, sizeof(one), &one), "can't stay on a CPU");
	must_start(&s);
	must_stop(&s);
	r.done = 1;
	pthread_join(t, NULL);
	printf("read beside: %u records\n", r.count);
	check(r.count == 2 * MANY && r.ordered, "not all, or not in order");
	check(!stats_of(&s, 0).lost && !stats_of(&s, 1).lost, "counted as lost");
	close(s.fd);

	open_session(&s);
	s.load.room_ms = 300;
	must_load(&s, chatterbox(s.info.isa_hash));
	clock_gettime(CLOCK_MONOTONIC, &a);
	must_start(&s);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	last = last_print(&s, &n);
	printf("nobody reads: %d ms, %u records, %llu lost\n", ms, n,
	       (unsigned long long)stats_of(&s, 0).lost);
	check(ms >= 300 && ms < 5000, "it waited %d ms", ms);
	check(n > 10000 && last == n - 1, "the first ones are not there");
	check(n + stats_of(&s, 0).lost == MANY, "some are neither there nor counted");
	close(s.fd);
}

/* cost PLACE N: instructions (under -icount: ns) of a call with and without the counter */
void case_cost(char **argv)
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
void case_caps(char **argv)
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

/* bare N: what a call costs as the machine is */
void case_bare(char **argv)
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
void case_hold(char **argv)
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
