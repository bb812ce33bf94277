// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* map.c - hashed maps with fixed-size nodes in a list. See map.h. */
#include "map.h"

#define K0 0x9e3779b97f4a7c15ull /* 2^64 / golden ratio */
#define K1 0xd6e8feb86659fd93ull

static inline notrace u64 mix(u64 h, u64 w)
{
	h = (h ^ w) * K0;
	return h ^ h >> 32;
}

static inline notrace u32 hash_int(u64 k)
{
	return (u32)(k * K0 >> 32);
}

/* eight bytes at a time; the last word overlaps or is put together */
static inline notrace u64 hash_bytes(u64 h, const char *s, u32 len)
{
	u64 w;

	h ^= len * K1;
	for (; len > 8; s += 8, len -= 8) {
		memcpy(&w, s, 8);
		h = mix(h, w);
	}
	w = 0;
	if (len >= 4) {
		u32 lo, hi;

		memcpy(&lo, s, 4);
		memcpy(&hi, s + len - 4, 4);
		w = (u64)hi << 32 | lo;
	} else if (len) {
		w = (u64)(u8)s[0] << 16 | (u64)(u8)s[len / 2] << 8 | (u8)s[len - 1];
	}
	return mix(h, w);
}

static inline notrace u32 hash_int1(s64 key)
{
	return hash_int((u64)key) | 1;
}

static inline notrace u32 hash_str1(const struct vm_slot *key)
{
	return (u32)(hash_bytes(0, key->p, key->len) >> 16) | 1;
}

static notrace u32 hash_any(const struct vm_map *m, const s64 *ki, const struct vm_slot *ks)
{
	u64 h = 0;
	u32 k;

	for (k = 0; k < m->g->nkeys; k++)
		if (m->g->keys[k] == IM_T_INT) {
			h = mix(h, (u64)*ki++);
		} else {
			h = hash_bytes(h, ks->p, ks->len);
			ks++;
		}
	return (u32)(h >> 16) | 1;
}

static vm_inline notrace u32 hash_key(const struct vm_map *m, const s64 *ki,
				      const struct vm_slot *ks)
{
	if (m->shape == MAP_INT1)
		return hash_int1(ki[0]);
	return m->shape == MAP_STR1 ? hash_str1(ks) : hash_any(m, ki, ks);
}

static inline notrace const struct vm_nstr *str_at(const struct vm_map *m, u32 n, u32 at)
{
	return (const struct vm_nstr *)(m->node + (size_t)n * m->node_size + at);
}

static inline notrace u64 word_at(const char *p)
{
	u64 w;

	memcpy(&w, p, 8);
	return w;
}

/* by words, the last one overlapping; short ones bytewise */
static vm_inline notrace bool same_bytes(const char *a, const char *b, u32 n)
{
	u32 k;

	if (n < 8) {
		for (k = 0; k < n; k++)
			if (a[k] != b[k])
				return false;
		return true;
	}
	for (k = 0; k + 8 < n; k += 8)
		if (word_at(a + k) != word_at(b + k))
			return false;
	return word_at(a + n - 8) == word_at(b + n - 8);
}

static vm_inline notrace bool same_str(const struct vm_nstr *a, const struct vm_slot *b)
{
	return a->len == b->len && same_bytes(a->s, b->p, a->len);
}

static notrace bool same_key(const struct vm_map *m, u32 n, const s64 *ki, const struct vm_slot *ks)
{
	u32 k;

	for (k = 0; k < m->g->nkeys; k++)
		if (m->g->keys[k] == IM_T_INT) {
			if (map_key_int(m, n, k) != *ki++)
				return false;
		} else if (!same_str(str_at(m, n, m->key_at[k]), ks++)) {
			return false;
		}
	return true;
}

static inline notrace u32 first_of(const struct vm_map *m, u32 hash)
{
	return __atomic_load_n(&m->bucket[hash >> 1 & m->mask], __ATOMIC_ACQUIRE);
}

static vm_inline notrace u32 find_int1(const struct vm_map *m, u32 hash, s64 key)
{
	u32 n = first_of(m, hash);

	while (n && *(s64 *)((u8 *)map_node(m, n) + MAP_KEY0) != key)
		n = map_node(m, n)->chain;
	return n;
}

static vm_inline notrace u32 find_str1(const struct vm_map *m, u32 hash, const struct vm_slot *key)
{
	u32 n = first_of(m, hash);

	while (n && (map_node(m, n)->hash != hash || !same_str(str_at(m, n, m->key_at[0]), key)))
		n = map_node(m, n)->chain;
	return n;
}

static notrace u32 find_any(const struct vm_map *m, u32 hash, const s64 *ki,
			    const struct vm_slot *ks)
{
	u32 n = first_of(m, hash);

	while (n && (map_node(m, n)->hash != hash || !same_key(m, n, ki, ks)))
		n = map_node(m, n)->chain;
	return n;
}

static vm_inline notrace u32 find_hashed(const struct vm_map *m, u32 hash, const s64 *ki,
					 const struct vm_slot *ks)
{
	if (m->shape == MAP_INT1)
		return find_int1(m, hash, ki[0]);
	return m->shape == MAP_STR1 ? find_str1(m, hash, ks) : find_any(m, hash, ki, ks);
}

notrace u32 map_find(const struct vm_map *m, const s64 *ki, const struct vm_slot *ks)
{
	return find_hashed(m, hash_key(m, ki, ks), ki, ks);
}

notrace s64 map_key_int(const struct vm_map *m, u32 n, u32 k)
{
	return *(s64 *)(m->node + (size_t)n * m->node_size + m->key_at[k]);
}

notrace const struct vm_nstr *map_key_str(const struct vm_map *m, u32 n, u32 k)
{
	return str_at(m, n, m->key_at[k]);
}

static notrace void unlink_chain(struct vm_map *m, u32 n)
{
	u32 *at = &m->bucket[map_node(m, n)->hash >> 1 & m->mask];

	while (*at != n)
		at = &map_node(m, *at)->chain;
	*at = map_node(m, n)->chain;
}

static notrace void remove_node(struct vm_map *m, u32 n)
{
	struct vm_node *d = map_node(m, n);
	u32 cpu;

	unlink_chain(m, n);
	if (d->prev)
		map_node(m, d->prev)->next = d->next;
	else
		m->head = d->next;
	if (d->next)
		map_node(m, d->next)->prev = d->prev;
	else
		m->tail = d->prev;
	d->hash = 0;
	d->chain = m->free;
	m->free = n;
	m->count--;
	for (cpu = 0; cpu < m->ncpus; cpu++)
		memset(map_cell(m, cpu, n), 0, m->cell_size);
}

static notrace void put_str(struct vm_map *m, u32 n, u32 at, const struct vm_slot *s)
{
	struct vm_nstr *d = (struct vm_nstr *)(m->node + (size_t)n * m->node_size + at);

	d->len = s->len < m->strcap ? s->len : m->strcap;
	memcpy(d->s, s->p, d->len);
}

/* a free node, the oldest one of a full wrapping map, or 0 */
static notrace u32 get_node(struct vm_map *m)
{
	u32 n;

	if (m->count == m->cap) {
		if (!(m->g->flags & IM_GF_WRAP))
			return 0;
		remove_node(m, m->head);
	}
	n = m->free;
	if (n)
		m->free = map_node(m, n)->chain;
	else
		n = ++m->high;
	return n;
}

static notrace u32 enter_new(struct vm_ctx *c, struct vm_map *m, u32 hash, const s64 *ki,
			     const struct vm_slot *ks)
{
	u32 n = get_node(m), k;
	struct vm_node *d;
	u32 *bucket;

	if (!n) {
		if (m->g->flags & IM_GF_SIZED)
			vm_raise(c, E_FULL_SIZE, m->cap);
		else
			vm_raise(c, E_FULL, 0);
		return 0;
	}
	d = map_node(m, n);
	for (k = 0; k < m->g->nkeys; k++)
		if (m->g->keys[k] == IM_T_INT)
			*(s64 *)((u8 *)d + m->key_at[k]) = *ki++;
		else
			put_str(m, n, m->key_at[k], ks++);
	*map_value(m, n) = 0; /* of a string: its length */
	d->hash = hash;
	d->prev = m->tail;
	d->next = 0;
	if (m->tail)
		map_node(m, m->tail)->next = n;
	else
		m->head = n;
	m->tail = n;
	m->count++;
	bucket = &m->bucket[hash >> 1 & m->mask];
	d->chain = *bucket;
	__atomic_store_n(bucket, n, __ATOMIC_RELEASE);
	return n;
}

/* a key that was not found a moment ago */
static vm_noinline notrace u32 enter_missing(struct vm_ctx *c, struct vm_map *m, u32 hash,
					     const s64 *ki, const struct vm_slot *ks)
{
	u32 n;

	if (!m->cells)
		return enter_new(c, m, hash, ki, ks);
	if (!vm_spin(c, &m->insert)) {
		vm_raise(c, E_BUSY, 0);
		return 0;
	}
	n = find_hashed(m, hash, ki, ks); /* another CPU may have been faster */
	if (!n)
		n = enter_new(c, m, hash, ki, ks);
	vm_unspin(c, &m->insert);
	return n;
}

notrace u32 map_enter(struct vm_ctx *c, struct vm_map *m, const s64 *ki, const struct vm_slot *ks)
{
	u32 hash = hash_key(m, ki, ks);
	u32 n = find_hashed(m, hash, ki, ks);

	return likely(n) ? n : enter_missing(c, m, hash, ki, ks);
}

notrace void map_delete(struct vm_map *m, const s64 *ki, const struct vm_slot *ks)
{
	u32 n = map_find(m, ki, ks);

	if (n)
		remove_node(m, n);
}

notrace void map_clear(struct vm_map *m)
{
	u32 n, next, cpu;

	for (n = m->head; n; n = next) {
		struct vm_node *d = map_node(m, n);

		next = d->next;
		m->bucket[d->hash >> 1 & m->mask] = 0;
		d->hash = 0;
		for (cpu = 0; cpu < m->ncpus; cpu++)
			memset(map_cell(m, cpu, n), 0, m->cell_size);
	}
	m->count = 0;
	m->head = 0;
	m->tail = 0;
	m->free = 0;
	m->high = 0;
}

notrace void map_merge(struct vm_aggslot *s, const struct vm_global *g, u32 n)
{
	const struct vm_map *m = g->map;
	u32 cpu;

	stat_begin(s, g);
	if (!n)
		return;
	for (cpu = 0; cpu < m->ncpus; cpu++)
		stat_merge(s, map_cell(m, cpu, n));
	if (!(g->g->stat_ops & IM_SO_VARIANCE))
		return;
	stat_finish_mean(s);
	for (cpu = 0; cpu < m->ncpus; cpu++)
		stat_merge_variance(s, map_cell(m, cpu, n));
}

static u32 lay_out(struct vm_map *m)
{
	u32 at = sizeof(struct vm_node), k;
	u32 str = (sizeof(struct vm_nstr) + m->strcap + 7) & ~7u;

	m->value_at = at;
	at += !m->cells && m->g->type == IM_T_STR ? str : 8;
	for (k = 0; k < m->g->nkeys; k++) {
		m->key_at[k] = at;
		at += m->g->keys[k] == IM_T_INT ? 8 : str;
		if (m->g->keys[k] == IM_T_INT)
			m->ni++;
		else
			m->ns++;
	}
	m->shape = m->g->nkeys > 1 ? MAP_ANY : m->ni ? MAP_INT1 : MAP_STR1;
	if (m->shape == MAP_INT1 && m->key_at[0] != MAP_KEY0)
		m->shape = MAP_ANY; /* behind a string value */
	/* with strings the nodes are large and little of them is touched: let
	 * that be one cache line where it fits */
	return m->ns ? (at + 63) & ~63u : at;
}

int map_new(struct vm *vm, struct vm_global *g)
{
	u64 *account = &vm->bytes_globals;
	struct vm_map *m = vm_take(vm, account, 1, sizeof(*m));
	u32 buckets = 16, cpu;

	if (!m)
		return -ENOMEM;
	g->map = m;
	m->g = g->g;
	m->cap = g->g->size;
	m->strcap = vm->strcap;
	if (g->g->cls == IM_G_STATMAP) {
		m->cells = vm_take(vm, account, vm->ncpus, sizeof(*m->cells));
		if (!m->cells)
			return -ENOMEM;
		m->cell_size = g->cell_size;
		m->ncpus = vm->ncpus;
		for (cpu = 0; cpu < m->ncpus; cpu++) {
			m->cells[cpu] = vm_take(vm, account, (u64)m->cap + 1, m->cell_size);
			if (!m->cells[cpu])
				return -ENOMEM;
		}
	}
	m->node_size = lay_out(m);
	while (buckets < m->cap)
		buckets *= 2;
	m->mask = buckets - 1;
	m->bucket = vm_take(vm, account, buckets, sizeof(*m->bucket));
	m->node = vm_take(vm, account, (u64)m->cap + 1, m->node_size);
	if (!m->bucket || !m->node)
		return -ENOMEM;
	if (g->sorted) {
		m->sort = vm_take(vm, account, 2 * (u64)m->cap, sizeof(*m->sort));
		if (!m->sort)
			return -ENOMEM;
	}
	return 0;
}

void map_free(struct vm_map *m)
{
	u32 cpu;

	if (!m)
		return;
	for (cpu = 0; m->cells && cpu < m->ncpus; cpu++)
		if (m->cells[cpu])
			vmh_free(m->cells[cpu]);
	if (m->cells)
		vmh_free(m->cells);
	if (m->bucket)
		vmh_free(m->bucket);
	if (m->node)
		vmh_free(m->node);
	if (m->sort)
		vmh_free(m->sort);
	vmh_free(m);
}
