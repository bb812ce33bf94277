/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * record.h - what a machine writes for its loader: rings of records. Both
 * platforms use the same code (ring.c), so a reader cannot tell them apart.
 *
 * Each CPU has two rings in one mapping: data, and control, which has room of
 * its own so that a full data ring never loses an error or the end of a run.
 *
 *   page 0        struct ring_head[2] (RING_DATA, RING_CTL)
 *   page 1 ...    data bytes (a power of two), then control bytes
 *
 * head and tail count bytes and only grow; the machine moves head, the loader
 * tail. A record never wraps: the rest of the buffer is filled by a record of
 * type REC_PAD. Records are 16-byte aligned. `seq` is one count for the whole
 * session, without gaps, so a reader that prints in the order of seq prints
 * in global order: it waits for the next number (REC_PAD with a seq stands
 * for a record that was given back; a pad at the end of the buffer has seq 0).
 */
#ifndef STPVM_RECORD_H
#define STPVM_RECORD_H
#include "platform.h"

#define RING_DATA 0
#define RING_CTL  1

struct ring_head {
	u64 head; /* written by the machine */
	u64 lost; /* records that found no room */
	u64 pad0[6];
	u64 tail; /* written by the loader; never trusted */
	u64 pad1[7];
	u64 size;   /* bytes, a power of two; a copy for the reader */
	u64 offset; /* of the ring's bytes from the mapping's start */
	u64 pad2[6];
};

struct rec {
	u32 len;   /* whole record, a multiple of 16 */
	u16 type;  /* enum rec_type */
	u16 probe; /* which probe, 0xffff: none */
	u64 seq;
};

enum rec_type {
	REC_PAD,
	/* data ring */
	REC_PRINT, /* u32 fmt, u32 0, s64 integers in order, then per string
				 * and per memory dump (IM_C_MEM, IM_C_MEMHEX), in the
				 * order of the format: u32 length, bytes, padded to 4 */
	REC_TEXT,  /* u32 length, u32 0, bytes: log(), speculation */
	REC_HIST,  /* u32 global, u32 newline, struct vm_agg, u64 buckets[] */
	/* control ring */
	REC_WARN,  /* u32 length, u32 0, bytes */
	REC_ERROR, /* u32 pc (in IM_S_CODE), u32 error code, u32 length,
				 * u32 depth, bytes of the message, padded to 4,
				 * then u32 pc of each caller */
	REC_EXIT,  /* exit() was called, or the run must end: u32 reason, u32 0 */
	REC_NOTE,  /* u32 code, u32 arg: overload, disarmed probe ... */
	REC_ORDER, /* u32 length, u32 0, bytes: a command for a shell; without
				 * bytes: go on with the next output file */
	/* data ring */
	REC_STACK, /* u32 length, u32 0, bytes: addresses as stack.h has them, then the
				 * number given to __print_stack in one byte */
	REC_MAX
};
#define REC_EXIT_CALL	  0 /* exit(), abort() */
#define REC_EXIT_ERRORS	  1 /* MAXERRORS */
#define REC_EXIT_SKIPPED  2 /* MAXSKIPPED */
#define REC_EXIT_OVERLOAD 3 /* the overload guard gave up */

/* code of REC_NOTE */
#define REC_NOTE_SAMPLED 1 /* overload: the record's probe runs once in `arg` hits from here on */

#endif
