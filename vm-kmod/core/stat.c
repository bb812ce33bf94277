// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* stat.c - adding to, merging and reading statistics. See stat.h. */
#include "stat.h"
#include "machine.h"

static notrace s64 wrap_add(s64 a, s64 b)
{
	return (s64)((u64)a + (u64)b);
}

static notrace s64 wrap_sub(s64 a, s64 b)
{
	return (s64)((u64)a - (u64)b);
}

static notrace s64 wrap_mul(s64 a, s64 b)
{
	return (s64)((u64)a * (u64)b);
}

/* towards zero; MIN / -1 does not trap */
static notrace s64 quotient(s64 a, s64 b)
{
	if (b == -1)
		return wrap_sub(0, a);
	return b ? a / b : 0;
}

static notrace u32 log_bucket(s64 v)
{
	u64 m = v < 0 ? 0 - (u64)v : (u64)v;
	u32 bits;

	if (!v)
		return HIST_LOG_ZERO;
	bits = 63 - (u32)__builtin_clzll(m); /* 2^bits <= m */
	return v < 0 ? 63 - bits : 65 + bits;
}

static notrace u32 linear_bucket(const struct im_global *g, s64 v)
{
	u32 last = stat_buckets(g) - 1;
	u64 n;

	if (v < g->lo)
		return 0;
	n = ((u64)v - (u64)g->lo) / (u64)g->step + 1;
	return n < last ? (u32)n : last;
}

notrace s64 stat_bucket_value(const struct im_global *g, u32 bucket)
{
	if (g->hist == IM_H_LOG) {
		if (bucket == HIST_LOG_ZERO)
			return 0;
		if (bucket > HIST_LOG_ZERO)
			return (s64)(1ull << (bucket - 65));
		return (s64)(0 - (1ull << (63 - bucket)));
	}
	if (!bucket)
		return g->lo;
	if (bucket == stat_buckets(g) - 1) /* above the last full bucket */
		bucket--;
	return wrap_add(g->lo, wrap_mul(bucket - 1, g->step));
}

notrace void stat_add(const struct im_global *g, struct vm_agg *a, s64 v)
{
	if (!a->count) {
		a->min = v;
		a->max = v;
	} else {
		if (v < a->min)
			a->min = v;
		if (v > a->max)
			a->max = v;
	}
	a->count++;
	a->sum = wrap_add(a->sum, v);
	if (g->stat_ops & IM_SO_VARIANCE) {
		s64 scaled = (s64)((u64)v << g->bit_shift);

		if (a->count == 1) {
			a->mean = scaled;
			a->m2 = 0;
		} else {
			s64 delta = wrap_sub(scaled, a->mean);

			a->mean = wrap_add(a->mean, quotient(delta, a->count));
			a->m2 = wrap_add(a->m2, wrap_mul(delta, wrap_sub(scaled, a->mean)));
		}
	}
	if (g->hist) {
		u64 *bucket = (u64 *)(a + 1);

		bucket[g->hist == IM_H_LOG ? log_bucket(v) : linear_bucket(g, v)]++;
	}
}

notrace void stat_begin(struct vm_aggslot *s, const struct vm_global *g)
{
	memset(&s->a, 0, sizeof(s->a));
	s->g = g;
	if (s->bucket && g->nbuckets)
		memset(s->bucket, 0, 8 * (size_t)g->nbuckets);
}

notrace void stat_merge(struct vm_aggslot *s, const struct vm_agg *a)
{
	u32 k;

	if (!a->count)
		return;
	if (!s->a.count || a->min < s->a.min)
		s->a.min = a->min;
	if (!s->a.count || a->max > s->a.max)
		s->a.max = a->max;
	s->a.count += a->count;
	s->a.sum = wrap_add(s->a.sum, a->sum);
	for (k = 0; s->bucket && k < s->g->nbuckets; k++)
		s->bucket[k] += ((const u64 *)(a + 1))[k];
}

notrace void stat_finish_mean(struct vm_aggslot *s)
{
	s->a.mean = quotient((s64)((u64)s->a.sum << s->g->g->bit_shift), s->a.count);
}

/* adds (n - 1) * variance + n * (mean - whole mean)^2 of one CPU */
notrace void stat_merge_variance(struct vm_aggslot *s, const struct vm_agg *a)
{
	s64 off, own;

	if (!a->count)
		return;
	off = wrap_sub(a->mean, s->a.mean);
	own = wrap_mul(a->count - 1, quotient(a->m2, a->count - 1));
	s->a.m2 = wrap_add(s->a.m2, wrap_add(own, wrap_mul(a->count, wrap_mul(off, off))));
}

notrace int stat_field(struct vm_ctx *c, const struct vm_aggslot *s, u32 field, s64 *out)
{
	const struct vm_agg *a = &s->a;

	if (!a->count && field > 1)
		return vm_raise(c, E_EMPTY, 0);
	switch (field) {
	case 0:
		*out = a->count;
		break;
	case 1:
		*out = a->sum;
		break;
	case 2:
		*out = a->min;
		break;
	case 3:
		*out = a->max;
		break;
	case 4:
		*out = quotient(a->sum, a->count);
		break;
	default:
		*out = quotient(a->m2, a->count - 1) >> (2 * s->g->g->bit_shift & 63);
		break;
	}
	return 0;
}
