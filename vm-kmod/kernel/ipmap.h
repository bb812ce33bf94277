/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * ipmap.h - the table of ipmap.c and the look-up in it, which is inlined into
 * the hooks. Drawn and explained in ipmap.c.
 */
#ifndef STPVM_IPMAP_H
#define STPVM_IPMAP_H

#include <linux/hash.h>
#include "attach.h"

#define IPMAP_EMPTY 0xffffffffu
#define IPMAP_LAST  0x80000000u /* in order[]: the site's last probe */

struct stpvm_ipmap {
	u32 shift; /* 32 - log2 of the slots */
	u32 mask;
	u32 sites; /* distinct addresses */
	u32 nprobes;
	unsigned long *addr; /* of each site, ascending */
	u32 *order;
	struct ipslot {
		u32 ip, first;
	} slot[];
};

/* The map of all probes of that kind that are armed that way; NULL: no memory. */
struct stpvm_ipmap *stpvm_ipmap_new(const struct stpvm_session *s, u32 kind, u32 via);
void stpvm_ipmap_free(struct stpvm_ipmap *m);

static __always_inline u32 stpvm_ipmap_place(const struct stpvm_ipmap *m, u32 ip)
{
	return (ip * GOLDEN_RATIO_32) >> m->shift;
}

/* Where in order[] the probes at ip begin; IPMAP_EMPTY: there are none. */
static __always_inline u32 stpvm_ipmap_find(const struct stpvm_ipmap *m, unsigned long ip)
{
	u32 at = stpvm_ipmap_place(m, ip);

	while (unlikely(m->slot[at].ip != (u32)ip)) {
		if (m->slot[at].first == IPMAP_EMPTY)
			return IPMAP_EMPTY;
		at = (at + 1) & m->mask;
	}
	return m->slot[at].first;
}

/* Runs the handlers of the probes from there to the last one of the site. */
static __always_inline void stpvm_ipmap_run(const struct stpvm_ipmap *m, struct stpvm_session *s,
					    u32 first, struct vm_hit *hit)
{
	const u32 *order = &m->order[first];

	for (;;) {
		u32 probe = *order++;
		struct stpvm_probe *p = &s->probe[probe & ~IPMAP_LAST];

		hit->addr = p->addr;
		stpvm_hit(p, hit);
		if (likely(probe & IPMAP_LAST))
			return;
	}
}

/* Runs the handlers of every probe at ip. */
static __always_inline void stpvm_ipmap_hit(const struct stpvm_ipmap *m, struct stpvm_session *s,
					    unsigned long ip, struct vm_hit *hit)
{
	u32 first = stpvm_ipmap_find(m, ip);

	if (likely(first != IPMAP_EMPTY))
		stpvm_ipmap_run(m, s, first, hit);
}

#endif
