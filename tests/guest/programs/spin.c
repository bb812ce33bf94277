/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * spin - takes every processor for itself, at the highest real-time priority,
 * and never lets go: a hang, as far as everybody else in the guest can tell.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

int main(void)
{
	struct sched_param highest = { .sched_priority = 99 };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int fd = open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY);

	if (fd < 0 || write(fd, "-1", 2) != 2)
		return 1;
	for (long cpu = cpus - 1; cpu >= 0; cpu--) {
		cpu_set_t set;

		if (cpu && fork())
			continue;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
		sched_setscheduler(0, SCHED_FIFO, &highest);
		for (;;)
			;
	}
	return 0;
}
