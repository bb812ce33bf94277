/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * uapi.h - the device. One open file of /dev/stpvm is one session; closing it
 * ends the session whatever state it is in. Rust mirror: loader/src/session/uapi.rs.
 *
 *   open -> INFO -> LOAD -> mmap rings -> START -> poll / read rings -> STOP -> close
 *
 * START may come in two parts: one that arms, after which the caller may still
 * give up, and one that runs the begin probes and lets handlers run.
 *
 * Every structure begins with its size, so that a newer loader and an older
 * module can tell each other apart.
 */
#ifndef STPVM_UAPI_H
#define STPVM_UAPI_H
#ifdef __KERNEL__
#include <linux/ioctl.h>
#else
#include <sys/ioctl.h>
#endif
#include <linux/types.h>

#define STPVM_UAPI_VERSION 2

struct stpvm_info {
	__u32 size;
	__u32 version;	/* STPVM_UAPI_VERSION */
	__u64 isa_hash; /* images with another are refused */
	__u32 caps;	/* CAP_* that this caller may use */
	__u32 ncpus;	/* possible CPUs: rings to map */
	__u32 features; /* none yet */
	__u32 pad;
};

/* Offsets of kernel structures, from the running kernel's BTF. 0xffffffff:
 * not known; the module then uses those of the headers that it was built
 * with, and where those have none (struct mount) gives 0 or "". */
struct stpvm_offsets {
	__u32 task_pid, task_tgid, task_real_parent, task_comm, task_cred;
	__u32 task_group_leader, task_signal, signal_pids, task_mm, mm_exe_file;
	__u32 cred_uid, cred_euid, cred_gid, cred_egid;
	__u32 pid_numbers, upid_nr, pid_level;
	__u32 file_path, path_dentry, path_mnt, dentry_parent, dentry_name, qstr_name;
	__u32 vfsmount_root, mount_mnt, mount_parent, mount_mountpoint;
	__u32 task_size; /* sizeof(struct task_struct): bound of the above */
	__u32 mm_flags;
	__u32 reserved[3];
};

struct stpvm_load {
	__u32 size;
	__u32 image_len;
	__u64 image;  /* pointer: flat image (core/image.h) */
	__s64 target; /* target() */
	__s64 loader_pid;
	__u32 ring_data; /* bytes per CPU, rounded up to a power of two */
	__u32 ring_ctl;
	__u32 watermark; /* bytes of data after which poll wakes */
	__u32 wake_ms;	 /* longest time that records wait */
	struct stpvm_offsets offsets;
	/* results */
	__u64 ring_map_len; /* bytes to map per CPU; CPU n is at offset n * ring_map_len */
	__u64 mem_image, mem_globals, mem_contexts, mem_rings;
	__u32 fault_rule, fault_func, fault_pc; /* on EINVAL/ENOEXEC/EACCES */
	__u32 pad;
	char fault_text[160];
	/* time zone of the loader, for tz_gmtoff() and tz_name() */
	__s64 tz_west; /* seconds west of UTC */
	char tz_name[16];
	/* How long begin, end and error handlers wait for room in a full ring while
	 * nobody reads; 0: 10 s, all ones: until the caller is killed. Whoever calls
	 * START and STOP must read meanwhile, in another thread. */
	__u32 room_ms;
	__u32 flags; /* STPVM_LF_* */
};
#define STPVM_LF_TIMING 1 /* cycles_min and cycles_max are wanted */

struct stpvm_start {
	__u32 size;
	__u32 failed_probe; /* on error: which; ~0: none */
	__u32 refused;	    /* optional probes that could not be armed */
	__u32 flags;	    /* STPVM_SF_* */
	char text[160];
	__u64 which; /* pointer: bytes, one for each probe: 1 where it could not be armed; may be 0 */
};
#define STPVM_SF_ARM 1 /* arm and no more: no handler runs before the START that follows */

struct stpvm_probe_stats {
	__u64 hits, errors, skipped_busy, skipped_lock, skipped_stack, lost, cycles;
	__u64 thinned;		      /* hits left out by the overload guard */
	__u64 cycles_min, cycles_max; /* with STPVM_LF_TIMING; else 0 */
};

struct stpvm_stats {
	__u32 size;
	__u32 first, count;    /* which probes to report into the array */
	__u32 state;	       /* STPVM_S_* */
	__u64 array;	       /* pointer: struct stpvm_probe_stats[count] */
	__u64 errors, skipped; /* whole session */
};
#define STPVM_S_NEW	0
#define STPVM_S_LOADED	1
#define STPVM_S_RUNNING 2
#define STPVM_S_STOPPED 3 /* end probes have run */

/* A byte or a line of the loader's standard input: runs the probes of kind
 * IM_K_INPUT that wait for one, if the session runs. */
struct stpvm_input {
	__u32 size;
	__u32 line; /* 0: a byte, 1: a line */
	__u64 text;
	__u32 len; /* what is above MAXSTRINGLEN is cut off */
	__u32 pad;
};

/* ioctl numbers start at 16: 1 and 2 never reach a driver */
#define STPVM_IOC_INFO	_IOR('v', 16, struct stpvm_info)
#define STPVM_IOC_LOAD	_IOWR('v', 17, struct stpvm_load)
#define STPVM_IOC_START _IOWR('v', 18, struct stpvm_start)
#define STPVM_IOC_STOP	_IO('v', 19)
#define STPVM_IOC_STATS _IOWR('v', 20, struct stpvm_stats)
#define STPVM_IOC_INPUT _IOWR('v', 21, struct stpvm_input)

#endif
