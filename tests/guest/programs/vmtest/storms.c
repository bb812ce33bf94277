// SPDX-License-Identifier: MIT OR Apache-2.0
/* storms.c - what must not hurt: storms of loading, damaged requests, handlers without end. */
#include "vmtest.h"

/* storm N PLACE...: arm and disarm N times under fire, by STOP, by close, by kill -9 */
void case_storm(char **argv)
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

static u64 rnd_state = 88172645463325252ull;

static u32 rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state >> 16;
}

/* fuzz N [seed]: damaged images and requests; the module must refuse or run them, no more */
void case_fuzz(char **argv)
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

/* nmi: handlers run in NMIs, which interrupt those of another session and their own */
void case_nmi(char **argv)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY), i;
	struct session s[2];
	struct hammers h;
	u64 hits, busy;

	(void)argv;
	check(fd >= 0, "sysrq-trigger: %m");
	open_session(&s[0]);
	must_load(&s[0], printer(s[0].info.isa_hash, place("nmi")));
	open_session(&s[1]);
	must_load(&s[1], printer(s[1].info.isa_hash, place("sysenter")));
	must_start(&s[0]);
	must_start(&s[1]);
	hammer_start(&h);
	/* a backtrace of every CPU is asked for by an NMI */
	for (i = 0; i < 20; i++)
		check(write(fd, "l", 1) == 1, "sysrq: %m");
	hammer_stop(&h);
	must_stop(&s[1]);
	must_stop(&s[0]);
	hits = stats_of(&s[0], 0).hits;
	busy = stats_of(&s[0], 0).skipped_busy;
	printf("%llu hits in NMIs, %llu busy\n", (unsigned long long)hits,
	       (unsigned long long)busy);
	check(hits + busy >= 10, "hardly any NMIs");
	close(s[0].fd);
	close(s[1].fd);
}

/* endless [print]: a begin handler without a bound dies with its loader; print: one that
 * waits for a reader that there is not */
void case_endless(char **argv)
{
	bool print = argv[0] != NULL;
	struct timespec a, b;
	int st, ms;
	pid_t pid;

	pid = fork();
	check(pid >= 0, "fork: %m");
	if (!pid) {
		struct session s;
		struct image *im;
		u64 code[] = { ins(OP_LDI, 0, 0, 0, 7), ins(OP_PRINT, 0, 0, 0, 0),
			       ins(OP_LOOP, 1, 0, 0, print ? -2 : -1) };
		struct im_probe p;

		open_session(&s);
		s.load.room_ms = ~0u;
		im = image_new(s.info.isa_hash);
		format(im, "");
		im->caps |= CAP_GURU;
		im->limits.suppress_time = 1;
		p = probe(im, func(im, "b", 2, 3, code), IM_K_BEGIN, "begin");
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
