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

/* The room that was last seen does not hold the record, or it does not fit before
 * the end of the buffer, whose rest is skipped then. Where the host lets the handler
 * wait for the reader, it does. True: there is room now; false: the record is lost. */
bool ring_make_room(struct vm_ctx *c, u32 ring, u64 len);

static vm_inline notrace void ring_set_limit(struct vm_ring *g)
{
	u64 wraps = (g->head | (g->size - 1)) + 1, longest = g->head + g->half;

	g->limit = g->end < wraps ? g->end : wraps;
	if (longest < g->limit)
		g->limit = longest;
}

/* How far has the reader come? Its line is the reader's, so it is looked at only
 * when the room that was last seen is used up. */
static vm_inline notrace void ring_look(struct vm_ring *g)
{
	g->tail = __atomic_load_n(&g->shared->tail, __ATOMIC_ACQUIRE);
	/* a tail that makes no sense: a full ring */
	g->end = g->head - g->tail <= g->size ? g->tail + g->size : g->head;
}

static vm_inline notrace struct rec *ring_reserve(struct vm_ctx *c, u32 ring, u16 type, u32 body)
{
	struct vm_ring *g = &c->ring[ring];
	u32 len = (REC_HEAD + body + REC_ALIGN - 1) & ~(REC_ALIGN - 1);
	struct rec *r;

	/* what is longer than half a ring may never fit: it is lost even if it does */
	if (unlikely(g->head + len > g->limit) && !ring_make_room(c, ring, len))
		return NULL;
	r = (struct rec *)(g->data + (g->head & (g->size - 1)));
	r->len = len;
	r->type = type;
	r->probe = (u16)c->probe_nr;
	r->seq = __atomic_add_fetch(&c->vm->seq, 1, __ATOMIC_RELAXED);
	g->open = len; /* the loader could change r->len */
	return r;
}

/* the bytes that wait for the reader, who may have read on since it was last seen */
static vm_inline notrace bool ring_is_high(struct vm_ctx *c, struct vm_ring *g)
{
	ring_look(g);
	return g->head - g->tail >= c->watermark;
}

static vm_inline notrace void ring_commit(struct vm_ctx *c, u32 ring)
{
	struct vm_ring *g = &c->ring[ring];

	u64 head = g->head + g->open;

	g->head = head;
	__atomic_store_n(&g->shared->head, head, __ATOMIC_RELEASE);
	if (ring == RING_CTL || unlikely(!__atomic_load_n(c->awake, __ATOMIC_RELAXED)) ||
	    unlikely(head - g->tail >= c->watermark && ring_is_high(c, g)))
		vmh_wake(c, ring == RING_CTL);
}

#endif
