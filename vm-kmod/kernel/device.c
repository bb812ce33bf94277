// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * device.c - /dev/stpvm: one open file is one session (uapi.h). Copies
 * requests in and results out, decides what a caller may do; the work is
 * session.c's. Nothing from user space is used here before its size is known.
 *
 * Who may do what: CAP_SYS_ADMIN and the group stapdev everything; the group
 * stapsys everything but guru mode; the group stapusr scripts that see their
 * own processes only. The groups are parameters of the module, given by number
 * (the loader's modprobe rule looks them up). Without them the device is for
 * root alone.
 */
#include <linux/capability.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "session.h"
#include "isa_hash.h"
#include "compat/compat.h"

static int gid_stapdev = -1, gid_stapsys = -1, gid_stapusr = -1;
module_param(gid_stapdev, int, 0444);
MODULE_PARM_DESC(gid_stapdev, "group that may do everything");
module_param(gid_stapsys, int, 0444);
MODULE_PARM_DESC(gid_stapsys, "group that may do everything but guru mode");
module_param(gid_stapusr, int, 0444);
MODULE_PARM_DESC(gid_stapusr, "group that may look at its own processes");

static bool in_group(int gid)
{
	return gid >= 0 && in_egroup_p(KGIDT_INIT(gid));
}

/*
 * CAP_* (image.h) of the caller. The file must have been opened by somebody
 * as powerful, so that a file handed to a privileged program gains nothing.
 */
static u32 member_caps(struct file *file)
{
	bool member = in_group(gid_stapdev) || in_group(gid_stapsys) || in_group(gid_stapusr);

	if (capable(CAP_SYS_ADMIN) && file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN))
		return CAP_KERNEL_READ | CAP_USER_READ | CAP_ALL_PROCS | CAP_GURU;
	if (!member || !uid_eq(file->f_cred->euid, current_euid()))
		return 0;
	if (in_group(gid_stapdev))
		return CAP_KERNEL_READ | CAP_USER_READ | CAP_ALL_PROCS | CAP_GURU;
	if (in_group(gid_stapsys))
		return CAP_KERNEL_READ | CAP_USER_READ | CAP_ALL_PROCS;
	return CAP_USER_READ;
}

/* and what the machine allows anybody: a locked down kernel keeps its memory to itself */
u32 stpvm_caller_caps(struct file *file)
{
	u32 caps = member_caps(file);

	if (caps & CAP_GURU && security_locked_down(LOCKDOWN_DEV_MEM))
		caps &= ~CAP_GURU;
	if (caps & CAP_KERNEL_READ && security_locked_down(LOCKDOWN_KCORE))
		caps &= ~CAP_KERNEL_READ;
	return caps;
}

static int stpvm_open(struct inode *inode, struct file *file)
{
	struct stpvm_session *s;

	if (!stpvm_caller_caps(file))
		return -EACCES;
	s = stpvm_session_new();
	if (!s)
		return -ENOMEM;
	file->private_data = s;
	return stream_open(inode, file);
}

static int stpvm_release(struct inode *inode, struct file *file)
{
	stpvm_session_free(file->private_data);
	return 0;
}

static int stpvm_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct stpvm_session *s = file->private_data;

	/*
	 * The lock of the session is not taken: mmap holds the mm's lock, which
	 * LOAD may need under the session's. The rings are published by the
	 * state and stand until release.
	 */
	if (smp_load_acquire(&s->state) < STPVM_LOADED)
		return -EBADFD;
	return stpvm_rings_mmap(s, vma);
}

static __poll_t stpvm_poll(struct file *file, poll_table *wait)
{
	struct stpvm_session *s = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &s->wait, wait);
	if (cmpxchg(&s->wake, WAKE_NOW, WAKE_IDLE) == WAKE_NOW)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(s->state) == STPVM_STOPPED)
		mask |= EPOLLHUP;
	return mask;
}

static int get_info(struct file *file, void *req)
{
	struct stpvm_info *info = req;

	info->version = STPVM_UAPI_VERSION;
	info->isa_hash = STPVM_ISA_HASH;
	info->caps = stpvm_caller_caps(file);
	info->ncpus = nr_cpu_ids;
	return 0;
}

static int do_load(struct file *file, void *req)
{
	u32 caps = stpvm_caller_caps(file);

	return caps ? stpvm_session_load(file->private_data, req, caps) : -EACCES;
}

static int do_start(struct file *file, void *req)
{
	struct stpvm_session *s = file->private_data;
	struct stpvm_start *start = req;
	u8 __user *which = u64_to_user_ptr(start->which);
	int err = stpvm_session_start(s, start);
	u32 n;

	/* not under the session's lock: this may fault */
	for (n = 0; !err && which && n < s->nprobes; n++)
		if (s->probe[n].via == VIA_REFUSED && put_user((u8)1, which + n))
			return -EFAULT;
	return err;
}

static int get_stats(struct file *file, void *arg)
{
	struct stpvm_session *s = file->private_data;
	struct stpvm_stats *req = arg;
	struct stpvm_probe_stats __user *to = u64_to_user_ptr(req->array);
	struct stpvm_probe_stats one;
	u32 n;

	if (smp_load_acquire(&s->state) < STPVM_LOADED)
		return -EBADFD;
	if (req->first > s->nprobes)
		req->first = s->nprobes;
	if (req->count > s->nprobes - req->first)
		req->count = s->nprobes - req->first;
	for (n = 0; n < req->count; n++) {
		stpvm_session_stats(s, req->first + n, &one);
		if (copy_to_user(to + n, &one, sizeof(one)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	req->state = stpvm_session_state(s);
	req->errors = atomic_read(&s->errors);
	req->skipped = atomic_read(&s->skipped);
	return 0;
}

static int do_input(struct file *file, void *arg)
{
	return stpvm_session_input(file->private_data, arg);
}

static const struct {
	unsigned int cmd;
	u32 size;  /* of the structure in this version */
	u32 least; /* in version 1 */
	int (*call)(struct file *file, void *req);
} calls[] = {
	{ STPVM_IOC_INFO, sizeof(struct stpvm_info), 32, get_info },
	{ STPVM_IOC_LOAD, sizeof(struct stpvm_load), 392, do_load },
	{ STPVM_IOC_START, sizeof(struct stpvm_start), 176, do_start },
	{ STPVM_IOC_STATS, sizeof(struct stpvm_stats), 40, get_stats },
	{ STPVM_IOC_INPUT, sizeof(struct stpvm_input), 24, do_input },
};

/*
 * A request in, a call, results out. A loader with a larger structure must
 * leave what this module does not know zero; a smaller one is zero-extended.
 */
static int do_call(struct file *file, u32 n, void __user *arg)
{
	void *req;
	u32 size;
	int err;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	if (size < calls[n].least || size > PAGE_SIZE)
		return -EINVAL;
	req = kzalloc(calls[n].size, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	err = copy_struct_from_user(req, calls[n].size, arg, size);
	if (!err) {
		*(u32 *)req = size;
		err = calls[n].call(file, req);
		/* the text of a refusal is in it too */
		if (copy_to_user(arg, req, min(size, calls[n].size)))
			err = -EFAULT;
	}
	kfree(req);
	return err;
}

static long stpvm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	u32 n;

	if (_IOC_TYPE(cmd) != _IOC_TYPE(STPVM_IOC_INFO))
		return -ENOTTY;
	if (cmd == STPVM_IOC_STOP)
		return stpvm_session_stop(file->private_data);
	for (n = 0; n < ARRAY_SIZE(calls); n++)
		if (_IOC_NR(cmd) == _IOC_NR(calls[n].cmd))
			return do_call(file, n, (void __user *)arg);
	return -ENOTTY;
}

static const struct file_operations stpvm_fops = {
	.owner = THIS_MODULE,
	.open = stpvm_open,
	.release = stpvm_release,
	.unlocked_ioctl = stpvm_ioctl,
	.mmap = stpvm_mmap,
	.poll = stpvm_poll,
};

static struct miscdevice stpvm_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "stpvm",
	.fops = &stpvm_fops,
	.mode = 0600,
};

static int __init stpvm_init(void)
{
	BUILD_BUG_ON(sizeof(struct stpvm_info) != 32);
	BUILD_BUG_ON(sizeof(struct stpvm_load) != 424);
	BUILD_BUG_ON(sizeof(struct stpvm_start) != 184);
	BUILD_BUG_ON(sizeof(struct stpvm_stats) != 40);
	if (gid_stapdev >= 0 || gid_stapsys >= 0 || gid_stapusr >= 0)
		stpvm_device.mode = 0666; /* open() asks for the group */
	stpvm_vmh_init();
	return misc_register(&stpvm_device);
}

static void __exit stpvm_exit(void)
{
	misc_deregister(&stpvm_device);
}

/* what the kernel looks for by name; all else is one unit (unit.sh) */
int init_module(void) __attribute__((externally_visible));
void cleanup_module(void) __attribute__((externally_visible));
module_init(stpvm_init);
module_exit(stpvm_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("runs SystemTap scripts as verified bytecode");
