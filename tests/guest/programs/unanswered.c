/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * unanswered read|write FILE - reads or writes FILE by memory whose page faults are
 * userfaultfd's, and nobody answers them. Prints "began", then what became of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register memory = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC), reading, file;
	ssize_t got;

	if (argc != 3)
		return 2;
	reading = !strcmp(argv[1], "read");
	file = open(argv[2], reading ? O_RDONLY : O_WRONLY);
	memory.range.start = (unsigned long)page;
	memory.range.len = 4096;
	if (page == MAP_FAILED || faults < 0 || file < 0 || ioctl(faults, UFFDIO_API, &api) ||
	    ioctl(faults, UFFDIO_REGISTER, &memory)) {
		perror("unanswered");
		return 1;
	}
	puts("began");
	fflush(stdout);
	got = reading ? read(file, page, 100) : write(file, page, 100);
	puts(got < 0 ? strerror(errno) : "done");
	return 0;
}
