/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * vmtest.h - what the parts of vmtest share: an image made by hand (image.c), a
 * session of the device and its rings (session.c), scripts at places of the
 * kernel, and load (scripts.c). The cases are in main.c's table.
 */
#ifndef VMTEST_H
#define VMTEST_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../../../vm-kmod/core/image.h"
#include "../../../../vm-kmod/core/isa.h"
#include "../../../../vm-kmod/core/record.h"
#include "../../../../vm-kmod/kernel/uapi.h"

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

/* -- image.c: an image ------------------------------------------------------- */

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

u32 put(struct image *im, u32 sect, const void *p, u32 size);
u32 str(struct image *im, const char *s);
u64 ins(u32 op, u32 a, u32 b, u32 c, s32 imm);
u32 func(struct image *im, const char *name, u32 nregs, u32 n, const u64 *code);
u32 global(struct image *im, const char *name, u32 cls);
struct im_probe probe(struct image *im, u32 fn, u32 kind, const char *pp);
void lock(struct image *im, struct im_probe *p, u32 g, u32 mode);
u32 add(struct image *im, struct im_probe *p);
u32 format(struct image *im, const char *text);
struct image *image_new(u64 hash);
void flatten(struct image *im);

/* -- session.c: a session, and what is in its rings --------------------------- */

struct session {
	int fd;
	struct stpvm_info info;
	struct stpvm_load load;
	struct stpvm_start start;
	void *map[64];
};

void open_session(struct session *s);
int load(struct session *s, struct image *im);
void must_load(struct session *s, struct image *im);
int start(struct session *s);
void must_arm(struct session *s);
void must_start(struct session *s);
void must_stop(struct session *s);
struct stpvm_probe_stats stats_of(struct session *s, u32 probe);
struct rec *next(struct session *s, u32 cpu, u32 ring);
s64 last_print(struct session *s, u32 *count);
int exit_reason(struct session *s);
u64 symbol(const char *name);

/* -- scripts.c: load on the machine, and scripts to be run under it ------------ */

struct hammers {
	pthread_t t[2];
	u64 calls[2];
};

void hammer_start(struct hammers *h);
u64 hammer_stop(struct hammers *h);
void msleep(int ms);

struct place {
	const char *name; /* on the command line */
	u32 kind, flags;
	const char *sym, *event;
	s64 arg;
};

const struct place *place(const char *name);
struct im_probe probe_at(struct image *im, u32 fn, const struct place *at);
struct image *counter(u64 hash, const struct place *at, u32 cls);
struct image *printer(u64 hash, const struct place *at);

/* -- cases.c, users.c, storms.c ----------------------------------------------------------- */

void case_order(char **argv);
void case_count(char **argv);
void case_wake(char **argv);
void case_error(char **argv);
void case_refused(char **argv);
void case_two(char **argv);
void case_bulk(char **argv);
void case_room(char **argv);
void case_cost(char **argv);
void case_caps(char **argv);
void case_bare(char **argv);
void case_hold(char **argv);
void case_storm(char **argv);
void case_fuzz(char **argv);
void case_endless(char **argv);
void case_nmi(char **argv);
void case_own(char **argv);
void case_many(char **argv);
void case_compat(char **argv);

#endif
