// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * changed_calls.c - system calls whose arguments a script changes, and what became of them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	char path[] = "/tmp/first", buffer[100] = "", host[] = "abcd";
	int fd = open("/tmp/changed", O_CREAT | O_RDWR | O_TRUNC, 0600);
	struct stat at = { 0 };

	umask(0111);
	printf("wrote %zd", write(fd, buffer, 77));
	printf(", seek to %ld", (long)lseek(fd, 33, SEEK_SET));
	printf(", wrote %zd\n", write(fd, buffer, 78));
	/* nothing can be written there: nobody asks for it */
	mkdir("/tmp/literal", 0700);
	rmdir("/tmp/literal");
	printf("made %d %s", mkdir(path, 0755), path);
	printf(" %d", stat("/tmp/other", &at));
	printf(" %o, mask %o\n", at.st_mode & 0777, umask(0));
	gethostname(buffer, sizeof(buffer));
	printf("host %d %s\n", sethostname(host, 3), host);
	return sethostname(buffer, strlen(buffer));
}
