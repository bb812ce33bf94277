/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * load_tcp MESSAGES SIZE - sends MESSAGES messages of SIZE bytes through a TCP
 * connection over 127.0.0.1 and waits for a one-byte answer to each, so that
 * no two share a packet. Prints the bytes that arrived.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static long serve(int listener, long size, long messages)
{
	int fd = accept(listener, NULL, NULL);
	char *buffer = malloc(size);
	long sum = 0;

	while (fd >= 0 && messages--) {
		for (long got = 0; got < size;) {
			ssize_t n = read(fd, buffer, size - got);

			if (n <= 0)
				return -1;
			got += n;
			sum += n;
		}
		if (write(fd, "", 1) != 1)
			return -1;
	}
	return sum;
}

int main(int argc, char **argv)
{
	long messages = argc > 1 ? atol(argv[1]) : 100;
	long size = argc > 2 ? atol(argv[2]) : 1000, sum;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), status = 0, one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		return 1;
	if (fork() == 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		char *buffer = calloc(1, size), answer;

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(fd, (struct sockaddr *)&address, length))
			_exit(1);
		while (messages--)
			if (write(fd, buffer, size) != size || read(fd, &answer, 1) != 1)
				_exit(1);
		_exit(0);
	}
	sum = serve(listener, size, messages);
	wait(&status);
	printf("%ld\n", sum);
	return sum < 0 || status;
}
