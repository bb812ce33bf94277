// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* error.c - the texts of script errors, and where a raised one is kept until
 * a catch block takes it or the handler ends. See error.h. */
#include "machine.h"
#include "text.h"

static const struct {
	const char *text;
	bool catchable;
} errors[E_MAX] = {
#define ERROR(id, catchable, text) { text, catchable },
	VM_ERRORS
#undef ERROR
};

notrace bool vm_catchable(enum vm_error e)
{
	return errors[e].catchable;
}

notrace int vm_raise(struct vm_ctx *c, enum vm_error e, s64 arg)
{
	struct vm_out o = { c->msg, 0, c->vm->strcap };

	out_cstr(&o, errors[e].text);
	switch (e) {
	case E_FULL_SIZE:
		out_dec(&o, arg);
		out_char(&o, ')');
		break;
	case E_READ:
	case E_WRITE:
		out_hex(&o, (u64)arg);
		break;
	case E_GROUP:
	case E_REGISTER:
	case E_ARGUMENT:
	case E_VERDICT:
	case E_SIGNAL:
	case E_BADSPEC:
		out_dec(&o, arg);
		break;
	default:
		break;
	}
	c->error = e;
	c->msg_len = (u32)o.len;
	return -1;
}

notrace int vm_raise_text(struct vm_ctx *c, const char *s, u32 len)
{
	if (len > c->vm->strcap)
		len = c->vm->strcap;
	memcpy(c->msg, s, len);
	c->msg_len = len;
	c->error = E_USER;
	return -1;
}
