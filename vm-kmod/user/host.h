/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * host.h - the machine's host in a process. One struct user_host per session
 * answers for the clock, the task and memory: settable, so that tests and
 * replays are deterministic. Mirror: src/host.rs.
 */
#ifndef STPVM_USER_HOST_H
#define STPVM_USER_HOST_H
#include "vm.h"

#define USER_TEXT 256

struct user_region { /* memory that handlers may read and write */
	u64 addr, len;
	u8 *bytes;
	u32 user, writable;
};

struct user_host {
	s64 fact[256]; /* by helper number */
	char execname[USER_TEXT], pexecname[USER_TEXT];
	u64 clock_real, clock_mono; /* 0: the system's */
	u64 cycles;		    /* 0: the system's */
	u64 seed;		    /* of random numbers; 0: taken from the clock */
	struct user_region *region;
	u64 regions;
	const u64 *stack; /* where every probe hits, innermost frame first */
	u64 frames;
	u64 wakes, urgent_wakes;
	void (*message)(void *arg, u32 helper, s64 level, const char *s);
	void *message_arg;
};

/* called when a ring of the running handler is full: empties it, if it can */
struct user_room {
	void (*make)(void *arg);
	void *arg;
};

/* vm_run with the host known to the functions that are not told; room: NULL
 * where nobody reads while the handler runs */
enum vm_result user_run(struct vm *vm, u32 cpu, u32 probe, const struct vm_hit *hit,
			const struct user_room *room);
u64 user_seq(const struct vm *vm);

#endif
