// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * narrow.c - system calls as 32-bit tasks make them, with known arguments: by
 * int 0x80, whose table and registers are theirs whoever calls.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long call(long nr, uint32_t b, uint32_t c, uint32_t d, uint32_t si, uint32_t di)
{
	long ret;

	/* the sixth register is 0; nothing may be pushed into what the compiler keeps below the stack */
	asm volatile("lea -128(%%rsp), %%rsp\n\tpush %%rbp\n\txor %%ebp, %%ebp\n\t"
		     "int $0x80\n\t"
		     "pop %%rbp\n\tlea 128(%%rsp), %%rsp"
		     : "=a"(ret)
		     : "a"(nr), "b"(b), "c"(c), "d"(d), "S"(si), "D"(di)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
	return ret;
}

/* copies into memory that 32 bits can point to */
static uint32_t low(const void *what, size_t size)
{
	static char *next, *end;
	char *to;

	if (end - next < (long)size) {
		next = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		end = next + 65536;
	}
	to = memcpy(next, what, size);
	next += (size + 15) & ~15ul;
	return (uint32_t)(uintptr_t)to;
}

int main(void)
{
	uint32_t path = low("/tmp/narrow.file", 17);
	int32_t time[2] = { 0, 1000 };
	int32_t times[4] = { 1000, 5, 2000, 6 };
	uint32_t old_act[4] = { 0, 1 << (12 - 1), 0x10000000, 0 };
	uint32_t act[5] = { 1, 0x10000000, 0, 1 << (10 - 1), 0 };
	uint32_t mask[2] = { 1 << (10 - 1), 0 };
	uint32_t send[4] = { 50, low("hello", 6), 5, 0x40 };
	uint32_t recv[4] = { 50, low("", 1), 1, 2 };
	int fd = open("/tmp/narrow.file", O_CREAT | O_RDWR | O_TRUNC, 0600);

	call(162, low(time, 8), 0, 0, 0, 0);			/* nanosleep */
	call(181, fd, low("text", 5), 4, 100, 1);		/* pwrite64 at 2^32 + 100 */
	call(193, path, 300, 2, 0, 0);				/* truncate64 to 2^33 + 300 */
	call(194, fd, 300, 0, 0, 0);				/* ftruncate64 */
	call(250, fd, 100, 1, 4096, 2);				/* fadvise64 at 2^32 + 100 */
	call(182, path, 7, 0xffff, 0, 0);			/* chown of old */
	call(164, 0xffff, 0, 0xffff, 0, 0);			/* setresuid of old */
	call(67, 10, low(old_act, sizeof(old_act)), 0, 0, 0);	/* sigaction */
	call(174, 10, low(act, sizeof(act)), 0, 8, 0);		/* rt_sigaction */
	call(271, path, low(times, sizeof(times)), 0, 0, 0);	/* utimes */
	call(299, -100, path, low(times, sizeof(times)), 0, 0); /* futimesat */
	call(102, 9, low(send, sizeof(send)), 0, 0, 0);		/* socketcall: send */
	call(102, 10, low(recv, sizeof(recv)), 0, 0, 0);	/* socketcall: recv */
	call(117, 4, 77, 0, 0, low("", 1)); /* ipc: semtimedop of a set that is not there */
	call(327, -1, low(mask, sizeof(mask)), 8, 0x80000, 0); /* signalfd4 */
	unlink("/tmp/narrow.file");
	return 0;
}
