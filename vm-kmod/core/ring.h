/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * ring.h - the short way of a record into its ring, inlined where handlers
 * print: room, head, number; then the caller's body; then the new head and,
 * where it is worth it, a word to the reader. What is rare is in ring.c.
 */
#ifndef STPVM_RING_H
#define STPVM_RING_H
#include "machine.h"

#define REC_HEAD  ((u32)sizeof(struct rec))
#define REC_ALIGN 16u

/* There is no room. Where the host lets the handler wait for the reader, it
 * does, and true is that there is room now; else the record is lost. */
bool ring_wait_or_lose(struct vm_ctx *c, u32 ring, u64 len, u64 need);
/* skips the rest of the buffer, which is shorter than the record */
void ring_wrap(struct vm_ring *g, u64 rest);

/* are `need` bytes free behind the reader's tail? */
static vm_inline notrace bool ring_fits(struct vm_ring *g, u64 need)
{
	u64 used;

	g->tail = __atomic_load_n(&g->shared->tail, __ATOMIC_ACQUIRE);
	used = g->head - g->tail;
	return used <= g->size && need <= g->size - used;
}

static vm_inline notrace struct rec *ring_reserve(struct vm_ctx *c, u32 ring, u16 type, u32 body)
{
	struct vm_ring *g = &c->ring[ring];
	u32 len = (REC_HEAD + body + REC_ALIGN - 1) & ~(REC_ALIGN - 1);
	u64 rest = g->size - (g->head & (g->size - 1));
	u64 need = unlikely(len > rest) ? len + rest : len;
	struct rec *r;

	if (unlikely(!g->size))
		return NULL;
	if (unlikely(!ring_fits(g, need) || len > g->size / 2) &&
	    !ring_wait_or_lose(c, ring, len, need))
		return NULL;
	if (unlikely(need != len))
		ring_wrap(g, rest);
	r = (struct rec *)(g->data + (g->head & (g->size - 1)));
	r->len = len;
	r->type = type;
	r->probe = c->probe ? (u16)c->probe_nr : 0xffff;
	r->seq = __atomic_add_fetch(&c->vm->seq, 1, __ATOMIC_RELAXED);
	g->open = len; /* the loader could change r->len */
	return r;
}

static vm_inline notrace void ring_commit(struct vm_ctx *c, u32 ring)
{
	struct vm_ring *g = &c->ring[ring];

	g->head += g->open;
	__atomic_store_n(&g->shared->head, g->head, __ATOMIC_RELEASE);
	if (ring == RING_CTL || !__atomic_load_n(c->awake, __ATOMIC_RELAXED) ||
	    g->head - g->tail >= c->watermark)
		vmh_wake(c, ring == RING_CTL);
}

#endif
