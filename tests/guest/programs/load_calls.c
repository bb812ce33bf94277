/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * load_calls SECONDS [CPUS] - calls getppid() as fast as it can on each of the
 * first CPUS processors (all by default), counts its own calls, prints the sum.
 * SECONDS 0: until SIGTERM or SIGINT.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CPUS 64

static atomic_int stop;
static unsigned long calls[MAX_CPUS][16]; /* a cache line each */

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void *hammer(void *arg)
{
	long cpu = (long)arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!stop) {
		syscall(SYS_getppid);
		/*
		 * An emulated processor takes its interrupts where the kernel
		 * enables them, so the tick hardly ever finds this loop in user
		 * mode. Without a switch of its own it would hold up rcu_tasks,
		 * which everybody waits for who takes a probe down.
		 */
		if (++calls[cpu][0] % 128 == 0)
			sched_yield();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long cpus = argc > 2 ? atol(argv[2]) : sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int seconds = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;
	unsigned long sum = 0;
	pthread_t threads[MAX_CPUS];

	if (cpus < 1 || cpus > MAX_CPUS)
		return 2;
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGALRM, on_signal);
	alarm(seconds);
	for (long i = 0; i < cpus; i++)
		pthread_create(&threads[i], NULL, hammer, (void *)i);
	for (long i = 0; i < cpus; i++) {
		pthread_join(threads[i], NULL);
		sum += calls[i][0];
	}
	printf("%lu\n", sum);
	return 0;
}
