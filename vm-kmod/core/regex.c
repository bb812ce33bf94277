// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * regex.c - runs the tables of regex.h. In: a checked table and a subject.
 * Out: whether it matches and where the groups are. Takes no memory.
 */
#include "regex.h"

static inline u32 rx_class(const u32 *w, u8 byte)
{
	return w[RX_HEADER + byte / 4] >> (8 * (byte % 4)) & 0xff;
}

static inline const u32 *rx_state(const u32 *w, u32 state)
{
	return w + RX_STATES + RX_STATE_WORDS * state;
}

/* offset of the transitions' index */
static inline u32 rx_index(const u32 *w)
{
	return RX_STATES + RX_STATE_WORDS * w[0];
}

static const char *check_accept(const u32 *acc, u32 items, u32 mask)
{
	if (acc[0] != RX_NONE && acc[0] >= items)
		return "regex: accepting item out of range";
	if (acc[1] & ~mask)
		return "regex: tag out of range";
	return NULL;
}

static const char *check_transition(const u32 *w, u32 count, u32 off, u32 items, u32 mask, u32 body)
{
	u32 i, n;

	if (off < body || off >= count || w[off] >= w[0])
		return "regex: transition out of range";
	n = rx_state(w, w[off])[0];
	if (n > (count - off - 1) / 2)
		return "regex: transition out of range";
	for (i = 0; i < n; i++) {
		if (w[off + 1 + 2 * i] != RX_NONE && w[off + 1 + 2 * i] >= items)
			return "regex: source item out of range";
		if (w[off + 2 + 2 * i] & ~mask)
			return "regex: tag out of range";
	}
	return NULL;
}

static bool spend(u64 *work, u64 n)
{
	*work = n < *work ? *work - n : 0;
	return *work;
}

const char *rx_check(const u32 *w, u32 count, u64 *work)
{
	u32 i, c, index, body, mask;
	const char *why;

	if (count < RX_STATES)
		return "regex: table too short";
	if (w[0] == 0 || w[0] > 0xffff || w[1] == 0 || w[1] > 256 || w[2] > RX_MAX_TAGS)
		return "regex: sizes out of range";
	if (w[3] >= w[0] || w[5] != count)
		return "regex: header does not fit";
	index = rx_index(w);
	if (index > count || (u64)w[0] * w[1] > count - index)
		return "regex: table too short";
	if (!spend(work, (u64)w[0] * w[1] + RX_STATES))
		return NULL;
	body = index + w[0] * w[1];
	mask = w[2] == 32 ? ~0u : (1u << w[2]) - 1;
	for (i = 0; i < 256; i++)
		if (rx_class(w, i) >= w[1])
			return "regex: byte class out of range";
	for (i = 0; i < w[0]; i++) {
		const u32 *st = rx_state(w, i);

		if (st[0] > w[4] || st[0] > RX_MAX_CELLS || (u64)st[0] * w[2] > RX_MAX_CELLS)
			return "regex: too many items";
		why = check_accept(st + 1, st[0], mask);
		if (!why)
			why = check_accept(st + 3, st[0], mask);
		if (why)
			return why;
	}
	why = check_transition(w, count, body, 0, mask, body);
	if (why || w[body] != w[3])
		return why ? why : "regex: entry does not lead to the start";
	for (i = 0; i < w[0]; i++) {
		for (c = 0; c < w[1]; c++) {
			u32 off = w[index + i * w[1] + c];

			if (off == 0)
				continue;
			why = check_transition(w, count, off, rx_state(w, i)[0], mask, body);
			if (why || !spend(work, rx_state(w, w[off])[0]))
				return why;
		}
	}
	return NULL;
}

static notrace void set_tags(u16 *row, u32 ntags, u32 mask, u16 pos)
{
	u32 t;

	for (t = 0; t < ntags && mask; t++, mask >>= 1)
		if (mask & 1)
			row[t] = pos;
}

/* rows of the next state from those of the present one */
static notrace void move_rows(const u32 *t, u32 n, u32 ntags, const u16 *from, u16 *to, u16 pos)
{
	u32 i, k;

	for (i = 0; i < n; i++, to += ntags, t += 2) {
		if (t[0] == RX_NONE)
			for (k = 0; k < ntags; k++)
				to[k] = RX_UNSET;
		else
			memcpy(to, from + t[0] * ntags, ntags * sizeof(*to));
		set_tags(to, ntags, t[1], pos);
	}
}

static notrace void take(const u32 *acc, const u16 *rows, u32 ntags, u16 pos, u16 *tags)
{
	memcpy(tags, rows + acc[0] * ntags, ntags * sizeof(*tags));
	set_tags(tags, ntags, acc[1], pos);
}

/* without tags: a plain DFA, left at the first accepting state */
static notrace bool rx_yes(const u32 *w, const char *s, u32 len)
{
	const u32 *index = w + rx_index(w);
	u32 nclasses = w[1], state = w[3], i;

	for (i = 0; i < len; i++) {
		u32 off;

		if (rx_state(w, state)[1] != RX_NONE)
			return true;
		off = index[state * nclasses + rx_class(w, s[i])];
		if (off == 0)
			return false;
		state = w[off];
	}
	return rx_state(w, state)[3] != RX_NONE;
}

notrace bool rx_match(const u32 *w, const char *s, u32 len, struct rx_scratch *x, u16 *tags)
{
	const u32 *index = w + rx_index(w);
	u32 nclasses = w[1], ntags = w[2], state = w[3], pos;
	u16 *rows = x->rows[0], *other = x->rows[1];
	bool matched = false;

	if (ntags == 0)
		return rx_yes(w, s, len);

	move_rows(index + w[0] * nclasses + 1, rx_state(w, state)[0], ntags, other, rows, 0);
	for (pos = 0;; pos++) {
		const u32 *st = rx_state(w, state);
		const u32 *t;
		u16 *swap;
		u32 off;

		if (pos == len) {
			if (st[3] != RX_NONE) {
				take(st + 3, rows, ntags, pos, tags);
				matched = true;
			}
			return matched;
		}
		if (st[1] != RX_NONE) {
			take(st + 1, rows, ntags, pos, tags);
			matched = true;
		}
		off = index[state * nclasses + rx_class(w, s[pos])];
		if (off == 0)
			return matched;
		t = w + off;
		state = t[0];
		move_rows(t + 1, rx_state(w, state)[0], ntags, rows, other, pos + 1);
		swap = rows;
		rows = other;
		other = swap;
	}
}
