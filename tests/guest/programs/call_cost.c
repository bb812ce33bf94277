/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * call_cost ROUNDS CALLS - what one getppid() costs: runs ROUNDS rounds of CALLS
 * calls and prints `cost` and the nanoseconds of a call in the cheapest round,
 * in tenths. In a guest that counts instructions, nanoseconds are instructions;
 * the cheapest round is one that no timer interrupt and no reader fell into.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 40;
	long calls = argc > 2 ? atol(argv[2]) : 500, best = 0;

	for (long r = 0; r < rounds; r++) {
		long start = nanoseconds(), took;

		for (long i = 0; i < calls; i++)
			syscall(SYS_getppid);
		took = nanoseconds() - start;
		if (!r || took < best)
			best = took;
	}
	printf("cost %ld\n", best * 10 / calls);
	return 0;
}
