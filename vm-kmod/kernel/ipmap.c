// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * ipmap.c - from the instruction pointer that a function hook reports to the
 * probes on that function. Built once when probes are armed, then read only;
 * the look-up (ipmap.h) runs in the hook, before any guard, and calls nothing.
 *
 * The hook of a function is its first instruction or, where that is an ENDBR,
 * the one after it, 4 bytes on; which of the two, only ftrace knows. Each function
 * stands in the table under both. No two functions can share such a pair.
 *
 *   slot[hash(ip)] ──► { low 32 bits of ip, first } ──► order[first...]: numbers
 *                                                       of probes, last one marked
 *
 * All kernel text lies in the top 2 GiB, so 32 bits tell addresses apart.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "ipmap.h"

struct site {
	u64 addr;
	u32 probe;
};

static int by_addr(const void *a, const void *b)
{
	const struct site *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->probe < y->probe ? -1 : 1;
}

static void put(struct stpvm_ipmap *m, u32 ip, u32 first)
{
	u32 at = stpvm_ipmap_place(m, ip);

	while (m->slot[at].first != IPMAP_EMPTY)
		at = (at + 1) & m->mask;
	m->slot[at].ip = ip;
	m->slot[at].first = first;
}

struct stpvm_ipmap *stpvm_ipmap_new(const struct stpvm_session *s, u32 kind, u32 via)
{
	u32 all = stpvm_count(s, kind, via), slots = roundup_pow_of_two(max(all, 4u) * 4);
	struct stpvm_ipmap *m = kvzalloc(struct_size(m, slot, slots), GFP_KERNEL_ACCOUNT);
	struct site *site = kvmalloc_array(max(all, 1u), sizeof(*site), GFP_KERNEL);
	u32 n, first = 0;

	if (!m || !site)
		goto fail;
	m->addr = kvcalloc(max(all, 1u), sizeof(*m->addr), GFP_KERNEL_ACCOUNT);
	m->order = kvcalloc(max(all, 1u), sizeof(*m->order), GFP_KERNEL_ACCOUNT);
	if (!m->addr || !m->order)
		goto fail;
	m->mask = slots - 1;
	m->shift = 32 - ilog2(slots);
	memset(m->slot, 0xff, slots * sizeof(m->slot[0]));
	for (n = 0; n < s->nprobes; n++) {
		if (s->probe[n].kind != kind || s->probe[n].via != via)
			continue;
		site[m->nprobes].addr = s->probe[n].im->addr;
		site[m->nprobes++].probe = n;
	}
	sort(site, m->nprobes, sizeof(*site), by_addr, NULL);
	for (n = 0; n < m->nprobes; n++) {
		m->order[n] = site[n].probe;
		if (n + 1 < m->nprobes && site[n + 1].addr == site[n].addr)
			continue;
		m->order[n] |= IPMAP_LAST;
		m->addr[m->sites++] = site[n].addr;
		put(m, (u32)site[n].addr, first);
		put(m, (u32)site[n].addr + 4, first);
		first = n + 1;
	}
	kvfree(site);
	return m;
fail:
	kvfree(site);
	stpvm_ipmap_free(m);
	return NULL;
}

void stpvm_ipmap_free(struct stpvm_ipmap *m)
{
	if (!m)
		return;
	kvfree(m->addr);
	kvfree(m->order);
	kvfree(m);
}
