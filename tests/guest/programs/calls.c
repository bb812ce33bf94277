// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * calls.c - system calls with known arguments, one after the other, so that a
 * script can be held to what strace shows for them. A mark (getppid) stands
 * before the first and behind the last.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define call(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

static void handler(int sig)
{
	(void)sig;
}

int main(void)
{
	char buffer[64] = "twelve bytes";
	struct iovec two[2] = { { buffer, 5 }, { buffer + 5, 7 } };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(4712) };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/tmp/calls.socket" };
	struct timespec short_time = { 0, 1000 };
	struct itimerval timer = { { 0, 0 }, { 100, 5 } };
	struct rlimit limit = { 77, 1000 };
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 5 };
	struct pollfd poll_one = { 1, POLLOUT, 0 };
	struct timeval times[2] = { { 1000, 5 }, { 2000, 6 } };
	struct timespec nstimes[2] = { { 1000, 7 }, { 0, UTIME_OMIT } };
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} act = { handler, SA_RESTART, 0, 1 << (SIGUSR2 - 1) };
	unsigned long set = 1 << (SIGUSR1 - 1) | 1 << (SIGTERM - 1);
	struct rusage usage;
	int fds[2], n, status, word = 1;
	char *page;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	call(getppid);
	call(open, "/tmp/calls.file", O_CREAT | O_RDWR | O_TRUNC, 0640);
	call(write, 3, buffer, 12);
	call(pwrite64, 3, buffer, 4, 100);
	call(lseek, 3, -4L, SEEK_END);
	call(read, 3, buffer + 20, 4);
	call(pread64, 3, buffer + 20, 5, 7L);
	call(writev, 3, two, 2);
	call(openat, AT_FDCWD, "/no/such \"file\"\n", O_RDONLY | O_CLOEXEC, 0);
	call(ftruncate, 3, 4096L);
	call(fallocate, 3, 0, 0L, 8192L);
	call(fchmod, 3, 0600);
	call(chmod, "/tmp/calls.file", 0644);
	call(fchown, 3, 0, -1);
	call(access, "/tmp/calls.file", R_OK | W_OK);
	call(faccessat, AT_FDCWD, "/tmp/calls.file", X_OK);
	call(rename, "/tmp/calls.file", "/tmp/calls.other");
	call(link, "/tmp/calls.other", "/tmp/calls.file");
	call(symlink, "/tmp/calls.other", "/tmp/calls.link");
	call(readlink, "/tmp/calls.link", buffer, 20);
	call(unlink, "/tmp/calls.link");
	call(unlinkat, AT_FDCWD, "/tmp/calls.file", 0);
	call(mkdir, "/tmp/calls.dir", 0750);
	call(rmdir, "/tmp/calls.dir");
	call(mknod, "/tmp/calls.fifo", S_IFIFO | 0600, 0);
	call(unlink, "/tmp/calls.fifo");
	call(utimensat, AT_FDCWD, "/tmp/calls.other", nstimes, 0);
	call(utimes, "/tmp/calls.other", times);
	call(dup, 3);
	call(dup2, 3, 9);
	call(dup3, 3, 10, O_CLOEXEC);
	call(fcntl, 3, F_SETFL, O_APPEND);
	call(fcntl, 3, F_GETFD, 0);
	call(flock, 3, LOCK_EX | LOCK_NB);
	call(close, 10);
	call(pipe2, fds, O_NONBLOCK);
	call(poll, &poll_one, 1, 0);
	call(epoll_create1, EPOLL_CLOEXEC);
	call(epoll_ctl, 7, EPOLL_CTL_ADD, 5, &event);
	page = (char *)call(mmap, NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	call(mprotect, page, 4096, PROT_READ);
	call(madvise, page, 8192, MADV_DONTNEED);
	call(munmap, page, 8192);
	call(socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	call(bind, 8, &in, sizeof(in));
	call(listen, 8, 5);
	call(setsockopt, 8, SOL_SOCKET, SO_KEEPALIVE, &word, 4);
	call(socket, AF_UNIX, SOCK_DGRAM, 0);
	call(connect, 10, &un, sizeof(un));
	call(socketpair, AF_UNIX, SOCK_STREAM, 0, fds);
	call(sendto, fds[0], "hello", 5, MSG_DONTWAIT, NULL, 0);
	call(recvfrom, fds[1], buffer, 10, MSG_PEEK, NULL, NULL);
	call(shutdown, fds[0], SHUT_WR);
	call(rt_sigaction, SIGUSR1, &act, NULL, 8);
	call(rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
	call(kill, 0x7fffffff, SIGTERM);
	call(nanosleep, &short_time, NULL);
	call(clock_gettime, CLOCK_MONOTONIC, &short_time);
	call(setitimer, ITIMER_REAL, &timer, NULL);
	call(alarm, 0);
	call(setrlimit, RLIMIT_CORE, &limit);
	call(getrlimit, RLIMIT_NOFILE, &limit);
	call(getrusage, RUSAGE_SELF, &usage);
	call(getpriority, PRIO_PROCESS, 0);
	call(setpriority, PRIO_PROCESS, 0, 5);
	call(umask, 022);
	call(prctl, PR_SET_NAME, "renamed", 0, 0, 0);
	call(futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	call(sched_yield);
	call(setresuid, -1, 0, -1);
	call(setpgid, 0, 0);
	call(sync);
	n = fork();
	if (!n)
		call(exit_group, 7);

	call(wait4, -1, &status, 0, NULL);
	call(unlink, "/tmp/calls.other");
	call(chdir, "/tmp");
	call(ioctl, 3, 0x5401, buffer);
	call(getppid);
	return 0;
}
