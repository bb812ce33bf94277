/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vm.h - the machine as its two hosts (kernel/, user/) see it.
 *
 *   vm_load      flat image -> struct vm_prog   checks everything, takes no memory
 *                                               but what `alloc` gives
 *   vm_new       vm_prog -> struct vm           globals, maps, contexts per CPU
 *   vm_run       run one handler on one CPU     no allocation, no sleep
 *   vm_free
 *
 * core/ keeps no static state. A host provides the functions at the end.
 *
 * Locking: a host calls vm_run with a context (struct vm_ctx) that nobody
 * else uses (it keeps a busy flag per CPU) and, in the kernel, with
 * interrupts off. Global data is guarded by the lock sets of the image, taken
 * with trylock and a bounded number of tries; per-CPU data by one lock per
 * CPU. A handler that gets no lock is skipped: VM_SKIP_LOCK.
 */
#ifndef STPVM_VM_H
#define STPVM_VM_H
#include "image.h"
#include "record.h"

struct vm_prog; /* a verified image (prog.h) */
struct vm;	/* its data: globals, maps, statistics */
struct vm_ctx;	/* what one running handler needs (one per CPU) */

/*
 * Where a probe hit, filled by the host before vm_run. args are, by kind:
 *   IM_K_FENTRY, IM_K_KPROBE   the six argument registers, in order of the convention
 *   IM_K_FRETURN               those six as they were at entry, kept per instance
 *                              by the host, if the probe has IM_P_ENTRY_ARGS
 *   IM_K_TRACE                 the event's arguments
 *   IM_K_SYSENTER, _SYSEXIT    the six arguments of the call; retval at exit
 *   IM_K_NETFILTER             packet, device in, device out, hook
 */
struct vm_hit {
	const u64 *args;  /* raw arguments: value n is args[argmap[n]] */
	const u8 *argmap; /* 12 entries; map of a plain array: 0..11 */
	void *regs;	  /* machine registers, or NULL */
	u64 retval;
	u64 addr;   /* of the probe; 0 if none */
	u64 caller; /* return address, 0: look at regs */
	u32 nargs;  /* how many of args may be read; others give 0 */
	u32 flags;  /* VM_HIT_* */
	s64 sysnr;  /* system call number or -1 */
	/* IM_K_PROCFS_R, IM_K_PROCFS_W, IM_K_INPUT: a struct vm_value;
	 * IM_K_NETFILTER: the verdict on the packet, u32; else the host's own */
	void *host;
};
/* $value: what is written to a file by a reader's handler, or was by a writer */
struct vm_value {
	char *buf;
	u32 len, cap;
};
#define VM_HIT_USER   1 /* user code was interrupted */
#define VM_HIT_RETURN 2
#define VM_HIT_COMPAT 4		  /* a 32-bit task's system call */
#define VM_HIT_HOST   0xffff0000u /* bits that the host uses for itself */

/* result of vm_run */
enum vm_result {
	VM_OK,
	VM_ERROR,     /* a script error; already sent as REC_ERROR */
	VM_SKIP_LOCK, /* no lock within MAXTRYLOCK */
	VM_SKIP_COND, /* the probe's condition is false */
};

/* why an image was refused */
struct vm_refusal {
	s32 error;    /* errno, negative */
	u32 rule;     /* verifier rule V_* (verify.h), 0 = container */
	u32 func, pc; /* where; ~0 if not in code */
	char text[160];
};

/* aggregate, merged or of one CPU; buckets follow where there is a histogram */
struct vm_agg {
	s64 count, sum, min, max;
	s64 mean, m2; /* of @variance, scaled by its bit shift */
};

struct vm_figures { /* memory, for -v */
	u64 image, globals, contexts, rings;
};

/* -- life ---------------------------------------------------------------- */
int vm_load(const void *flat, size_t len, u32 caps_allowed, struct vm_prog **out,
	    struct vm_refusal *fault);
void vm_unload(struct vm_prog *p);
const struct im_header *vm_header(const struct vm_prog *p);
const struct im_probe *vm_probe(const struct vm_prog *p, u32 n);
u32 vm_nprobes(const struct vm_prog *p);
const char *vm_string(const struct vm_prog *p, u32 n);

/* host: opaque pointer handed back to every host function below */
int vm_new(struct vm_prog *p, u32 ncpus, void *host, struct vm **out);
void vm_free(struct vm *vm);
void vm_memory(const struct vm *vm, struct vm_figures *out);
struct vm_ctx *vm_ctx(struct vm *vm, u32 cpu);
void *vm_host(struct vm *vm);
/* what hosts see of a context: how it begins */
struct vm_ctx_head {
	void *host; /* that was given to vm_new */
	u32 cpu;
};

static inline void *vm_ctx_host(const struct vm_ctx *c)
{
	return ((const struct vm_ctx_head *)c)->host;
}

static inline u32 vm_ctx_cpu(const struct vm_ctx *c)
{
	return ((const struct vm_ctx_head *)c)->cpu;
}

/* Facts that are had without a call: by helper id, VM_WORD_CPU, VM_WORD_TASK or where in the
 * current task a 32-bit word holds it (platform.h); 0: ask vmh_fact. The host
 * keeps the table as long as the machine. */
#define VM_WORD_CPU  1
#define VM_WORD_TASK 2
void vm_set_words(struct vm *vm, const u16 *words);
/* While *awake is not 0 the reader will look by itself: vmh_wake is not called
 * for a data record as long as less than `watermark` bytes wait. */
void vm_set_reader(struct vm *vm, const int *awake, u64 watermark);
/* memory for one CPU's rings (record.h), given by the host before the first run */
void vm_set_ring(struct vm *vm, u32 cpu, void *mapping, size_t data, size_t ctl);

/* -- running ------------------------------------------------------------- */
enum vm_result vm_run(struct vm_ctx *c, u32 probe, const struct vm_hit *hit);
/* set by exit(): the host looks after each run */
bool vm_exiting(const struct vm *vm);
/* set by abort() too: begin handlers that have not run yet are left out */
bool vm_aborted(const struct vm *vm);
/* a message of the host itself into the control ring */
void vm_control(struct vm *vm, u32 cpu, u16 type, const void *body, u32 len);
/* a REC_NOTE of the host on one of the probes */
void vm_note(struct vm *vm, u32 cpu, u32 probe, u32 code, u32 arg);

/* -- text: the one place where formats become bytes (also used by the loader) */
/* REC_PRINT or REC_HIST body -> text. Returns the bytes written, at most cap;
 * body is checked against len. `sym` turns addresses into text: IM_C_SYM
 * integers (form k: the name) and the marks of the helper LINE (f, l, b). */
size_t vm_render(const void *flat, const struct rec *r, char *out, size_t cap,
		 size_t (*sym)(void *arg, u64 addr, char form, char *out, size_t cap), void *arg);

/* -- what the host provides ---------------------------------------------- */
void *vmh_alloc(size_t n); /* zeroed; may sleep; only at load */
void vmh_free(void *p);
u64 vmh_clock_real(void); /* ns, safe in NMI */
u64 vmh_clock_mono(void);
u64 vmh_cycles(void);
u32 vmh_random(void);
/* now and then in a handler that runs long: false ends it */
bool vmh_go_on(struct vm_ctx *c);
void vmh_relax(u32 usec);			    /* wait between two lock tries */
int vmh_read_kernel(void *dst, u64 addr, size_t n); /* 0 or negative errno, no faults */
int vmh_read_user(void *dst, u64 addr, size_t n);
int vmh_write_kernel(u64 addr, const void *src, size_t n);
int vmh_write_user(u64 addr, const void *src, size_t n);
/* integer facts: PID TID PPID UID ... by helper id; 0 where it has no meaning */
s64 vmh_fact(struct vm_ctx *c, u32 helper, const struct vm_hit *hit);
/* text facts: EXECNAME, PEXECNAME ... ; returns the length, at most cap - 1 */
size_t vmh_text(struct vm_ctx *c, u32 helper, const struct vm_hit *hit, char *out, size_t cap);
s64 vmh_register(const struct vm_hit *hit, u32 dwarf_reg, bool *ok);
/* The kernel's stack where the probe hit, innermost first, at most `most` frames:
 * the low 4 bytes of each address, highest byte first. Returns how many. */
u32 vmh_stack(struct vm_ctx *c, const struct vm_hit *hit, u8 *to, u32 most);
/* the symbol at an address, as helpers.def says of SYMBOL; at most cap - 1 bytes */
size_t vmh_symbol(struct vm_ctx *c, u64 addr, char form, char *out, size_t cap);
size_t vmh_file_path(struct vm_ctx *c, u64 file, char *out, size_t cap);
void vmh_kernel_message(struct vm_ctx *c, u32 helper, s64 level, const char *s);
/* integer facts with a parameter: PID2TASK LOADAVG NODE */
s64 vmh_look_up(struct vm_ctx *c, u32 helper, s64 what);
/* of guru mode: wait busily; send a signal to the current task (0 or negative
 * errno); change a register of the probed code, false where that has none that
 * it would see; `entry`: only at the first instruction of a function */
void vmh_delay(u32 usec);
int vmh_signal(s64 signo);
bool vmh_set_register(const struct vm_hit *hit, u32 dwarf_reg, u64 value, bool entry);
/* Called after a record that went into a ring, but where vm_set_reader says that it
 * is not worth it; urgent: the control ring. The host decides when to wake the
 * reader (watermark, timer). */
void vmh_wake(struct vm_ctx *c, bool urgent);
/* The ring of the context's CPU is full and its reader's tail is at `tail`. In
 * a begin, end or error handler the host waits until the tail has moved, and
 * says true; false: the record is to be lost. Never waits in any other. */
bool vmh_wait_room(struct vm_ctx *c, u32 ring, u64 tail);
/* a record of that probe found no room in the data ring */
void vmh_lost(struct vm_ctx *c, u32 probe);

#endif
