// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * walk.c - iterators: foreach over a map in its order, or sorted by a key, the
 * value or a field of the aggregate, stable, up or down.
 *
 * A map has one order, the list of its nodes. A sorted walk changes it when it
 * starts, with the map held for writing: with a limit of n the first n go to
 * the front and the others stay as they were. So walks that follow, and those
 * around it, go on in the new order, as SystemTap's do. The limit counts the
 * entries that are looked at, before a slice drops those that do not fit.
 */
#include "map.h"

#define SIGN (1ull << 63)

/* first bytes of a string, so that most comparisons end with them */
static notrace u64 str_prefix(const struct vm_nstr *s)
{
	u64 v = 0;
	u32 k;

	for (k = 0; k < 8; k++)
		v = v << 8 | (k < s->len ? (u8)s->s[k] : 0);
	return v;
}

/* the string that a walk sorts by; NULL when it sorts by a number */
static notrace const struct vm_nstr *sort_str(const struct vm_map *m, const struct im_iter *t,
					      u32 n)
{
	if (t->sort == 1 && m->g->keys[t->key] == IM_T_STR)
		return map_key_str(m, n, t->key);
	if (t->sort == 2 && m->g->type == IM_T_STR)
		return (const struct vm_nstr *)map_value(m, n);
	return NULL;
}

static notrace u64 sort_key(struct vm_ctx *c, const struct vm_global *g, const struct im_iter *t,
			    u32 n)
{
	const struct vm_map *m = g->map;
	const struct vm_nstr *s = sort_str(m, t, n);
	struct vm_aggslot a;
	s64 v = 0;
	u64 key;

	if (s) {
		key = str_prefix(s);
	} else {
		if (t->sort == 3) {
			a.bucket = NULL;
			map_merge(&a, g, n);
			if (a.a.count)
				stat_field(c, &a, t->key, &v);
		} else {
			v = t->sort == 1 ? map_key_int(m, n, t->key) : *map_value(m, n);
		}
		key = (u64)v ^ SIGN;
	}
	return t->desc ? ~key : key;
}

static notrace bool before(const struct vm_map *m, const struct im_iter *t,
			   const struct map_sort *a, const struct map_sort *b)
{
	const struct vm_nstr *x, *y;
	u32 n;
	int r;

	if (a->key != b->key)
		return a->key < b->key;
	x = sort_str(m, t, a->node);
	if (!x)
		return false;
	y = sort_str(m, t, b->node);
	n = x->len < y->len ? x->len : y->len;
	r = memcmp(x->s, y->s, n);
	if (!r)
		r = x->len < y->len ? -1 : x->len > y->len;
	return t->desc ? r > 0 : r < 0;
}

/* merges runs of growing length, between two halves of the scratch array */
static notrace struct map_sort *merge_sort(const struct vm_map *m, const struct im_iter *t, u32 n)
{
	struct map_sort *from = m->sort, *to = m->sort + m->cap, *swap;
	u32 width, lo;

	for (width = 1; width < n; width *= 2) {
		for (lo = 0; lo < n; lo += 2 * width) {
			u32 mid = n - lo < width ? n : lo + width;
			u32 hi = n - lo < 2 * width ? n : lo + 2 * width;
			u32 a = lo, b = mid, k;

			for (k = lo; k < hi; k++)
				if (a < mid && (b >= hi || !before(m, t, &from[b], &from[a])))
					to[k] = from[a++];
				else
					to[k] = from[b++];
		}
		swap = from;
		from = to;
		to = swap;
	}
	return from;
}

static notrace void to_front(struct vm_map *m, u32 n)
{
	struct vm_node *d = map_node(m, n);

	if (m->head == n)
		return;
	map_node(m, d->prev)->next = d->next;
	if (d->next)
		map_node(m, d->next)->prev = d->prev;
	else
		m->tail = d->prev;
	d->prev = 0;
	d->next = m->head;
	map_node(m, m->head)->prev = n;
	m->head = n;
}

/* the first `left` of the map's entries go to its front; -1: too much work */
static notrace int sort_map(struct vm_ctx *c, const struct vm_walk *w, const struct vm_global *g)
{
	struct vm_map *m = g->map;
	const struct map_sort *s;
	u32 n = 0, node;

	if (!vm_work(c, (u64)m->count * (33 - __builtin_clz(m->count | 1))))
		return -1;
	for (node = m->head; node && n < m->cap; node = map_node(m, node)->next) {
		m->sort[n].key = sort_key(c, g, w->spec, node);
		m->sort[n++].node = node;
	}
	s = merge_sort(m, w->spec, n);
	if (n > w->left)
		n = w->left;
	while (n-- > 0)
		to_front(m, s[n].node);
	return 0;
}

notrace int walk_start(struct vm_ctx *c, struct vm_walk *w, const struct im_iter *t, s64 limit,
		       const s64 *ki, const struct vm_slot *ks)
{
	const struct vm_global *g = &c->vm->global[t->map];
	u32 k;

	w->map = g->map;
	w->spec = t;
	w->node = 0;
	w->left = ~0u;
	if (t->has_limit && limit < (s64)w->left)
		w->left = limit < 0 ? 0 : (u32)limit;
	w->slice_s = ks;
	for (k = 0; k < g->g->nkeys; k++)
		if (t->slice >> k & 1 && g->g->keys[k] == IM_T_INT)
			w->slice_i[k] = *ki++;
	return t->sort && w->left ? sort_map(c, w, g) : 0;
}

static notrace bool fits_slice(const struct vm_walk *w, u32 n)
{
	const struct vm_map *m = w->map;
	const struct vm_slot *s = w->slice_s;
	u32 k;

	for (k = 0; k < m->g->nkeys; k++) {
		if (!(w->spec->slice >> k & 1))
			continue;
		if (m->g->keys[k] == IM_T_INT) {
			if (map_key_int(m, n, k) != w->slice_i[k])
				return false;
		} else {
			const struct vm_nstr *x = map_key_str(m, n, k);

			if (x->len != s->len || memcmp(x->s, s->p, x->len))
				return false;
			s++;
		}
	}
	return true;
}

notrace bool walk_next(struct vm_walk *w)
{
	const struct vm_map *m = w->map;
	u32 tries, n = w->node;

	if (!m)
		return false;
	/* links of entries that the loop deleted may lead anywhere in the map,
	 * so the number of steps is bounded apart from them */
	for (tries = 0; tries <= m->cap && w->left; tries++) {
		n = n ? map_node(m, n)->next : m->head;
		if (!n)
			break;
		w->left--;
		if (!(map_node(m, n)->hash & 1) || (w->spec->slice && !fits_slice(w, n)))
			continue;
		w->node = n;
		return true;
	}
	w->map = NULL;
	w->node = 0;
	return false;
}
