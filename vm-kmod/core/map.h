/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * map.h - associative arrays. All memory is taken when the session is made.
 *
 *   bucket[hash] ─► node ─► node ─► 0          chains, u32 links, 0 ends
 *   head ─► node ⇄ node ⇄ ... ⇄ tail           order: of insertion, until a walk sorts
 *   free ─► node ─► ... , then high.. untouched
 *
 *   node:  struct vm_node | value | key 0 | key 1 ...
 *          an integer takes 8 bytes; a string a u32 length and its bytes
 *
 * Maps of statistics keep keys in the nodes and values per CPU: the cell of
 * node n on CPU c is cells[c] + n * cell_size. Adding to a key that is there
 * needs the lock of this CPU only; a new key is entered under `insert`, and
 * published to lookups on other CPUs by its bucket. Removing needs every
 * CPU's lock.
 *
 * A map is used under its global's lock; see lock.c.
 */
#ifndef STPVM_MAP_H
#define STPVM_MAP_H
#include "machine.h"
#include "stat.h"

struct vm_node {
	u32 chain;	/* next in the bucket, or in the free list */
	u32 prev, next; /* in the map's order */
	u32 hash;	/* bit 0 is set while the node is in use */
};

/* what lookups tell apart; MAP_INT1: one integer key, at MAP_KEY0 of the node */
enum map_shape { MAP_INT1, MAP_STR1, MAP_ANY };
#define MAP_KEY0 24

struct vm_map {
	const struct im_global *g;
	u8 *node; /* node n is at node + n * node_size; 0 is not used */
	u32 *bucket;
	u32 node_size, mask;
	u32 count, cap;
	u32 head, tail, free, high;
	u32 shape; /* enum map_shape */
	u32 strcap;
	u32 ni, ns;	/* keys of each type */
	u32 key_at[12]; /* offset of each key in the node */
	u32 value_at;
	/* statistics */
	u32 cell_size, ncpus;
	u8 **cells;
	struct vm_lock insert;
	struct map_sort *sort; /* 2 * cap, while sorting; NULL: nothing sorts it */
};

struct map_sort {
	u64 key; /* sorts as unsigned */
	u32 node;
	u32 pad;
};

static inline notrace struct vm_node *map_node(const struct vm_map *m, u32 n)
{
	return (struct vm_node *)(m->node + (size_t)n * m->node_size);
}

static inline notrace s64 *map_value(const struct vm_map *m, u32 n)
{
	return (s64 *)(m->node + (size_t)n * m->node_size + m->value_at);
}

static inline notrace struct vm_agg *map_cell(const struct vm_map *m, u32 cpu, u32 n)
{
	return (struct vm_agg *)(m->cells[cpu] + (size_t)n * m->cell_size);
}

/* a counted string inside of a node */
struct vm_nstr {
	u32 len;
	char s[];
};

int map_new(struct vm *vm, struct vm_global *g);
void map_free(struct vm_map *m);

/* node of a key, 0 where there is none */
u32 map_find(const struct vm_map *m, const s64 *ki, const struct vm_slot *ks);
/* the same, entered if it is not there; 0: full, or busy, error is raised */
u32 map_enter(struct vm_ctx *c, struct vm_map *m, const s64 *ki, const struct vm_slot *ks);
void map_delete(struct vm_map *m, const s64 *ki, const struct vm_slot *ks);
void map_clear(struct vm_map *m);
s64 map_key_int(const struct vm_map *m, u32 n, u32 k);
const struct vm_nstr *map_key_str(const struct vm_map *m, u32 n, u32 k);
void map_merge(struct vm_aggslot *s, const struct vm_global *g, u32 n);

/* walk.c; -1: the error is raised */
int walk_start(struct vm_ctx *c, struct vm_walk *w, const struct im_iter *t, s64 limit,
	       const s64 *ki, const struct vm_slot *ks);
/* false at the end */
bool walk_next(struct vm_walk *w);

#endif
