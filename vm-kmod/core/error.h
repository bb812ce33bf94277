/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * error.h - script errors: their numbers, SystemTap's words for them, and
 * which of them a catch block can take.
 *
 * ERROR(ID, CATCH, "text")   a text that ends in a blank is followed by the
 *                            number given to vm_raise
 */
#ifndef STPVM_ERROR_H
#define STPVM_ERROR_H

/* clang-format off */
#define VM_ERRORS \
	ERROR(NONE,	0, "") \
	ERROR(USER,	1, "")			/* error("...") */ \
	ERROR(ABORT,	0, "")			/* abort(): no error, only the way out */ \
	ERROR(LOCK,	0, "")			/* no lock: the handler is skipped */ \
	ERROR(ACTION,	0, "MAXACTION exceeded") \
	ERROR(NESTING,	1, "MAXNESTING exceeded") \
	ERROR(DIV0,	1, "division by 0") \
	ERROR(FULL,	1, "Array overflow, check MAXMAPENTRIES") \
	ERROR(FULL_SIZE, 1, "Array overflow, check size limit (") \
	ERROR(EMPTY,	1, "empty aggregate") \
	ERROR(BUCKET,	1, "histogram index out of range") \
	ERROR(NOHIST,	1, "aggregate without a histogram") \
	ERROR(READ,	1, "read fault [man error::fault] at ") \
	ERROR(WRITE,	1, "write fault [man error::fault] at ") \
	ERROR(POSITION,	1, "Position out of bounds") \
	ERROR(GROUP,	1, "Attempted to get nonexistent subexpression ") \
	ERROR(NOMATCH,	1, "No regular expression has matched yet") \
	ERROR(REGISTER,	1, "no value for register ") \
	ERROR(ARGUMENT,	1, "cannot set argument ") \
	ERROR(VERDICT,	1, "a packet can be dropped (0), accepted (1) or queued (3), not verdict ") \
	ERROR(SIGNAL,	1, "cannot send signal ") \
	ERROR(NOSPEC,	1, "speculation: no free buffer, check SPECULATION_MAX") \
	ERROR(BADSPEC,	1, "no speculation with id ") \
	ERROR(BUSY,	1, "data is busy on another CPU")
/* clang-format on */

enum vm_error {
#define ERROR(id, ...) E_##id,
	VM_ERRORS
#undef ERROR
		E_MAX
};

struct vm_ctx;
/* note the error in the context, with its message; always returns -1 */
int vm_raise(struct vm_ctx *c, enum vm_error e, s64 arg);
/* the script's own message */
int vm_raise_text(struct vm_ctx *c, const char *s, u32 len);
bool vm_catchable(enum vm_error e);

#endif
