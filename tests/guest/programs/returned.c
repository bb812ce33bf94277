// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * returned.c - system calls that answer through memory, with answers that are
 * known: descriptors, how children end, what ptrace(2) tells of one. Writes the
 * base of its FS, which its children have too, to the file `fs`.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define call(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

static void traced(void)
{
	unsigned long message, fs;
	int status;
	pid_t child = fork();

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(7);
	}
	call(wait4, child, &status, 0, NULL);
	call(ptrace, PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT);
	call(ptrace, PTRACE_ARCH_PRCTL, child, &fs, ARCH_GET_FS);
	call(ptrace, PTRACE_CONT, child, 0, 0);
	call(wait4, child, &status, 0, NULL);
	call(ptrace, PTRACE_GETEVENTMSG, child, 0, &message);
	call(ptrace, PTRACE_CONT, child, 0, 0);
	call(wait4, child, &status, 0, NULL);
	call(ptrace, PTRACE_GETEVENTMSG, child, 0, &message); /* nobody is there */
}

int main(void)
{
	unsigned long fs, set = 1 << (SIGUSR1 - 1);
	int fds[2], status;
	FILE *out = fopen("fs", "w");
	pid_t child;

	call(arch_prctl, ARCH_GET_FS, &fs);
	fprintf(out, "%#lx\n", fs);
	fclose(out);
	call(open, "/no/such \"file\"\n", O_RDONLY, 0);
	call(mq_open, "a \"queue\"", O_RDONLY, 0, NULL);
	call(pipe, fds);
	call(pipe2, fds, O_CLOEXEC);
	call(pipe, NULL);
	call(epoll_create, 1);
	call(epoll_create1, EPOLL_CLOEXEC);
	call(signalfd4, -1, &set, 8, SFD_NONBLOCK);
	traced();
	child = fork();
	if (!child)
		pause();
	call(wait4, child, &status, WNOHANG, NULL);
	kill(child, SIGKILL);
	call(wait4, child, &status, 0, NULL);
	return 0;
}
