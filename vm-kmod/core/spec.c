// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * spec.c - speculation: text that is kept until the script commits it to the
 * output or discards it. A session has SPECULATION_MAX buffers, taken at load
 * and guarded by one lock. Text over the size of a buffer is cut off.
 */
#include "helpers.h"

#define SPEC_BYTES 8192u
#define SPEC_CHUNK 2048u /* of one record at commit */

struct vm_spec {
	struct vm_lock lock;
	u32 count;
	u64 next; /* identities are not used again soon */
	struct {
		u64 id; /* 0: free */
		u32 len;
		char *text;
	} buf[];
};

int spec_new(struct vm *vm)
{
	u32 n = (u32)vm->prog->h->limits.maxspeculation, k;
	struct vm_spec *s = vm_take(vm, &vm->bytes_globals, 1, sizeof(*s) + n * sizeof(s->buf[0]));

	if (!s)
		return -ENOMEM;
	vm->spec = s;
	s->count = n;
	for (k = 0; k < n; k++) {
		s->buf[k].text = vm_take(vm, &vm->bytes_globals, 1, SPEC_BYTES);
		if (!s->buf[k].text)
			return -ENOMEM;
	}
	return 0;
}

void spec_free(struct vm *vm)
{
	u32 k;

	if (!vm->spec)
		return;
	for (k = 0; k < vm->spec->count; k++)
		if (vm->spec->buf[k].text)
			vmh_free(vm->spec->buf[k].text);
	vmh_free(vm->spec);
}

notrace int spec_begin(struct vm_ctx *c, s64 *out)
{
	struct vm_spec *s = c->vm->spec;
	u32 k;

	if (!vm_spin(c, &s->lock))
		return vm_raise(c, E_BUSY, 0);
	for (k = 0; k < s->count && s->buf[k].id; k++)
		;
	if (k < s->count) {
		s->buf[k].id = ++s->next;
		s->buf[k].len = 0;
		*out = (s64)s->next;
	}
	vm_unspin(c, &s->lock);
	return k < s->count ? 0 : vm_raise(c, E_NOSPEC, 0);
}

/* with the lock held */
static notrace u32 find(const struct vm_spec *s, s64 id)
{
	u32 k;

	for (k = 0; k < s->count; k++)
		if (id > 0 && s->buf[k].id == (u64)id)
			break;
	return k;
}

notrace int spec_add(struct vm_ctx *c, s64 id, const struct vm_slot *t)
{
	struct vm_spec *s = c->vm->spec;
	u32 k, n;

	if (!vm_spin(c, &s->lock))
		return vm_raise(c, E_BUSY, 0);
	k = find(s, id);
	if (k < s->count) {
		n = SPEC_BYTES - s->buf[k].len;
		if (n > t->len)
			n = t->len;
		memcpy(s->buf[k].text + s->buf[k].len, t->p, n);
		s->buf[k].len += n;
	}
	vm_unspin(c, &s->lock);
	return k < s->count ? 0 : vm_raise(c, E_BADSPEC, id);
}

notrace int spec_end(struct vm_ctx *c, s64 id, bool print)
{
	struct vm_spec *s = c->vm->spec;
	u32 k, at, n;

	if (!vm_spin(c, &s->lock))
		return vm_raise(c, E_BUSY, 0);
	k = find(s, id);
	if (k < s->count) {
		for (at = 0; print && at < s->buf[k].len; at += n) {
			n = s->buf[k].len - at < SPEC_CHUNK ? s->buf[k].len - at : SPEC_CHUNK;
			vm_emit_text(c, RING_DATA, REC_TEXT, s->buf[k].text + at, n, "", 0);
		}
		s->buf[k].id = 0;
	}
	vm_unspin(c, &s->lock);
	return k < s->count ? 0 : vm_raise(c, E_BADSPEC, id);
}
