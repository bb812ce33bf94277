// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * cold.c - the opcodes behind the interpreter's escape: one call, one switch.
 * Result: 0 go on, 1 take the jump in imm, -1 an error is in the context.
 */
#include "machine.h"
#include "map.h"
#include "hist.h"
#include "stack.h"

#define RA     r[I_A(i)]
#define RB     r[I_B(i)]
#define RC     r[I_C(i)]
#define SA     (&s[I_A(i)])
#define SB     (&s[I_B(i)])
#define SC     (&s[I_C(i)])
#define IMM    ((s64)I_IMM(i))
#define GLOBAL (&c->global[I_IMM(i)])
/* operands as text, where they are stacks */
#define TA text_of(c, SA, 0)
#define TB text_of(c, SB, 1)
#define TC text_of(c, SC, 2)

static notrace struct vm_aggslot *agg(struct vm_ctx *c, u32 n)
{
	return &c->aggs[c->frames[c->depth].agg + n];
}

static notrace struct vm_walk *walk(struct vm_ctx *c, u32 n)
{
	return &c->walks[c->frames[c->depth].walk + n];
}

/* -- integers ------------------------------------------------------------------ */

static notrace int divide(struct vm_ctx *c, s64 a, s64 b, bool rest, s64 *out)
{
	if (!b)
		return vm_raise(c, E_DIV0, 0);
	if (b == -1) /* MIN / -1 would trap */
		*out = rest ? 0 : (s64)(0 - (u64)a);
	else
		*out = rest ? a % b : a / b;
	return 0;
}

static notrace s64 low_bits(s64 v, u32 n, bool sign)
{
	u32 drop = 64 - n;

	if (sign)
		return (s64)((u64)v << drop) >> drop;
	return (s64)((u64)v << drop >> drop);
}

/* -- aggregates ------------------------------------------------------------------ */

static notrace void load_stat(struct vm_ctx *c, struct vm_aggslot *a, const struct vm_global *g)
{
	u32 k;

	stat_begin(a, g);
	for (k = 0; k < c->vm->ncpus; k++)
		stat_merge(a, cell_of(c->vm->cpu[k], g));
	if (!(g->g->stat_ops & IM_SO_VARIANCE))
		return;
	stat_finish_mean(a);
	for (k = 0; k < c->vm->ncpus; k++)
		stat_merge_variance(a, cell_of(c->vm->cpu[k], g));
}

static notrace void clear_stat(struct vm_ctx *c, const struct vm_global *g)
{
	u32 k;

	for (k = 0; k < c->vm->ncpus; k++)
		memset(cell_of(c->vm->cpu[k], g), 0, g->cell_size);
}

static notrace int get_field(struct vm_ctx *c, const struct vm_aggslot *a, u32 field, s64 *out)
{
	if (!a->g)
		return vm_raise(c, E_EMPTY, 0);
	return stat_field(c, a, field, out);
}

static notrace int get_bucket(struct vm_ctx *c, const struct vm_aggslot *a, s64 n, bool value,
			      s64 *out)
{
	if (!a->g || !a->g->nbuckets || !a->bucket)
		return vm_raise(c, E_NOHIST, 0);
	if (!a->a.count && !value)
		return vm_raise(c, E_EMPTY, 0);
	if (n < 0 || n >= a->g->nbuckets)
		return vm_raise(c, E_BUCKET, 0);
	*out = value ? stat_bucket_value(a->g->g, (u32)n) : (s64)a->bucket[n];
	return 0;
}

/* the slot's histogram, shaped as global g says */
static notrace int check_hist(struct vm_ctx *c, const struct vm_aggslot *a,
			      const struct vm_global *g)
{
	if (!a->g || !a->bucket || a->g->nbuckets != g->nbuckets)
		return vm_raise(c, E_NOHIST, 0);
	return a->a.count ? 0 : vm_raise(c, E_EMPTY, 0);
}

static notrace int print_hist(struct vm_ctx *c, const struct vm_aggslot *a, u32 global, u32 newline)
{
	const struct vm_global *g = &c->vm->global[global];
	u32 size = 8 + sizeof(struct vm_agg) + 8 * g->nbuckets;
	struct rec *r;
	u32 *body;

	if (check_hist(c, a, g))
		return -1;
	r = vm_reserve(c, RING_DATA, REC_HIST, size);
	if (!r)
		return 0;
	body = (u32 *)(r + 1);
	body[0] = global;
	body[1] = newline;
	memcpy(body + 2, &a->a, sizeof(a->a));
	memcpy((u8 *)(body + 2) + sizeof(a->a), a->bucket, 8 * (size_t)g->nbuckets);
	vm_commit(c, RING_DATA);
	return 0;
}

static notrace int sprint_hist(struct vm_ctx *c, const struct vm_aggslot *a, u32 global,
			       struct vm_slot *out)
{
	const struct vm_global *g = &c->vm->global[global];
	struct vm_out o = { c->spare, 0, c->vm->strcap };

	if (check_hist(c, a, g))
		return -1;
	hist_text(&o, g->g, &c->prog->h->limits, a->bucket);
	slot_adopt_spare(c, out, (u32)o.len);
	return 0;
}

/* -- maps with string values ------------------------------------------------------ */

static notrace void get_map_string(struct vm_ctx *c, const struct vm_map *m, u32 n,
				   struct vm_slot *out)
{
	const struct vm_nstr *v;

	if (!n) {
		out->len = 0;
		return;
	}
	v = (const struct vm_nstr *)map_value(m, n);
	slot_set(c, out, v->s, v->len);
}

static notrace int set_map_string(struct vm_ctx *c, struct vm_map *m, const s64 *ki,
				  const struct vm_slot *ks, const struct vm_slot *v)
{
	u32 n = map_enter(c, m, ki, ks);
	struct vm_nstr *d;

	if (!n)
		return -1;
	d = (struct vm_nstr *)map_value(m, n);
	d->len = v->len;
	memcpy(d->s, v->p, v->len);
	return 0;
}

/* -- iterators: what does not fit the map that it walks reads as empty ------------- */

static notrace s64 walk_key(const struct vm_walk *w, u32 k)
{
	if (!w->map || !w->node || k >= w->map->g->nkeys || w->map->g->keys[k] != IM_T_INT)
		return 0;
	return map_key_int(w->map, w->node, k);
}

static notrace void walk_key_str(struct vm_ctx *c, const struct vm_walk *w, u32 k,
				 struct vm_slot *out)
{
	const struct vm_nstr *v;

	out->len = 0;
	if (!w->map || !w->node || k >= w->map->g->nkeys || w->map->g->keys[k] != IM_T_STR)
		return;
	v = map_key_str(w->map, w->node, k);
	slot_set(c, out, v->s, v->len);
}

static notrace s64 walk_value(const struct vm_walk *w)
{
	if (!w->map || !w->node || w->map->g->cls != IM_G_MAP || w->map->g->type != IM_T_INT)
		return 0;
	return *map_value(w->map, w->node);
}

static notrace void walk_value_str(struct vm_ctx *c, const struct vm_walk *w, struct vm_slot *out)
{
	if (w->map && w->node && w->map->g->cls == IM_G_MAP && w->map->g->type == IM_T_STR)
		get_map_string(c, w->map, w->node, out);
	else
		out->len = 0;
}

static notrace void load_walk(struct vm_ctx *c, struct vm_aggslot *a, const struct vm_walk *w)
{
	const struct vm_global *g;

	a->g = NULL;
	a->a.count = 0;
	if (!w->map || w->map->g->cls != IM_G_STATMAP)
		return;
	g = &c->vm->global[w->spec->map];
	map_merge(a, g, w->node);
}

/* -- memory ------------------------------------------------------------------------ */

notrace int vm_bad_load(struct vm_ctx *c, u64 addr, u32 how, s64 *out)
{
	if (!(how & 32))
		return vm_raise(c, E_READ, (s64)addr);
	*out = 0;
	return 0;
}

static notrace int load_user(struct vm_ctx *c, u64 addr, u32 how, s64 *out)
{
	u32 size = how & 15, drop = 64 - 8 * size;
	u64 v = 0;

	if (vmh_read_user(&v, addr, size))
		return vm_bad_load(c, addr, how, out);
	*out = how & 16 ? (s64)(v << drop) >> drop : (s64)v;
	return 0;
}

static notrace int store(struct vm_ctx *c, u64 addr, u32 size, s64 v, bool user)
{
	if (user ? vmh_write_user(addr, &v, size) : vmh_write_kernel(addr, &v, size))
		return vm_raise(c, E_WRITE, (s64)addr);
	return 0;
}

static notrace int get_register(struct vm_ctx *c, u32 n, s64 *out)
{
	bool ok = false;

	*out = vmh_register(c->hit, n, &ok);
	return ok ? 0 : vm_raise(c, E_REGISTER, n);
}

/* -- regular expressions ----------------------------------------------------------- */

/* 1, 0, or -1 and an error */
static notrace int match(struct vm_ctx *c, u32 n, const struct vm_slot *s)
{
	const struct im_dfa *d = &c->prog->dfa[n];
	const u32 *w = c->prog->dfadata + d->first;
	struct vm_match *m = &c->match;
	bool tagged = w[2] >= 2;

	/* each byte moves the tags of every item */
	if (!vm_work(c, s->len * (1 + (u64)w[4] * w[2] / 8)))
		return -1;
	if (!rx_match(w, s->p, s->len, m->scratch, m->next))
		return 0;
	m->valid = tagged;
	if (tagged) {
		m->ngroups = w[2] / 2 - 1;
		m->len = s->len;
		memcpy(m->text, s->p, s->len);
		memcpy(m->tags, m->next, sizeof(m->tags));
	}
	return 1;
}

static notrace int next_entry(struct vm_ctx *c, struct vm_walk *w, u32 actions)
{
	c->budget -= actions;
	if (c->budget < 0 && !vm_more(c, &c->budget))
		return vm_raise(c, E_ACTION, 0);
	return !walk_next(w);
}

vm_noinline notrace int vm_cold(struct vm_ctx *c, u64 i, s64 *r, struct vm_slot *s)
{
	struct vm_global *g;
	int n;

	/* clang-format off */
	switch (I_OP(i)) {
	case OP_LDK:	RA = c->prog->konst[I_IMM(i)]; break;
	case OP_DIV:	return divide(c, RB, RC, false, &RA);
	case OP_MOD:	return divide(c, RB, RC, true, &RA);
	case OP_NEG:	RA = (s64)(0 - (u64)RB); break;
	case OP_INV:	RA = ~RB; break;
	case OP_ORI:	RA = RB | IMM; break;
	case OP_XORI:	RA = RB ^ IMM; break;
	case OP_SHL:	RA = (s64)((u64)RB << (RC & 63)); break;
	case OP_SHR:	RA = RB >> (RC & 63); break;
	case OP_SHRU:	RA = (s64)((u64)RB >> (RC & 63)); break;
	case OP_SHRUI:	RA = (s64)((u64)RB >> (IMM & 63)); break;
	case OP_EQ:	RA = RB == RC; break;
	case OP_NE:	RA = RB != RC; break;
	case OP_LT:	RA = RB < RC; break;
	case OP_LE:	RA = RB <= RC; break;
	case OP_SEXT:	RA = low_bits(RB, I_C(i), true); break;
	case OP_ZEXT:	RA = low_bits(RB, I_C(i), false); break;

	case OP_SCAT:	slot_cat(c, SA, TB, TC); break;
	case OP_SEQ:	RA = slot_eq(TB, TC); break;
	case OP_SNE:	RA = !slot_eq(TB, TC); break;
	case OP_SLT:	RA = slot_cmp(TB, TC) < 0; break;
	case OP_SLE:	RA = slot_cmp(TB, TC) <= 0; break;
	case OP_JSEQ:	return slot_eq(TA, TB);
	case OP_JSNE:	return !slot_eq(TA, TB);
	case OP_SPRINT:	return vm_sprint(c, (u32)I_IMM(i), &RB, SC, SA);
	case OP_RXM:
		n = match(c, (u32)I_IMM(i), TB);
		RA = n > 0;
		return n < 0 ? -1 : 0;

	case OP_GGETS:	g = GLOBAL; slot_set(c, SA, g->sbuf, g->slen); break;
	case OP_GSETS:
		g = GLOBAL;
		g->slen = SA->len;
		memcpy(g->sbuf, SA->p, SA->len);
		break;
	case OP_MGETS:
		g = GLOBAL;
		get_map_string(c, g->map, map_find(g->map, &RB, SC), SA);
		break;
	case OP_MSETS:	return set_map_string(c, GLOBAL->map, &RB, SC, SA);
	case OP_MDEL:	map_delete(GLOBAL->map, &RB, SC); break;
	case OP_MCLR:
		g = GLOBAL;
		if (!vm_work(c, (u64)g->map->count * (1 + g->map->ncpus * (g->map->cell_size >> 6))))
			return -1;
		map_clear(g->map);
		break;
	case OP_SCLR:	clear_stat(c, GLOBAL); break;

	case OP_AGLD:	load_stat(c, agg(c, I_A(i)), GLOBAL); break;
	case OP_AGLDM:
		g = GLOBAL;
		map_merge(agg(c, I_A(i)), g, map_find(g->map, &RB, SC));
		break;
	case OP_AGLDT:	load_walk(c, agg(c, I_A(i)), walk(c, I_B(i))); break;
	case OP_AGGET:	return get_field(c, agg(c, I_B(i)), I_C(i), &RA);
	case OP_AGBKT:	return get_bucket(c, agg(c, I_B(i)), RC, false, &RA);
	case OP_AGNBKT:
		g = NULL;
		if (agg(c, I_B(i))->g)
			RA = agg(c, I_B(i))->g->nbuckets;
		else
			return vm_raise(c, E_NOHIST, 0);
		break;
	case OP_AGVAL:	return get_bucket(c, agg(c, I_B(i)), RC, true, &RA);
	case OP_PRHIST:	return print_hist(c, agg(c, I_B(i)), (u32)I_IMM(i), I_A(i));
	case OP_SPHIST:	return sprint_hist(c, agg(c, I_B(i)), (u32)I_IMM(i), SA);

	case OP_ITNEW: {
		const struct im_iter *t = &c->prog->iter[I_IMM(i)];

		return walk_start(c, walk(c, I_A(i)), t, t->has_limit ? RB : 0, &RC,
				  &s[t->slice_s]);
	}
	case OP_ITNEXT:	return next_entry(c, walk(c, I_A(i)), I_B(i));
	case OP_ITKEY:	RA = walk_key(walk(c, I_B(i)), I_C(i)); break;
	case OP_ITKEYS:	walk_key_str(c, walk(c, I_B(i)), I_C(i), SA); break;
	case OP_ITVAL:	RA = walk_value(walk(c, I_B(i))); break;
	case OP_ITVALS:	walk_value_str(c, walk(c, I_B(i)), SA); break;

	case OP_RETV:	RA = (s64)c->hit->retval; break;
	case OP_REG:	return get_register(c, (u32)I_IMM(i), &RA);
	case OP_LDU:	return load_user(c, (u64)RB + (u64)IMM, I_C(i), &RA);
	case OP_STM:	return store(c, (u64)RB + (u64)IMM, I_C(i), RA, false);
	case OP_STU:	return store(c, (u64)RB + (u64)IMM, I_C(i), RA, true);

	case OP_ERR:	return vm_raise_text(c, TA->p, TA->len);
	case OP_CATCH:	slot_set(c, SA, c->msg, c->msg_len); break;
	}
	/* clang-format on */
	return 0;
}
