/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * machine.h - the data of a running session, inside core/ only.
 *
 *   struct vm ──┬─ prog      the verified image
 *               ├─ global[]  value or map of each global, its lock
 *               └─ cpu[] ──► struct vm_ctx, one per CPU:
 *                              registers, string slots, frames, aggregates,
 *                              iterators; the CPU's cells of statistics and
 *                              counters; its rings; its lock
 *
 * Who may touch what: a context belongs to the handler that runs on its CPU
 * (the host's busy flag). A global belongs to who holds its lock. The cells
 * of a CPU belong to who holds that CPU's lock. Anything else is read only,
 * or atomic and said so.
 *
 * A string slot is a reference: p points to a constant of the image or to the
 * slot's own buffer, never elsewhere. Buffers can be swapped between slots
 * and the spare one, so a result can be built while its operands stand.
 */
#ifndef STPVM_MACHINE_H
#define STPVM_MACHINE_H
#include "prog.h"
#include "error.h"
#include "regex.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct vm_slot {
	const char *p;
	char *buf;
	u32 len;
};

struct vm_lock {
	u32 word;
};

struct vm_aggslot {
	struct vm_agg a;
	const struct vm_global *g; /* NULL: not filled */
	u64 *bucket;		   /* room for the largest histogram, or NULL */
};

struct vm_walk {	    /* an iterator */
	struct vm_map *map; /* NULL: not started, or at the end */
	const struct im_iter *spec;
	u32 node; /* entry at which it stands, 0: before the first */
	u32 left; /* entries still to give */
	const struct vm_slot *slice_s;
	s64 slice_i[12];
};

struct vm_frame {
	const u64 *ret; /* where the caller goes on */
	const struct im_func *f;
	s64 *r;
	struct vm_slot *s;
	u16 agg, walk; /* first of its aggregates and iterators */
};

struct vm_ring {
	u8 *data;
	struct ring_head *shared; /* seen by the loader; never trusted */
	u64 head, size, lost;
	u64 tail; /* the reader's, as last seen */
	u64 end;  /* how far head may go by that */
	u64 half; /* of size: the longest record */
	/* how far a record may go that is written without a look: not over the end, not over
	 * the wrap of the buffer, and not longer than half */
	u64 limit;
	u32 open; /* bytes of the record being written */
};

struct vm_match { /* of the last successful =~ */
	char *text;
	u32 len, ngroups;
	bool valid;
	u16 tags[RX_MAX_TAGS]; /* start and end of each group, RX_UNSET: none */
	u16 next[RX_MAX_TAGS]; /* while matching */
	struct rx_scratch *scratch;
};

/* What every run of a probe would find out again, found out by vm_new. */
struct vm_plan {
	const struct im_func *f; /* the handler; NULL: a condition comes first */
	s64 budget;		 /* actions, of the first portion */
	s64 actions;		 /* and in all */
	s64 work;		 /* as in vm_ctx */
	u8 cpu_locks;		 /* as in vm_ctx */
	bool nolock;		 /* its lock set needs no lock: see lock.c */
	bool counter;		 /* all that it does is cell += add: no interpreter */
	bool tidy;		 /* what a run leaves of tokens, matches, stacks must go */
	u32 cell;
	s64 add;
	const struct im_probe *probe; /* whose plan it is */
	u64 pad;		      /* 64 bytes a row: found by a shift */
};

#define NO_PROBE 0xffffu

struct vm_ctx {
	struct vm_ctx_head h;
	struct vm_lock lock; /* of this CPU's cells */
	struct vm *vm;
	const struct vm_prog *prog; /* of vm */
	struct vm_global *global;   /* of vm */
	const u16 *words;	    /* as vm_set_words says */
	const int *awake;	    /* as vm_set_reader says */
	u64 watermark;
	u32 maxdepth; /* MAXNESTING */
	u8 *cells;
	const struct vm_hit *hit;
	const struct im_probe *probe;
	u32 probe_nr; /* NO_PROBE: none runs */
	const struct vm_plan *plan;
	u32 depth;
	bool held;    /* the lock set is */
	u8 cpu_locks; /* with 0 no, 1 this, 2 every CPU's lock */
	/* the error in flight */
	u32 error;
	u32 msg_len;
	char *msg;
	char *spare; /* a buffer that no slot owns */
	u32 fail_depth;
	const u64 *fail_pc;
	s64 budget; /* actions of this portion that are still allowed */
	s64 dealt;  /* actions of later portions that were dealt out */
	s64 calls;  /* calls made */
	s64 work;   /* what instructions of no fixed size may still do */
	s64 *regs;
	struct vm_slot *slots;
	struct vm_frame *frames;
	struct vm_aggslot *aggs;
	struct vm_walk *walks;
	struct vm_ring ring[2];
	/* tokenize() */
	char *tok;
	u32 tok_pos, tok_len;
	struct vm_match match;
	/* the stack at this hit, once it was asked for (stack.h); NULL: never is */
	char *stack;
	u32 stack_len;
	struct vm_slot text[3]; /* operands that are stacks, as text */
	char *strings;		/* all buffers of slots */
#ifdef STPVM_CHECK
	u8 *shadow;  /* which registers, then slots, are written */
	s64 charged; /* actions, and instructions, since the probe hit */
	u64 stepped;
#endif
};

struct vm_global {
	const struct im_global *g;
	bool is_set; /* by a handler that does not run alone */
	bool sorted; /* a walk sorts it */
	struct vm_lock lock;
	u32 cell; /* offset of its cell in vm_ctx.cells */
	s64 ival;
	u32 slen;
	char *sbuf;
	struct vm_map *map;
	u32 nbuckets;  /* of its histogram */
	u32 cell_size; /* of one aggregate with its histogram */
};

struct vm_spec;

struct vm {
	struct vm_prog *prog;
	void *host;
	u32 ncpus, nglobals;
	u32 strcap; /* bytes of a string, without a terminator */
	u32 exiting, aborted;
	struct vm_global *global;
	struct vm_ctx **cpu;
	struct vm_plan *plan; /* of each probe */
	struct vm_spec *spec;
	u64 bytes_globals, bytes_contexts, bytes_rings;
	u64 bytes_left; /* that the session may still take */
	u64 pad[7];	/* every CPU writes the next one, all read the others */
	u64 seq;	/* last sequence number given out */
	u64 pad2[7];
};

/* memory of the session: vmh_alloc with an account */
void *vm_take(struct vm *vm, u64 *account, u64 count, u64 size);

/* -- lock.c -- */
void vm_plan_locks(struct vm *vm);
bool vm_locks_take(struct vm_ctx *c);
void vm_locks_drop(struct vm_ctx *c);
bool vm_spin(struct vm_ctx *c, struct vm_lock *l);
void vm_unspin(struct vm_ctx *c, struct vm_lock *l);

/* Actions are dealt out in portions, and the host is asked between them, so that
 * a long begin handler can be killed. */
#define PORTION (1 << 18)

/* -- run.c: a portion of actions is used up; is there another? -- */
bool vm_more(struct vm_ctx *c, s64 *budget);

/*
 * Actions count statements, but one statement may sort a large array or search a long
 * string. Such work is counted apart, in steps (a comparison, a byte, an entry), with
 * so many for each allowed action that no sensible script meets the end of it.
 */
#define WORK_PER_ACTION (1 << 16)

/* false: too much, the error is raised */
static inline notrace bool vm_work(struct vm_ctx *c, u64 steps)
{
	c->work -= (s64)steps;
	return likely(c->work >= 0) || vm_raise(c, E_ACTION, 0) == 0;
}

/* -- interp.c -- */
int vm_exec(struct vm_ctx *c, const struct im_func *f);
/* -- cold.c: opcodes behind the escape; 0 go on, 1 jump by imm, -1 error -- */
int vm_cold(struct vm_ctx *c, u64 i, s64 *r, struct vm_slot *s);
/* nothing can be read at addr: 0 for loads that take it so, else -1 and a read fault */
int vm_bad_load(struct vm_ctx *c, u64 addr, u32 how, s64 *out);

/* -- helpers.c: 0, or -1 and the error is in the context -- */
int help_none(struct vm_ctx *c, u32 id, const s64 *ri, const struct vm_slot *ss);
int help_int(struct vm_ctx *c, u32 id, const s64 *ri, const struct vm_slot *ss, s64 *out);
int help_str(struct vm_ctx *c, u32 id, const s64 *ri, const struct vm_slot *ss,
	     struct vm_slot *out);

/* -- ring.c -- */
void vm_ring_init(struct vm_ctx *c, void *mapping, size_t data, size_t ctl);
/* room for a record of `body` bytes after its head, or NULL (counted as lost) */
struct rec *vm_reserve(struct vm_ctx *c, u32 ring, u16 type, u32 body);
void vm_commit(struct vm_ctx *c, u32 ring);
void vm_discard(struct vm_ctx *c, u32 ring, struct rec *r);
void vm_emit_text(struct vm_ctx *c, u32 ring, u16 type, const char *s, u32 len, const char *end,
		  u32 endlen);
void vm_emit_error(struct vm_ctx *c);
void vm_emit_exit(struct vm_ctx *c, u32 reason);

/* -- print.c -- */
int vm_print(struct vm_ctx *c, u32 fmt, const s64 *ri, const struct vm_slot *ss);

/* -- format.c -- */
int vm_sprint(struct vm_ctx *c, u32 fmt, const s64 *ri, const struct vm_slot *ss,
	      struct vm_slot *out);

/* -- str.c -- */
void slot_copy(struct vm_slot *d, const struct vm_slot *s);
void slot_set(struct vm_ctx *c, struct vm_slot *d, const char *s, u32 len);
void slot_cat(struct vm_ctx *c, struct vm_slot *d, const struct vm_slot *a,
	      const struct vm_slot *b);
int slot_cmp(const struct vm_slot *a, const struct vm_slot *b);
/* text was built in the spare buffer: make it the slot's */
void slot_adopt_spare(struct vm_ctx *c, struct vm_slot *d, u32 len);
u32 slot_find(const struct vm_slot *s, const struct vm_slot *what, u32 from);
#define NOT_FOUND 0xffffffffu
/* steps of a search for every place of `what`, at most */
#define FIND_STEPS(s, what) ((u64)(s)->len * (1 + (what)->len))

static inline notrace bool slot_eq(const struct vm_slot *a, const struct vm_slot *b)
{
	return a->len == b->len && (a->p == b->p || !memcmp(a->p, b->p, a->len));
}

/* this CPU's cell of a per-CPU global */
static inline notrace void *cell_of(const struct vm_ctx *c, const struct vm_global *g)
{
	return c->cells + g->cell;
}

#endif
