/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * families - a process that does a known number of things of each kind that
 * the probe families watch: files, memory, sockets, signals, processes. Says
 * what a script can compare with, `KEY value` a line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t handled;

static void handler(int sig)
{
	handled += sig;
}

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void files(void)
{
	char text[] = "twelve bytes", back[12];
	struct iovec two[2] = { { back, 5 }, { back + 5, 7 } };
	int fd = open("/tmp/families.file", O_CREAT | O_RDWR | O_TRUNC, 0600);

	must(fd >= 0, "open");
	must(write(fd, text, 12) == 12, "write");
	must(lseek(fd, 0, SEEK_SET) == 0, "lseek");
	must(read(fd, back, 12) == 12, "read");
	must(lseek(fd, 0, SEEK_SET) == 0, "lseek");
	must(readv(fd, two, 2) == 12, "readv");
	must(writev(fd, two, 2) == 12, "writev");
	close(fd);
}

static void memory(void)
{
	size_t size = 123 * 4096;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	printf("mapped %ld\n", (long)p);
	p[4096 * 7] = 1; /* one page fault */
	must(!munmap(p, size), "munmap");
	must(sbrk(1 << 20) != (void *)-1, "brk");
}

static void sockets(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(4711) };
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int on = 1, listener, tcp, end, udp[2];
	char buffer[100] = "";

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	must(listener >= 0, "socket");
	must(!setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "setsockopt");
	must(!bind(listener, (void *)&at, sizeof(at)) && !listen(listener, 1), "listen");
	tcp = socket(AF_INET, SOCK_STREAM, 0);
	must(!connect(tcp, (void *)&at, sizeof(at)), "connect");
	end = accept(listener, (void *)&from, &len);
	must(end >= 0, "accept");
	must(send(tcp, buffer, 77, 0) == 77, "send");
	must(recv(end, buffer, 100, 0) == 77, "recv");
	close(end);
	close(tcp);
	close(listener);
	udp[0] = socket(AF_INET, SOCK_DGRAM, 0);
	udp[1] = socket(AF_INET, SOCK_DGRAM, 0);
	must(!bind(udp[1], (void *)&at, sizeof(at)), "bind");
	must(sendto(udp[0], buffer, 55, 0, (void *)&at, sizeof(at)) == 55, "sendto");
	must(recvfrom(udp[1], buffer, 100, 0, NULL, NULL) == 55, "recvfrom");
	close(udp[0]);
	close(udp[1]);
}

static void signals(void)
{
	struct sigaction act = { .sa_handler = handler };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must(!sigaction(SIGUSR1, &act, NULL), "sigaction");
	must(!sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask");
	must(!kill(getpid(), SIGUSR1) && handled == SIGUSR1, "kill");
	must(!sigpending(&set), "sigpending");
}

static void processes(void)
{
	pid_t child = fork();
	int status;

	must(child >= 0, "fork");
	if (!child) {
		/* a page that the child has not touched yet cannot be read by a handler */
		access("/bin/busybox", X_OK);
		execl("/bin/busybox", "true", NULL);
		_exit(9);
	}
	must(waitpid(child, &status, 0) == child && status == 0, "wait");
	printf("child %d\n", child);
}

int main(void)
{
	files();
	memory();
	sockets();
	signals();
	processes();
	printf("pid %d\n", getpid());
	return 0;
}
