/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * sleeper ROUNDS MILLISECONDS CPU - pinned to CPU, sleeps MILLISECONDS and
 * works a little, ROUNDS times. Prints its own measure of the time slept, in
 * microseconds.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 20;
	long ms = argc > 2 ? atol(argv[2]) : 10, slept = 0;
	struct timespec nap = { ms / 1000, ms % 1000 * 1000000 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(argc > 3 ? atoi(argv[3]) : 0, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (rounds--) {
		long start = microseconds();

		nanosleep(&nap, NULL);
		slept += microseconds() - start;
		for (volatile int i = 0; i < 10000; i++)
			;
	}
	printf("%ld\n", slept);
	return 0;
}
