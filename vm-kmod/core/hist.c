// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * hist.c - a histogram as text:
 *
 *     value |-------------------------------------------------- count
 *         0 |                                                   0
 *         1 |@@@@                                               4
 *           ~
 *      1024 |@                                                  1
 *
 * Two empty rows are shown on either side of the data (but no negative ones
 * beside values from 0 on in a log histogram, and under- and overflow rows of
 * a linear one only where they count something). Empty rows farther than
 * HIST_ELISION from a full one make room for a `~`. Bars are scaled down by a
 * whole number when the largest count is over HIST_WIDTH. An empty line ends it.
 */
#include "hist.h"

struct rows {
	u32 low, high; /* shown buckets */
	u64 most;      /* largest count */
	u32 value_width, count_width;
	u64 scale;
};

/* true: the row's label is a bound, with < or > before it */
static notrace bool is_outside(const struct im_global *g, u32 b)
{
	return g->hist == IM_H_LINEAR && (!b || b == stat_buckets(g) - 1);
}

static notrace u32 label_width(const struct im_global *g, u32 b)
{
	return dec_width(stat_bucket_value(g, b)) + is_outside(g, b);
}

static notrace u32 u64_width(u64 v)
{
	u32 n = 1;

	while (v >= 10) {
		v /= 10;
		n++;
	}
	return n;
}

static notrace void measure(struct rows *r, const struct im_global *g, const struct im_limits *lim,
			    const u64 *bucket)
{
	u32 n = stat_buckets(g), k;
	u64 width = (u64)lim->hist_width;

	r->low = n;
	r->high = 0;
	r->most = 0;
	for (k = 0; k < n; k++)
		if (bucket[k]) {
			if (r->low == n)
				r->low = k;
			r->high = k;
			if (bucket[k] > r->most)
				r->most = bucket[k];
		}
	if (r->low == n) { /* nothing counted */
		r->low = g->hist == IM_H_LOG ? HIST_LOG_ZERO : 1;
		r->high = r->low;
	}
	for (k = 0; k < 2; k++) {
		if (g->hist == IM_H_LOG) {
			if (r->low && r->low != HIST_LOG_ZERO)
				r->low--;
			if (r->high < n - 1)
				r->high++;
		} else {
			if (r->low > 1)
				r->low--;
			if (r->high < n - 2)
				r->high++;
		}
	}
	r->scale = r->most / width + (r->most % width != 0);
	if (!r->scale)
		r->scale = 1;
	r->value_width = 5; /* "value" */
	for (k = r->low; k <= r->high; k++)
		if (label_width(g, k) > r->value_width)
			r->value_width = label_width(g, k);
	r->count_width = u64_width(r->most);
}

static notrace bool is_elided(const struct rows *r, const u64 *bucket, s32 elision, u32 b)
{
	u32 near = (u32)elision, k;
	u32 from = b - r->low > near ? b - near : r->low;
	u32 to = r->high - b > near ? b + near : r->high;

	if (elision < 0)
		return false;
	for (k = from; k <= to; k++)
		if (bucket[k])
			return false;
	return true;
}

static notrace void print_row(struct vm_out *o, const struct rows *r, const struct im_global *g,
			      u32 width, u32 b, u64 count)
{
	u32 bar = (u32)(count / r->scale);
	char buf[64];
	const char *d;
	u32 n;

	out_fill(o, ' ', (s64)r->value_width - label_width(g, b));
	if (is_outside(g, b))
		out_char(o, b ? '>' : '<');
	out_dec(o, stat_bucket_value(g, b));
	out_cstr(o, " |");
	out_fill(o, '@', bar);
	out_fill(o, ' ', (s64)width - bar + 1);
	n = digits_of(count, 10, false, buf, &d);
	out_fill(o, ' ', (s64)r->count_width - n);
	out_bytes(o, d, n);
	out_char(o, '\n');
}

notrace void hist_text(struct vm_out *o, const struct im_global *g, const struct im_limits *lim,
		       const u64 *bucket)
{
	struct rows r;
	bool eliding = false;
	u32 b;

	measure(&r, g, lim, bucket);
	out_fill(o, ' ', (s64)r.value_width - 5);
	out_cstr(o, "value |");
	out_fill(o, '-', lim->hist_width);
	out_cstr(o, " count\n");
	for (b = r.low; b <= r.high; b++) {
		if (is_elided(&r, bucket, lim->hist_elision, b)) {
			eliding = true;
			continue;
		}
		if (eliding) {
			out_fill(o, ' ', (s64)r.value_width + 1);
			out_cstr(o, "~\n");
			eliding = false;
		}
		print_row(o, &r, g, (u32)lim->hist_width, b, bucket[b]);
	}
	out_char(o, '\n');
}
