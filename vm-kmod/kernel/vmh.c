// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * vmh.c - what core/ asks of its host (vm.h, "what the host provides"): memory
 * at load; clocks, reads without faults, and facts on the task and the place
 * for running handlers. Everything but vmh_alloc and vmh_free may be called in
 * NMI: no locks, no sleeping, bounded.
 *
 * Members of the kernel's structures are found by the offsets that the loader
 * passed (uapi.h), which LOAD has bounded; a pointer that was read from memory
 * is never followed but by a read that survives faults.
 */
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched/coredump.h>
#include <linux/sched/loadavg.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <asm/msr.h>

#include "../core/isa.h"
#include "session.h"
#include "arch.h"
#include "compat/compat.h"

/* -- memory, at load --------------------------------------------------------- */

u64 stpvm_budget;

void *vmh_alloc(size_t n)
{
	if (n > INT_MAX || n > stpvm_budget)
		return NULL;
	stpvm_budget -= n;
	return kvzalloc(n, GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
}

void vmh_free(void *p)
{
	kvfree(p);
}

/* -- clocks and numbers -------------------------------------------------------- */

u64 vmh_clock_real(void)
{
	return ktime_get_real_fast_ns();
}

u64 vmh_clock_mono(void)
{
	return ktime_get_mono_fast_ns();
}

u64 vmh_cycles(void)
{
	return rdtsc();
}

static DEFINE_PER_CPU(u32, rnd);

void stpvm_vmh_init(void)
{
	u32 cpu;

	for_each_possible_cpu(cpu)
		per_cpu(rnd, cpu) = get_random_u32() | 1;
}

/* xorshift32: the kernel's own generators take locks */
u32 vmh_random(void)
{
	u32 x = raw_cpu_read(rnd);

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	raw_cpu_write(rnd, x);
	return x;
}

/* A handler in probe context is bounded by MAXACTION alone. */
bool vmh_go_on(struct vm_ctx *c)
{
	const struct stpvm_session *s = vm_ctx_host(c);

	if (!per_cpu_ptr(s->cpu, vm_ctx_cpu(c))->in_task)
		return true;
	if (!irqs_disabled())
		cond_resched();
	return !fatal_signal_pending(current);
}

void vmh_relax(u32 usec)
{
	/* tells a hypervisor that this CPU waits for another, which may not be running */
	cpu_relax();
	udelay(usec);
}

/* -- memory of others ---------------------------------------------------------- */

int vmh_read_kernel(void *dst, u64 addr, size_t n)
{
	return copy_from_kernel_nofault(dst, (void *)(unsigned long)addr, n);
}

/* Where task_struct has mm: one kernel, one answer, so that of the last LOAD serves all. */
static u32 mm_offset = offsetof(struct task_struct, mm);

/* Kernel threads borrow the mm of whoever ran before: not theirs to read. */
static bool has_user_memory(void)
{
	return !!READ_ONCE(*(void **)((u8 *)current + READ_ONCE(mm_offset)));
}

int vmh_read_user(void *dst, u64 addr, size_t n)
{
	if (!has_user_memory())
		return -EFAULT;
	return copy_from_user_nofault(dst, (const void __user *)(unsigned long)addr, n);
}

int vmh_write_user(u64 addr, const void *src, size_t n)
{
	if (!has_user_memory())
		return -EFAULT;
	return copy_to_user_nofault((void __user *)(unsigned long)addr, src, n);
}

/* copy_to_kernel_nofault() is not exported; this is its loop */
int vmh_write_kernel(u64 addr, const void *src, size_t n)
{
	u8 *to = (u8 *)(unsigned long)addr;
	const u8 *from = src;

	if (addr < TASK_SIZE_MAX || addr + n < addr)
		return -EFAULT;
	pagefault_disable();
	if (n == 8 && !(addr & 7))
		__put_kernel_nofault(to, from, u64, fault);
	else if (n == 4 && !(addr & 3))
		__put_kernel_nofault(to, from, u32, fault);
	else if (n == 2 && !(addr & 1))
		__put_kernel_nofault(to, from, u16, fault);
	else
		for (; n; n--, to++, from++)
			__put_kernel_nofault(to, from, u8, fault);
	pagefault_enable();
	return 0;
fault:
	pagefault_enable();
	return -EFAULT;
}

/* -- offsets --------------------------------------------------------------------- */

#define UNKNOWN 0xffffffffu

/* most that a member may lie behind the start of its structure */
#define NEAR 4096u

static const struct {
	u16 at;	   /* in struct stpvm_offsets */
	u16 size;  /* of the member */
	u32 built; /* offset in the headers of this build, or UNKNOWN */
	u32 bound; /* end of the structure */
} members[] = {
#define TASK(f, m)                                                                      \
	{                                                                               \
		offsetof(struct stpvm_offsets, f), sizeof_field(struct task_struct, m), \
			offsetof(struct task_struct, m), sizeof(struct task_struct)     \
	}
#define MEMBER(f, t, m)                                                           \
	{                                                                         \
		offsetof(struct stpvm_offsets, f), 8, offsetof(struct t, m), NEAR \
	}
#define NONE(f)                                                     \
	{                                                           \
		offsetof(struct stpvm_offsets, f), 8, UNKNOWN, NEAR \
	}
	TASK(task_pid, pid),
	TASK(task_tgid, tgid),
	TASK(task_real_parent, real_parent),
	TASK(task_comm, comm),
	TASK(task_cred, cred),
	TASK(task_group_leader, group_leader),
	TASK(task_signal, signal),
	TASK(task_mm, mm),
	MEMBER(signal_pids, signal_struct, pids),
	MEMBER(mm_exe_file, mm_struct, exe_file),
	MEMBER(mm_flags, mm_struct, flags),
	MEMBER(cred_uid, cred, uid),
	MEMBER(cred_euid, cred, euid),
	MEMBER(cred_gid, cred, gid),
	MEMBER(cred_egid, cred, egid),
	MEMBER(pid_numbers, pid, numbers),
	MEMBER(upid_nr, upid, nr),
	MEMBER(pid_level, pid, level),
	MEMBER(file_path, file, f_path),
	MEMBER(path_dentry, path, dentry),
	MEMBER(path_mnt, path, mnt),
	MEMBER(dentry_parent, dentry, d_parent),
	MEMBER(dentry_name, dentry, d_name),
	MEMBER(qstr_name, qstr, name),
	MEMBER(vfsmount_root, vfsmount, mnt_root),
	NONE(mount_mnt),
	NONE(mount_parent),
	NONE(mount_mountpoint),
};

/*
 * Offsets decide whose task is looked at and what is read of it, so they are
 * taken only from callers who may read the kernel's memory anyway. One kernel,
 * one answer: what the last of them said serves those who may not; before that,
 * the headers of this build. Under stpvm_load_lock.
 */
static struct stpvm_offsets known;

int stpvm_offsets_set(struct stpvm_session *s, const struct stpvm_offsets *from)
{
	bool trusted = s->caps & CAP_KERNEL_READ;
	u32 n;

	s->off = trusted ? *from : known;
	for (n = 0; n < ARRAY_SIZE(members); n++) {
		u32 *off = (u32 *)((u8 *)&s->off + members[n].at);

		/* a request of zeroes is one without offsets */
		if (*off == UNKNOWN || !s->off.task_size)
			*off = members[n].built;
		else if (*off > members[n].bound - members[n].size)
			return -EINVAL;
	}
	BUILD_BUG_ON(sizeof(struct task_struct) > U16_MAX);
	s->words[H_PID] = (u16)s->off.task_tgid;
	s->words[H_TID] = (u16)s->off.task_pid;
	s->words[H_CPU] = VM_WORD_CPU;
	s->words[H_TASK_CURRENT] = VM_WORD_TASK;
	/* a loader that looks up nothing says that it knows nothing */
	if (trusted && from->task_size && from->task_mm != UNKNOWN) {
		known = s->off;
		WRITE_ONCE(mm_offset, s->off.task_mm);
	}
	return 0;
}

/* -- facts ------------------------------------------------------------------------- */

/* a member of the current task: inside it, as LOAD has checked */
static __always_inline u64 task_ptr(u32 off)
{
	return READ_ONCE(*(u64 *)((u8 *)current + off));
}

static u64 read_ptr(u64 base, u32 off)
{
	u64 v = 0;

	if (!base || off == UNKNOWN || vmh_read_kernel(&v, base + off, sizeof(v)))
		return 0;
	return v;
}

static u32 read_u32(u64 base, u32 off)
{
	u32 v = 0;

	if (!base || off == UNKNOWN || vmh_read_kernel(&v, base + off, sizeof(v)))
		return 0;
	return v;
}

/* number of the current task's process group or session, in the first namespace */
static u32 pid_of(const struct stpvm_offsets *o, enum pid_type type)
{
	u64 sig = task_ptr(o->task_signal);

	return read_u32(read_ptr(sig, o->signal_pids + type * sizeof(void *)),
			o->pid_numbers + o->upid_nr);
}

/*
 * May a user without rights look at the current task? As ptrace decides: all of
 * its ids are his, and it may be dumped, which a program that had other rights
 * when it was started, or had them and gave them up, may not.
 */
bool stpvm_own_task(const struct stpvm_session *s)
{
	struct {
		u32 uid, gid, suid, sgid, euid, egid;
	} id;
	u32 owner = __kuid_val(s->owner);
	u64 mm = task_ptr(s->off.task_mm), flags = read_ptr(mm, s->off.mm_flags);

	BUILD_BUG_ON(offsetof(struct cred, egid) - offsetof(struct cred, uid) !=
		     sizeof(id) - sizeof(id.egid));
	if (!owner || (flags & MMF_DUMPABLE_MASK) != SUID_DUMP_USER ||
	    vmh_read_kernel(&id, task_ptr(s->off.task_cred) + s->off.cred_uid, sizeof(id)))
		return false;
	return id.uid == owner && id.suid == owner && id.euid == owner && id.sgid == id.gid &&
	       id.egid == id.gid;
}

static s64 caller_of(const struct vm_hit *hit)
{
	const struct pt_regs *regs = hit->regs;
	u64 ret = 0;

	if (hit->caller || !regs || !(hit->flags & HIT_ENTRY))
		return hit->caller;
	return vmh_read_kernel(&ret, regs->sp, sizeof(ret)) ? 0 : ret;
}

/* where user code is, or was when it entered the kernel */
static s64 user_ip(const struct stpvm_offsets *o)
{
	if (o->task_mm == UNKNOWN || !task_ptr(o->task_mm))
		return 0;
	return (s64)instruction_pointer(task_pt_regs(current));
}

s64 vmh_fact(struct vm_ctx *c, u32 helper, const struct vm_hit *hit)
{
	const struct stpvm_session *s = vm_ctx_host(c);
	const struct stpvm_offsets *o = &s->off;

	switch (helper) {
	case H_PPID:
		return read_u32(task_ptr(o->task_real_parent), o->task_tgid);
	case H_PGRP:
		return pid_of(o, PIDTYPE_PGID);
	case H_SID:
		return pid_of(o, PIDTYPE_SID);
	case H_UID:
		return read_u32(task_ptr(o->task_cred), o->cred_uid);
	case H_EUID:
		return read_u32(task_ptr(o->task_cred), o->cred_euid);
	case H_GID:
		return read_u32(task_ptr(o->task_cred), o->cred_gid);
	case H_EGID:
		return read_u32(task_ptr(o->task_cred), o->cred_egid);
	case H_TARGET:
		return s->target;
	case H_STP_PID:
		return s->loader_pid;
	case H_USER_MODE:
		return !!(hit->flags & VM_HIT_USER);
	case H_REGISTERS_VALID:
		return !!hit->regs;
	case H_IS_RETURN:
		return !!(hit->flags & VM_HIT_RETURN);
	case H_IS_COMPAT:
		return !!(hit->flags & VM_HIT_COMPAT);
	case H_SYSCALL_NR:
		return hit->sysnr;
	case H_PROBE_ADDR:
		return hit->addr;
	case H_CALLER_ADDR:
		return caller_of(hit);
	case H_USER_IP:
		return user_ip(o);
	case H_TZ_GMTOFF:
		return s->tz_west;
	case H_JIFFIES:
		return jiffies;
	case H_HZ:
		return HZ;
	default:
		return 0;
	}
}

/* The number is of the first namespace. Only looked up: the task may end at any
 * time, so whoever follows the address reads it without faults. */
static s64 task_of(s64 nr)
{
	const struct task_struct *t;

	if (nr <= 0 || nr > INT_MAX)
		return 0;
	rcu_read_lock();
	t = pid_task(find_pid_ns((int)nr, &init_pid_ns), PIDTYPE_PID);
	rcu_read_unlock();
	return (s64)(unsigned long)t;
}

s64 vmh_look_up(struct vm_ctx *c, u32 helper, s64 what)
{
	switch (helper) {
	case H_PID2TASK:
		return task_of(what);
	case H_LOADAVG:
		return what >= 0 && what < 3 ? (s64)READ_ONCE(avenrun[what]) : 0;
	case H_NODE:
		if (!virt_addr_valid((void *)(unsigned long)what))
			return -1;
		return page_to_nid(virt_to_page((void *)(unsigned long)what));
	default:
		return 0;
	}
}

size_t vmh_text(struct vm_ctx *c, u32 helper, const struct vm_hit *hit, char *out, size_t cap)
{
	const struct stpvm_session *s = vm_ctx_host(c);
	u64 task = (u64)(unsigned long)current;
	char comm[TASK_COMM_LEN] = {};
	size_t n;

	if (helper == H_TZ_NAME) {
		n = strnlen(s->tz_name, min(sizeof(s->tz_name), cap));
		memcpy(out, s->tz_name, n);
		return n;
	}
	if (helper == H_PEXECNAME)
		task = task_ptr(s->off.task_real_parent);
	if (vmh_read_kernel(comm, task + s->off.task_comm, sizeof(comm) - 1))
		return 0;
	for (n = 0; comm[n] && n + 1 < cap; n++)
		out[n] = comm[n];
	if (cap)
		out[n] = 0;
	return n;
}

s64 vmh_register(const struct vm_hit *hit, u32 reg, bool *ok)
{
	int at = stpvm_dwarf_reg(reg, hit->flags & HIT_PARTIAL);

	*ok = hit->regs && at >= 0;
	return *ok ? ((const u64 *)hit->regs)[at] : 0;
}

bool vmh_set_register(const struct vm_hit *hit, u32 reg, u64 value, bool entry)
{
	int at = stpvm_dwarf_reg(reg, hit->flags & HIT_PARTIAL);
	bool result = (hit->flags & VM_HIT_RETURN) && reg == DWARF_AX;
	bool ours =
		(hit->flags & (entry ? HIT_ENTRY : HIT_LIVE)) && reg != DWARF_SP && reg != DWARF_IP;

	if (!hit->regs || at < 0 || !(result || ours))
		return false;
	((u64 *)hit->regs)[at] = value;
	return true;
}

/* bytes before the NUL of a name in kernel memory, at most `most`; -1: bad address */
static int name_length(u64 at, u32 most)
{
	u64 word;
	u32 n, i;

	for (n = 0; n < most; n += 8) {
		/* from an aligned word on, so that no page is crossed */
		u32 skip = n ? 0 : at & 7;

		if (vmh_read_kernel(&word, (at + n) & ~7ull, sizeof(word)))
			return -1;
		for (i = skip; i < 8; i++)
			if (!((word >> (8 * i)) & 0xff))
				return min(n + i - (u32)(at & 7), most);
	}
	return most;
}

/*
 * The path of a struct file, from its end: names of dentries up to the root of
 * the mount, then on from where that is mounted. Taken without locks, so a
 * rename in between can give a path that never was.
 */
size_t vmh_file_path(struct vm_ctx *c, u64 file, char *out, size_t cap)
{
	const struct stpvm_session *s = vm_ctx_host(c);
	const struct stpvm_offsets *o = &s->off;
	u64 dentry = read_ptr(file, o->file_path + o->path_dentry);
	u64 mnt = read_ptr(file, o->file_path + o->path_mnt);
	size_t pos = cap, len = 0;
	u32 depth;

	if (!cap)
		return 0;
	out[--pos] = 0;
	for (depth = 0; depth < 128 && dentry; depth++) {
		u64 parent = read_ptr(dentry, o->dentry_parent);
		u64 name = read_ptr(dentry, o->dentry_name + o->qstr_name);
		int n = name ? name_length(name, 255) : -1;

		if (n < 0)
			return 0;
		if (dentry == parent || dentry == read_ptr(mnt, o->vfsmount_root)) {
			u64 up = 0;

			if (o->mount_mnt != UNKNOWN)
				up = read_ptr(mnt - o->mount_mnt, o->mount_parent);
			if (up && up != mnt - o->mount_mnt) {
				dentry = read_ptr(mnt - o->mount_mnt, o->mount_mountpoint);
				mnt = up + o->mount_mnt;
				continue;
			}
			/* the root, or a file of no directory ("[eventfd]") */
			if (pos == cap - 1 && pos > n) {
				pos -= n;
				if (vmh_read_kernel(out + pos, name, n))
					return 0;
			}
			break;
		}
		if (pos < n + 1)
			break;
		pos -= n;
		if (vmh_read_kernel(out + pos, name, n))
			return 0;
		out[--pos] = '/';
		dentry = parent;
	}
	len = cap - 1 - pos;
	memmove(out, out + pos, len + 1);
	return len;
}

/* -- lost records ------------------------------------------------------------------- */

void vmh_lost(struct vm_ctx *c, u32 probe)
{
	const struct stpvm_session *s = vm_ctx_host(c);

	per_cpu_ptr(s->cpu, vm_ctx_cpu(c))->stats[probe].lost++;
}

/* -- messages ------------------------------------------------------------------------ */

void vmh_kernel_message(struct vm_ctx *c, u32 helper, s64 level, const char *s)
{
	if (helper == H_FTRACE)
		stpvm_trace_puts(s);
	else if (helper == H_PANIC)
		panic("%s", s);
	else if (helper == H_DUMP_STACK)
		dump_stack();
	else
		printk(KERN_SOH "%c%s\n", '0' + (char)clamp_t(s64, level, 0, 7), s);
}

/* -- guru mode ------------------------------------------------------------------------- */

void vmh_delay(u32 usec)
{
	for (; usec > 1000; usec -= 1000)
		udelay(1000);
	udelay(usec);
}

/* Not where it could meet the locks that it takes: an interrupted task may hold them. */
int vmh_signal(s64 signo)
{
	if (signo <= 0 || signo > _NSIG || in_nmi() || in_hardirq())
		return -EINVAL;
	return send_sig((int)signo, current, 1);
}
