// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * ring.c - records into the rings of record.h. One producer: whoever owns the
 * context of the CPU. The page that is shared with the loader is written, but
 * nothing in it is believed: head and size are kept here, and a tail that
 * makes no sense counts as a full ring.
 */
#include "ring.h"

#define PAGE 4096u

static void init_one(struct vm_ring *g, struct ring_head *shared, u8 *data, u64 offset, u64 size)
{
	g->data = data;
	g->shared = shared;
	g->head = 0;
	g->tail = 0;
	g->end = size;
	g->half = size / 2;
	g->limit = g->half;
	g->size = size;
	g->lost = 0;
	shared->size = size;
	shared->offset = offset;
}

void vm_ring_init(struct vm_ctx *c, void *mapping, size_t data, size_t ctl)
{
	struct ring_head *h = mapping;
	u8 *base = mapping;

	init_one(&c->ring[RING_DATA], &h[RING_DATA], base + PAGE, PAGE, data);
	init_one(&c->ring[RING_CTL], &h[RING_CTL], base + PAGE + data, PAGE + data, ctl);
}

void vm_set_ring(struct vm *vm, u32 cpu, void *mapping, size_t data, size_t ctl)
{
	vm_ring_init(vm->cpu[cpu], mapping, data, ctl);
	vm->bytes_rings += PAGE + data + ctl;
}

/* skips the rest of the buffer, which is shorter than the record */
static notrace void wrap(struct vm_ring *g, u64 rest)
{
	struct rec *r = (struct rec *)(g->data + (g->head & (g->size - 1)));

	r->len = (u32)rest;
	r->type = REC_PAD;
	r->probe = 0xffff;
	r->seq = 0;
	g->head += rest;
}

vm_noinline notrace bool ring_make_room(struct vm_ctx *c, u32 ring, u64 len)
{
	struct vm_ring *g = &c->ring[ring];
	u64 rest = g->size - (g->head & (g->size - 1));
	u64 need = len > rest ? len + rest : len;

	if (!g->size)
		return false;
	ring_look(g);
	while (len <= g->half) {
		if (g->end - g->head >= need) {
			if (need != len)
				wrap(g, rest);
			ring_set_limit(g);
			return true;
		}
		if (!vmh_wait_room(c, ring, g->tail))
			break;
		ring_look(g);
	}
	g->lost++;
	__atomic_store_n(&g->shared->lost, g->lost, __ATOMIC_RELAXED);
	if (ring == RING_DATA && c->probe_nr != NO_PROBE)
		vmh_lost(c, c->probe_nr);
	return false;
}

notrace struct rec *vm_reserve(struct vm_ctx *c, u32 ring, u16 type, u32 body)
{
	return ring_reserve(c, ring, type, body);
}

notrace void vm_commit(struct vm_ctx *c, u32 ring)
{
	ring_commit(c, ring);
}

notrace void vm_discard(struct vm_ctx *c, u32 ring, struct rec *r)
{
	r->type = REC_PAD;
	vm_commit(c, ring);
}

/* u32 length, u32 0, the bytes and then `end` */
notrace void vm_emit_text(struct vm_ctx *c, u32 ring, u16 type, const char *s, u32 len,
			  const char *end, u32 endlen)
{
	struct rec *r = vm_reserve(c, ring, type, 8 + len + endlen);
	u32 *body;

	if (!r)
		return;
	body = (u32 *)(r + 1);
	body[0] = len + endlen;
	body[1] = 0;
	memcpy(body + 2, s, len);
	memcpy((char *)(body + 2) + len, end, endlen);
	vm_commit(c, ring);
}

notrace void vm_emit_error(struct vm_ctx *c)
{
	u32 depth = c->fail_depth, padded = (c->msg_len + 3) & ~3u, k;
	const u64 *code = c->vm->prog->code;
	struct rec *r;
	u32 *body;

	r = vm_reserve(c, RING_CTL, REC_ERROR, 16 + padded + 4 * depth);
	if (!r)
		return;
	body = (u32 *)(r + 1);
	body[0] = (u32)(c->fail_pc - code);
	body[1] = c->error;
	body[2] = c->msg_len;
	body[3] = depth;
	body += 4;
	memset(body, 0, padded);
	memcpy(body, c->msg, c->msg_len);
	body += padded / 4;
	for (k = depth; k > 0; k--)
		*body++ = (u32)(c->frames[k].ret - code) - 1;
	vm_commit(c, RING_CTL);
}

notrace void vm_emit_exit(struct vm_ctx *c, u32 reason)
{
	struct rec *r = vm_reserve(c, RING_CTL, REC_EXIT, 8);

	if (!r)
		return;
	((u32 *)(r + 1))[0] = reason;
	((u32 *)(r + 1))[1] = 0;
	vm_commit(c, RING_CTL);
}

static void control(struct vm_ctx *c, u16 type, u32 probe, const void *body, u32 len)
{
	u32 running = c->probe_nr;
	struct rec *r;

	c->probe_nr = NO_PROBE; /* the host's, whatever runs */
	r = vm_reserve(c, RING_CTL, type, len);
	c->probe_nr = running;
	if (!r)
		return;
	r->probe = (u16)probe;
	memcpy(r + 1, body, len);
	vm_commit(c, RING_CTL);
}

void vm_control(struct vm *vm, u32 cpu, u16 type, const void *body, u32 len)
{
	control(vm->cpu[cpu], type, NO_PROBE, body, len);
}

void vm_note(struct vm *vm, u32 cpu, u32 probe, u32 code, u32 arg)
{
	const u32 body[2] = { code, arg };

	control(vm->cpu[cpu], REC_NOTE, probe, body, sizeof(body));
}
