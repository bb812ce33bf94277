// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_procfs.c - procfs probes: files below /proc/systemtap/SESSION that run
 * a handler when they are read or written, in the task that does so. Each open
 * file has a buffer of its own; a handler fills it, or finds there what was
 * written. In: paths, sizes and umasks of the image. Out: files.
 *
 * Removing a file waits for calls under way and releases whoever has it open, so
 * that no call may wait for what others decide about: see copy().
 */
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "attach.h"

struct pfile {
	struct stpvm_probe *read, *write; /* of several that write, the first */
	const char *path;
	u32 size, readable; /* of its buffers, and how much a reader may get */
	umode_t mode;
};

struct pfiles {
	struct list_head list;
	const char *name; /* of the session */
	struct proc_dir_entry *dir;
	atomic64_t taken; /* by the buffers of open files */
	u32 count;
	struct pfile f[];
};

/* sessions with files, and the directory above theirs if it is ours */
static LIST_HEAD(named_sessions);
static struct proc_dir_entry *root;
static DEFINE_MUTEX(name_lock);

/* of the buffer of one open file, and of all that a session's files have open */
#define SIZE_LIMIT (16 << 20)
#define OPEN_LIMIT (64 << 20)
/* how long a page of the caller's is waited for, in ticks */
#define PAGE_PATIENCE 1000

/* what belongs to an open file */
struct value {
	struct mutex lock;
	struct vm_value v;
	char text[];
};

static bool is_ours(const struct stpvm_probe *p)
{
	return p->via == VIA_DEFAULT && (p->kind == IM_K_PROCFS_R || p->kind == IM_K_PROCFS_W);
}

static const char *path_of(const struct stpvm_probe *p)
{
	return vm_string(p->session->prog, p->im->name);
}

static struct stpvm_session *session_of(const struct pfile *f)
{
	return (f->read ?: f->write)->session;
}

static void give_buffer(const struct pfile *f)
{
	struct stpvm_session *s = session_of(f);
	struct pfiles *fs = s->arm[SRC_PROCFS];

	stpvm_give(s, sizeof(struct value) + f->size);
	atomic64_sub(f->size, &fs->taken);
}

/* Anybody may open a file again and again: the buffers belong to the session's memory. */
static int take_buffer(const struct pfile *f)
{
	struct stpvm_session *s = session_of(f);
	struct pfiles *fs = s->arm[SRC_PROCFS];

	if (atomic64_add_return(f->size, &fs->taken) <= OPEN_LIMIT &&
	    !stpvm_take(s, sizeof(struct value) + f->size))
		return 0;
	atomic64_sub(f->size, &fs->taken);
	return -ENOMEM;
}

static int pf_open(struct inode *inode, struct file *file)
{
	const struct pfile *f = pde_data(inode);
	struct value *o;

	if (take_buffer(f))
		return -ENOMEM;
	o = kvmalloc(struct_size(o, text, f->size), GFP_KERNEL_ACCOUNT);
	if (!o) {
		give_buffer(f);
		return -ENOMEM;
	}
	mutex_init(&o->lock);
	o->v.buf = o->text;
	o->v.len = 0;
	o->v.cap = f->size;
	file->private_data = o;
	return 0;
}

static int pf_release(struct inode *inode, struct file *file)
{
	kvfree(file->private_data);
	give_buffer(pde_data(inode));
	return 0;
}

/*
 * To or from the memory of the caller, page by page. Whoever answers the faults of
 * that memory (userfaultfd, a file system in user space) might never do so, and the
 * session could not end: so a page that is absent is asked for without waiting, and
 * is looked for again while the session runs, for some seconds.
 */
static int copy(const struct stpvm_session *s, char *text, char __user *user, size_t n, bool out)
{
	u32 flags = FOLL_NOWAIT | (out ? FOLL_WRITE : 0), tries = 0;

	while (n) {
		size_t part = min_t(size_t, n, PAGE_SIZE - offset_in_page(user));

		if (!(out ? copy_to_user_nofault(user, text, part)
			  : copy_from_user_nofault(text, user, part))) {
			text += part;
			user += part;
			n -= part;
			tries = 0;
			continue;
		}
		if (get_user_pages_unlocked((unsigned long)user, 1, NULL, flags) < 0 ||
		    tries++ >= PAGE_PATIENCE)
			return -EFAULT;
		/* only fresh memory: the page is there now */
		if (tries == 1)
			continue;
		if (!stpvm_live(s))
			return -EAGAIN;
		if (schedule_timeout_interruptible(1))
			return -EINTR;
	}
	return 0;
}

/* The handler is asked at the start of the file; what it said lasts until then. */
static ssize_t pf_read(struct file *file, char __user *to, size_t n, loff_t *pos)
{
	const struct pfile *f = pde_data(file_inode(file));
	struct value *o = file->private_data;
	ssize_t got = 0;

	if (!f->read)
		return -EINVAL;
	if (mutex_lock_interruptible(&o->lock))
		return -EINTR;
	if (!*pos) {
		o->v.len = 0;
		o->v.cap = f->readable;
		got = stpvm_hit_value(f->read, &o->v);
		if (got)
			o->v.len = 0;
	}
	if (!got && *pos < o->v.len) {
		n = min_t(u64, n, o->v.len - *pos);
		got = copy(f->read->session, o->text + *pos, to, n, true);
		if (!got) {
			*pos += n;
			got = n;
		}
	}
	mutex_unlock(&o->lock);
	return got;
}

/*
 * What is longer than a string is for the next call. All probes of the file run,
 * whatever happens in one; none begins when one has ended the run. Who writes is
 * told an error of any of them, and EAGAIN if none of them could run.
 */
static ssize_t pf_write(struct file *file, const char __user *from, size_t n, loff_t *pos)
{
	const struct pfile *f = pde_data(file_inode(file));
	struct value *o = file->private_data;
	struct stpvm_session *s;
	bool ran = false;
	ssize_t err, one;
	u32 k;

	if (!f->write)
		return -EINVAL;
	s = f->write->session;
	n = min_t(size_t, n, s->limits->maxstringlen - 1);
	if (mutex_lock_interruptible(&o->lock))
		return -EINTR;
	err = copy(s, o->text, (char __user *)from, n, false);
	o->v.len = err ? 0 : strnlen(o->text, n);
	for (k = err ? s->nprobes : f->write->index; k < s->nprobes; k++) {
		if (!is_ours(&s->probe[k]) || s->probe[k].kind != IM_K_PROCFS_W ||
		    strcmp(path_of(&s->probe[k]), f->path))
			continue;
		one = stpvm_hit_value(&s->probe[k], &o->v);
		ran |= one != -EAGAIN;
		if (one != -EAGAIN)
			err = err ?: one;
	}
	if (!ran)
		err = err ?: -EAGAIN;
	o->v.len = 0;
	mutex_unlock(&o->lock);
	return err ?: n;
}

static const struct proc_ops pf_ops = {
	.proc_open = pf_open,
	.proc_release = pf_release,
	.proc_read = pf_read,
	.proc_write = pf_write,
	.proc_lseek = default_llseek,
};

/* -- arming -------------------------------------------------------------------- */

/* a path without empty parts, "." and "..", none of them longer than a name may be */
static bool good_path(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (!n || n > NAME_MAX ||
		    (path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

/* the file of that path; the next free one if there is none yet */
static struct pfile *find(struct pfiles *fs, const char *path)
{
	u32 n;

	for (n = 0; n < fs->count; n++)
		if (!strcmp(fs->f[n].path, path))
			break;
	return &fs->f[n];
}

/* What is wrong with a probe, or NULL: it has its place in a file. */
static const char *take(struct pfiles *fs, struct stpvm_probe *p)
{
	const struct im_limits *l = p->session->limits;
	bool write = p->kind == IM_K_PROCFS_W;
	s64 size = p->im->arg ?: l->procfs_bufsize ?: l->maxstringlen;
	umode_t mode = (write ? 0222 : 0444) & ~p->im->arg2;
	struct pfile *f;

	if (!good_path(path_of(p)))
		return "not the path of a file";
	if (!mode)
		return "with this umask nobody may use the file";
	if (size < 1 || size > SIZE_LIMIT)
		return "size of the buffer out of range";
	f = find(fs, path_of(p));
	if (!write && f->read)
		return "another probe of the script is read there";
	if (write) {
		f->write = f->write ?: p;
	} else {
		f->read = p;
		f->readable = size - 1; /* as SystemTap: with a terminator */
	}
	f->size = max3(f->size, (u32)l->maxstringlen, (u32)size);
	f->mode |= mode;
	f->path = path_of(p);
	if (f == &fs->f[fs->count])
		fs->count++;
	return NULL;
}

/* The directories in the path of file n; what is wrong, or NULL. */
static const char *make_parents(struct pfiles *fs, u32 n)
{
	const char *path = fs->f[n].path, *end;
	char part[256];
	u32 k;

	for (end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
		size_t len = end - path;
		bool made = false;

		if (len >= sizeof(part))
			return "the path is too long";
		for (k = 0; k < fs->count; k++) {
			const char *other = fs->f[k].path;

			if (strncmp(other, path, len))
				continue;
			if (!other[len])
				return "a file is a directory in the path of another";
			made |= k < n && other[len] == '/';
		}
		strscpy(part, path, len + 1);
		if (!made && !proc_mkdir(part, fs->dir))
			return "no directory can be made";
	}
	return NULL;
}

static int make_file(struct stpvm_session *s, struct pfiles *fs, u32 n)
{
	struct pfile *f = &fs->f[n];
	const char *wrong = make_parents(fs, n);
	struct proc_dir_entry *entry = NULL;

	if (!wrong)
		entry = proc_create_data(f->path, f->mode, fs->dir, &pf_ops, f);
	if (!entry)
		return stpvm_refuse(s, f->read ?: f->write, -EEXIST,
				    wrong ?: "the file can't be made");
	proc_set_user(entry, s->owner, current_egid());
	return 0;
}

static bool is_there(const char *path)
{
	struct path found;

	if (kern_path(path, 0, &found))
		return false;
	path_put(&found);
	return true;
}

/* Under name_lock. SystemTap's own modules may have made /proc/systemtap. */
static int make_directory(struct pfiles *fs)
{
	static const char top[] = "/proc/systemtap";
	const struct pfiles *other;
	char path[80];

	if (strlen(fs->name) >= sizeof(path) - sizeof(top) - 1 || !good_path(fs->name) ||
	    strchr(fs->name, '/'))
		return -EINVAL;
	list_for_each_entry(other, &named_sessions, list)
		if (!strcmp(other->name, fs->name))
			return -EEXIST;
	if (!root && !is_there(top)) {
		root = proc_mkdir("systemtap", NULL);
		if (!root)
			return -ENOMEM;
	}
	scnprintf(path, sizeof(path), "%s/%s", top, fs->name);
	if (is_there(path))
		return -EEXIST;
	fs->dir = proc_mkdir(path + 6, NULL); /* what is behind "/proc/" */
	return fs->dir ? 0 : -ENOMEM;
}

static int procfs_arm(struct stpvm_session *s)
{
	u32 n, all = stpvm_count(s, IM_K_PROCFS_R, VIA_DEFAULT) +
		     stpvm_count(s, IM_K_PROCFS_W, VIA_DEFAULT);
	struct pfiles *fs;
	int err;

	if (!all)
		return 0;
	fs = kvzalloc(struct_size(fs, f, all + 1), GFP_KERNEL_ACCOUNT);
	if (!fs)
		return -ENOMEM;
	s->arm[SRC_PROCFS] = fs;
	INIT_LIST_HEAD(&fs->list); /* disarming also ends what failed half way */
	fs->name = vm_string(s->prog, vm_header(s->prog)->name);
	for (n = 0; n < s->nprobes; n++) {
		const char *wrong = is_ours(&s->probe[n]) ? take(fs, &s->probe[n]) : NULL;

		err = wrong ? stpvm_refuse(s, &s->probe[n], -EINVAL, wrong) : 0;
		if (err)
			return err;
	}
	mutex_lock(&name_lock);
	err = make_directory(fs);
	list_add(&fs->list, &named_sessions);
	mutex_unlock(&name_lock);
	if (err == -EEXIST)
		scnprintf(s->fail_text, sizeof(s->fail_text),
			  "/proc/systemtap/%s belongs to another session; choose a name by -m",
			  fs->name);
	for (n = 0; !err && n < fs->count; n++)
		err = make_file(s, fs, n) ?: stpvm_interrupted(s);
	return err;
}

/* Waits for calls under way; who has a file open keeps a handle to nothing. */
static void procfs_disarm(struct stpvm_session *s)
{
	struct pfiles *fs = s->arm[SRC_PROCFS];

	proc_remove(fs->dir);
	mutex_lock(&name_lock);
	list_del(&fs->list);
	if (list_empty(&named_sessions)) {
		proc_remove(root);
		root = NULL;
	}
	mutex_unlock(&name_lock);
}

static void procfs_release(struct stpvm_session *s)
{
	kvfree(s->arm[SRC_PROCFS]);
}

const struct stpvm_source stpvm_procfs_source = {
	.name = "procfs",
	.arm = procfs_arm,
	.disarm = procfs_disarm,
	.release = procfs_release,
};
