/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * words - memory of known content for scripts that read and write it. Shows a
 * script where each piece is by a write(2) to a descriptor that is not open:
 * 777 numbers, 778 text, 779 UTF-16, 780 UTF-32, 781 a piece to be changed.
 * Its name (comm) is `kernel words`. Prints at the end what has become of the
 * last piece and of its name.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <uchar.h>
#include <unistd.h>

static const long numbers[2] = { -2, 0x0102030405060708 };
static const char text[] = "tab\tquote\"end";
static const char16_t wide16[] = u"h\u00e4\u00df\u20ac\U0001f600";
static const char32_t wide32[] = U"h\u00e4\u00df\u20ac\U0001f600";
static char piece[64] = "................................";

static void show(int fd, const void *at, size_t n)
{
	/* there must be a page to read */
	*(volatile const char *)at;
	if (write(fd, at, n) >= 0)
		puts("that descriptor should not be open");
}

int main(void)
{
	char name[16] = "";

	prctl(PR_SET_NAME, "kernel words");
	show(777, numbers, sizeof(numbers));
	show(778, text, sizeof(text));
	show(779, wide16, sizeof(wide16));
	show(780, wide32, sizeof(wide32));
	piece[40] = 0;
	show(781, piece, sizeof(piece));
	printf("piece %s\n", piece);
	prctl(PR_GET_NAME, name);
	printf("name %s\n", name);
	return 0;
}
