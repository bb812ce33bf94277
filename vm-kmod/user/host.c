// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* host.c - vmh_* functions of the hosted machine. See host.h. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sched.h>
#include "host.h"
#include "isa.h"
#include "machine.h"
#include "text.h"

static __thread struct user_host *current;
static __thread const struct user_room *room;

enum vm_result user_run(struct vm *vm, u32 cpu, u32 probe, const struct vm_hit *hit,
			const struct user_room *maker)
{
	current = vm_host(vm);
	room = maker;
	return vm_run(vm_ctx(vm, cpu), probe, hit);
}

u64 user_seq(const struct vm *vm)
{
	return __atomic_load_n(&vm->seq, __ATOMIC_RELAXED);
}

void *vmh_alloc(size_t n)
{
	return calloc(1, n);
}

void vmh_free(void *p)
{
	free(p);
}

static u64 now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

u64 vmh_clock_real(void)
{
	return current->clock_real ? current->clock_real : now(CLOCK_REALTIME);
}

u64 vmh_clock_mono(void)
{
	return current->clock_mono ? current->clock_mono : now(CLOCK_MONOTONIC);
}

u64 vmh_cycles(void)
{
	return current->cycles ? current->cycles : now(CLOCK_MONOTONIC);
}

u32 vmh_random(void)
{
	u64 x = __atomic_load_n(&current->seed, __ATOMIC_RELAXED);

	if (!x)
		x = now(CLOCK_MONOTONIC) | 1;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	__atomic_store_n(&current->seed, x, __ATOMIC_RELAXED);
	return (u32)(x >> 32);
}

void vmh_relax(u32 usec)
{
	u64 until = now(CLOCK_MONOTONIC) + (u64)usec * 1000;

	do {
		sched_yield();
	} while (now(CLOCK_MONOTONIC) < until);
}

static u8 *find(u64 addr, size_t n, bool user, bool write)
{
	u64 k;

	for (k = 0; k < current->regions; k++) {
		const struct user_region *m = &current->region[k];

		if (!!m->user == user && (!write || m->writable) && addr >= m->addr &&
		    addr - m->addr <= m->len && n <= m->len - (addr - m->addr))
			return m->bytes + (addr - m->addr);
	}
	return NULL;
}

static int copy(void *dst, u64 addr, size_t n, bool user)
{
	const u8 *from = find(addr, n, user, false);

	if (!from)
		return -EFAULT;
	memcpy(dst, from, n);
	return 0;
}

static int put(u64 addr, const void *src, size_t n, bool user)
{
	u8 *to = find(addr, n, user, true);

	if (!to)
		return -EFAULT;
	memcpy(to, src, n);
	return 0;
}

int vmh_read_kernel(void *dst, u64 addr, size_t n)
{
	return copy(dst, addr, n, false);
}

int vmh_read_user(void *dst, u64 addr, size_t n)
{
	return copy(dst, addr, n, true);
}

int vmh_write_kernel(u64 addr, const void *src, size_t n)
{
	return put(addr, src, n, false);
}

int vmh_write_user(u64 addr, const void *src, size_t n)
{
	return put(addr, src, n, true);
}

s64 vmh_fact(struct vm_ctx *c, u32 helper, const struct vm_hit *hit)
{
	struct user_host *h = vm_ctx_host(c);

	struct tm tm;
	time_t t;

	if (helper == H_CALLER_ADDR && hit->caller)
		return (s64)hit->caller;
	if (helper == H_TZ_GMTOFF) {
		t = (time_t)(vmh_clock_real() / 1000000000u);
		return localtime_r(&t, &tm) ? -tm.tm_gmtoff : 0;
	}
	return helper < 256 ? h->fact[helper] : 0;
}

s64 vmh_look_up(struct vm_ctx *c, u32 helper, s64 what)
{
	double load[3];

	(void)c;
	if (helper == H_LOADAVG && what >= 0 && what < 3 && getloadavg(load, 3) == 3)
		return (s64)(load[what] * 2048);
	return helper == H_NODE ? -1 : 0; /* a process has neither tasks nor nodes */
}

/* Hosted, a handler holds up no task, and there is none to send a signal to but ourselves. */
void vmh_delay(u32 usec)
{
	(void)usec;
}

int vmh_signal(s64 signo)
{
	(void)signo;
	return -EPERM;
}

bool vmh_set_register(const struct vm_hit *hit, u32 dwarf_reg, u64 value, bool entry)
{
	(void)entry; /* hosted, all registers are those of an entry, in DWARF order */
	if (!hit->regs || dwarf_reg == 7 || dwarf_reg >= 16)
		return false;
	((u64 *)hit->regs)[dwarf_reg] = value;
	return true;
}

size_t vmh_text(struct vm_ctx *c, u32 helper, const struct vm_hit *hit, char *out, size_t cap)
{
	struct user_host *h = vm_ctx_host(c);
	const char *s = helper == H_EXECNAME	? h->execname
			: helper == H_PEXECNAME ? h->pexecname
						: "";
	struct tm tm;
	time_t t;
	size_t n;

	(void)hit;
	if (helper == H_TZ_NAME) {
		t = (time_t)(vmh_clock_real() / 1000000000u);
		if (localtime_r(&t, &tm) && tm.tm_zone)
			s = tm.tm_zone;
	}
	n = strlen(s);
	if (n > cap - 1)
		n = cap - 1;
	memcpy(out, s, n);
	return n;
}

s64 vmh_register(const struct vm_hit *hit, u32 dwarf_reg, bool *ok)
{
	/* hosted, `regs` is an array of 17 numbers in DWARF order */
	*ok = hit->regs && dwarf_reg < 17;
	return *ok ? ((const s64 *)hit->regs)[dwarf_reg] : 0;
}

u32 vmh_stack(struct vm_ctx *c, const struct vm_hit *hit, u8 *to, u32 most)
{
	struct user_host *h = vm_ctx_host(c);
	u32 n, k;

	(void)hit;
	for (n = 0; n < h->frames && n < most; n++)
		for (k = 0; k < 4; k++)
			*to++ = (u8)(h->stack[n] >> (24 - 8 * k));
	return n;
}

/* a process knows no symbols of the kernel */
size_t vmh_symbol(struct vm_ctx *c, u64 addr, char form, char *out, size_t cap)
{
	struct vm_out o = { out, 0, cap - 1 };

	(void)c;
	if (form != 'm')
		out_hex(&o, addr);
	return o.len;
}

size_t vmh_file_path(struct vm_ctx *c, u64 file, char *out, size_t cap)
{
	(void)c;
	(void)file;
	(void)out;
	(void)cap;
	return 0; /* a process has no struct file */
}

void vmh_kernel_message(struct vm_ctx *c, u32 helper, s64 level, const char *s)
{
	struct user_host *h = vm_ctx_host(c);

	if (h->message)
		h->message(h->message_arg, helper, level, s);
}

bool vmh_go_on(struct vm_ctx *c)
{
	return true;
}

bool vmh_wait_room(struct vm_ctx *c, u32 ring, u64 tail)
{
	if (!room)
		return false;
	room->make(room->arg);
	return __atomic_load_n(&c->ring[ring].shared->tail, __ATOMIC_ACQUIRE) != tail;
}

/* hosted, the ring's own count is enough */
void vmh_lost(struct vm_ctx *c, u32 probe)
{
}

void vmh_wake(struct vm_ctx *c, bool urgent)
{
	struct user_host *h = vm_ctx_host(c);

	__atomic_fetch_add(urgent ? &h->urgent_wakes : &h->wakes, 1, __ATOMIC_RELAXED);
}
