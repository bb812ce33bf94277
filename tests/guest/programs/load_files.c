/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * load_files ROUNDS FILE - opens FILE, reads 64 bytes, writes 64 bytes, closes,
 * ROUNDS times (0: until a signal ends it). Prints the number of rounds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 100, done = 0;
	const char *file = argc > 2 ? argv[2] : "load_files.tmp";
	char buffer[64] = "";

	do {
		int fd = open(file, O_RDWR | O_CREAT, 0600);

		if (fd < 0 || read(fd, buffer, sizeof(buffer)) < 0 ||
		    write(fd, buffer, sizeof(buffer)) != sizeof(buffer))
			return 1;
		close(fd);
		if (done % 1000 == 999)
			unlink(file);
		done++;
	} while (done != rounds);
	unlink(file);
	printf("%ld\n", done);
	return 0;
}
