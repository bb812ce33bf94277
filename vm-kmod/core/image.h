/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * image.h - the flat image: what the loader hands to a machine, in the
 * kernel or hosted. Everything is little-endian, naturally aligned and
 * counted; nothing in it is a pointer. Offsets are in bytes from the start.
 * The Rust mirror is vm-kmod/src/flat.rs; static assertions on both sides
 * keep the sizes equal.
 *
 *   +--------------------+ 0
 *   | struct im_header   |
 *   +--------------------+ sect[S].off, each aligned to 8
 *   | section S          |  sect[S].count elements (bytes for IM_S_BYTES)
 *   +--------------------+
 */
#ifndef STPVM_IMAGE_H
#define STPVM_IMAGE_H
#include "platform.h" /* u8..u64, s32, s64 */

#define IM_MAGIC 0x4d565053u /* "SPVM" */
#define IM_ABI	 1

enum im_section {
	IM_S_CODE,    /* u64: instructions of all functions and handlers */
	IM_S_FUNC,    /* struct im_func: functions, then handlers */
	IM_S_PROBE,   /* struct im_probe */
	IM_S_GLOBAL,  /* struct im_global */
	IM_S_CONST,   /* s64 */
	IM_S_STR,     /* struct im_str: string constants, [0] is "" */
	IM_S_BYTES,   /* the bytes they point to, each followed by a NUL */
	IM_S_FMT,     /* struct im_fmt */
	IM_S_FMTITEM, /* struct im_fmtitem */
	IM_S_LOCK,    /* struct im_lock: the probes' lock sets */
	IM_S_TRY,     /* struct im_try: catch blocks, innermost first */
	IM_S_ITER,    /* struct im_iter: iterator specifications */
	IM_S_DFA,     /* struct im_dfa */
	IM_S_DFADATA, /* u32 words of the DFA tables */
	IM_S_MAX
};

struct im_sect {
	u32 off, count;
};

#define LIMIT(f, n, d, lo, hi, doc) s32 f;
struct im_limits {
#include "limits.def"
};
#undef LIMIT

/* capabilities that an image states and the verifier holds it to */
#define CAP_KERNEL_READ 1u /* reads kernel memory */
#define CAP_USER_READ	2u /* reads user memory */
#define CAP_ALL_PROCS	4u /* fires in tasks of other users */
#define CAP_GURU	8u /* writes memory, kernel log */

struct im_header {
	u32 magic;
	u16 abi;
	u16 header_size;
	u32 total_size;
	u32 caps;
	u64 isa_hash; /* of ops.def, helpers.def, limits.def */
	u32 name;     /* string: name of the session */
	u32 pad;
	struct im_sect sect[IM_S_MAX];
	struct im_limits limits;
};

/* in IM_S_BYTES; the length is without the NUL */
struct im_str {
	u32 off, len;
};

/* a function or a handler: frame and code */
struct im_func {
	u32 code; /* first instruction */
	u32 ncode;
	u16 nregs, nstrs; /* size of the frame, at most 256 each */
	u8 naggs, niters; /* at most 16 each; handlers and functions alike */
	u8 ni, ns;	  /* parameters: r[0..ni), s[0..ns) */
	u8 ret;		  /* 0 none, 1 integer in r[0], 2 string in s[0] */
	u8 flags;	  /* IM_F_* */
	u16 pad;
	u32 name; /* string */
	u32 try_first, try_count;
};
#define IM_F_HANDLER 1 /* entered by a probe only */
#define IM_F_LOCKED  2 /* runs under the caller's lock set */

/* where a handler runs. addr and arg mean: */
enum im_kind {
	IM_K_BEGIN, /* arg = priority */
	IM_K_END,
	IM_K_ERROR,
	IM_K_NEVER,
	IM_K_TIMER,    /* arg = period in ns, arg2 = random ns added or taken */
	IM_K_PROFILE,  /* timer.profile: arg = ns per sample, 0 = each tick */
	IM_K_FENTRY,   /* addr = function, arg = IM_AT_* */
	IM_K_FRETURN,  /* addr = function, arg = maxactive or 0 */
	IM_K_KPROBE,   /* addr = instruction */
	IM_K_TRACE,    /* name = tracepoint; arg = number of arguments */
	IM_K_SYSENTER, /* arg = system call number, -1 = every; arg2 = 1: of 32-bit tasks */
	IM_K_SYSEXIT,
	IM_K_UENTRY, /* user probes: later */
	IM_K_URETURN,
	IM_K_PERF,	/* addr = config, arg = period, arg2 = type | IM_PERF_FREQ */
	IM_K_PROCFS_R,	/* name = path, arg = size of the buffer or 0, arg2 = umask */
	IM_K_PROCFS_W,	/* name = path, arg2 = umask */
	IM_K_HWBREAK,	/* addr = data, arg = length, arg2 = 2: written, 3: read or written */
	IM_K_NETFILTER, /* addr = hook, arg = priority, arg2 = protocol family */
	IM_K_INPUT,	/* standard input of the loader: arg = 0 a byte, 1 a line */
	IM_K_MAX
};

/* arg of IM_K_FENTRY */
#define IM_AT_ANY  0 /* ftrace where it can, else kprobe */
#define IM_AT_REGS 1 /* every machine register is needed: kprobe */

/* in arg2 of IM_K_PERF: arg is samples per second */
#define IM_PERF_FREQ (1ll << 32)

struct im_probe {
	u32 func;
	u16 kind;
	u16 flags; /* IM_P_* */
	u64 addr;
	s64 arg, arg2;
	u32 name;   /* string: what is attached to (symbol, event) */
	u32 pp, pn; /* strings: texts of pp() and pn() */
	u32 lock_first, lock_count;
	u32 cost; /* worst case in actions, 0 = not bounded by structure */
	u32 cond; /* function that must give non-zero, ~0 = none */
	u32 pad;
};
#define IM_P_INTERRUPTIBLE 1  /* begin, end, error */
#define IM_P_RETURN	   2  /* a return probe: is_return() */
#define IM_P_OPTIONAL	   4  /* failing to attach is a warning only */
#define IM_P_MAXINT	   16 /* a timer: MAXACTION_INTERRUPTIBLE is its limit, as for begin */
#define IM_P_ENTRY_ARGS \
	8 /* IM_K_FRETURN: the handler reads the arguments that the function was entered with */

enum im_class {
	IM_G_INT,     /* one integer, guarded by its lock */
	IM_G_STR,     /* one string, guarded by its lock */
	IM_G_PERCPU,  /* integer kept per CPU, only added to (and read, set) */
	IM_G_STAT,    /* statistics, per CPU */
	IM_G_MAP,     /* map with integer or string value, its lock */
	IM_G_STATMAP, /* map of statistics, one part per CPU */
};
enum im_type { IM_T_INT = 1, IM_T_STR = 2, IM_T_STAT = 3 };

struct im_global {
	u32 name;
	u8 cls;	 /* enum im_class */
	u8 type; /* of the value */
	u8 nkeys;
	u8 flags;    /* IM_GF_* */
	u8 keys[12]; /* enum im_type each */
	u32 size;    /* most entries */
	u32 init_str;
	u32 pad0;
	s64 init_int;
	u8 hist;      /* IM_H_* */
	u8 bit_shift; /* of @variance */
	u16 stat_ops; /* IM_SO_* that scripts ask for */
	u32 pad;
	s64 lo, hi, step; /* IM_H_LINEAR */
};
#define IM_GF_WRAP     1 /* a full map drops its oldest entry */
#define IM_GF_SIZED    2 /* the script gave the size: overflow names it */
#define IM_H_NONE      0
#define IM_H_LOG       1
#define IM_H_LINEAR    2
#define IM_SO_MINMAX   1
#define IM_SO_VARIANCE 2

/* One lock of a handler's set. Sets are ordered by global and hold each once;
 * per-CPU classes share one lock per CPU, taken last: for them mode ADD means
 * "this CPU's", and READ or WRITE mean "every CPU's". */
struct im_lock {
	u16 global;
	u16 mode;
};
#define IM_L_READ  1
#define IM_L_WRITE 2
#define IM_L_ADD   3

/* an error in code [from, to) of the function goes to `target` */
struct im_try {
	u32 from, to, target;
}; /* instruction numbers in the function */

struct im_fmt {
	u32 first, count;
	u8 ni, ns;
	u8 flags;
	u8 pad;
	u32 pad2;
};
#define IM_FMT_NONL 1

/* One piece of a format: literal text, or a conversion. Arguments are taken
 * in order, integers from r[], strings from s[]. */
struct im_fmtitem {
	u8 conv;  /* IM_C_* */
	u8 flags; /* IM_FL_* */
	u8 size;  /* bytes of %b, %m, %M: 1 2 4 8 */
	u8 pad;
	s32 width; /* IM_DYN: an integer argument before the value */
	s32 prec;  /* -1 none, IM_DYN as for width */
	u32 str;   /* literal text */
};
enum im_conv {
	IM_C_LIT,
	IM_C_DEC,
	IM_C_UDEC,
	IM_C_HEX,
	IM_C_HEXUP,
	IM_C_OCT,
	IM_C_PTR,
	IM_C_CHAR,
	IM_C_STR,
	IM_C_BIN,
	IM_C_MEM,
	IM_C_MEMHEX,
	IM_C_SYM, /* integer printed as a kernel symbol by the loader */
};
#define IM_FL_ZERO  1 /* 0 */
#define IM_FL_PLUS  2 /* + */
#define IM_FL_SPACE 4
#define IM_FL_LEFT  8  /* - */
#define IM_FL_ALT   16 /* # */
#define IM_DYN	    (-2147483647 - 1)

/* a walk over a map */
struct im_iter {
	u16 map;
	u8 sort; /* 0 the map's order, 1 by key, 2 by value, 3 by aggregate field */
	u8 desc;
	u8 key; /* which key, or which field as in AGGET */
	u8 has_limit;
	u16 slice;  /* bit n: key n must equal the slice key given */
	u8 slice_s; /* first string slot of the slice keys */
	u8 pad[7];
};

/* Regular expression: a DFA with tags for the groups. Layout of the words is
 * described in regex.h. */
struct im_dfa {
	u32 first, count;
	u16 nstates, ngroups;
	u32 flags;
};

#endif
