// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * prog.c - from a flat image to a struct vm_prog. In: bytes that nobody has
 * looked at. Out: a private copy in which every offset, count and index of
 * the tables was checked (the code is left to verify.c). Never reads a byte
 * of the image before its place was checked.
 */
#include "prog.h"
#include "verify.h"
#include "regex.h"
#include "stat.h"
#include "isa_hash.h"

#define IMAGE_MAX (64u << 20)
#define FRAME_MAX 256
/* tables may share what they refer to, so that is bounded apart from their size */
#define REFER_MAX (1u << 24)
#define LOCAL_MAX 16

static const u8 element_size[IM_S_MAX] = {
	[IM_S_CODE] = 8,
	[IM_S_FUNC] = sizeof(struct im_func),
	[IM_S_PROBE] = sizeof(struct im_probe),
	[IM_S_GLOBAL] = sizeof(struct im_global),
	[IM_S_CONST] = 8,
	[IM_S_STR] = sizeof(struct im_str),
	[IM_S_BYTES] = 1,
	[IM_S_FMT] = sizeof(struct im_fmt),
	[IM_S_FMTITEM] = sizeof(struct im_fmtitem),
	[IM_S_LOCK] = sizeof(struct im_lock),
	[IM_S_TRY] = sizeof(struct im_try),
	[IM_S_ITER] = sizeof(struct im_iter),
	[IM_S_DFA] = sizeof(struct im_dfa),
	[IM_S_DFADATA] = 4,
};

_Static_assert(sizeof(struct im_func) == 32, "mirror in flat.rs");
_Static_assert(sizeof(struct im_probe) == 64, "mirror in flat.rs");
_Static_assert(sizeof(struct im_global) == 72, "mirror in flat.rs");
_Static_assert(sizeof(struct im_fmt) == 16, "mirror in flat.rs");
_Static_assert(sizeof(struct im_fmtitem) == 16, "mirror in flat.rs");
_Static_assert(sizeof(struct im_iter) == 16, "mirror in flat.rs");
_Static_assert(sizeof(struct im_dfa) == 16, "mirror in flat.rs");

int prog_fault(struct vm_refusal *f, int error, u32 rule, u32 func, u32 pc, const char *text)
{
	size_t n = strlen(text);

	f->error = error;
	f->rule = rule;
	f->func = func;
	f->pc = pc;
	if (n >= sizeof(f->text))
		n = sizeof(f->text) - 1;
	memcpy(f->text, text, n);
	f->text[n] = 0;
	return error;
}

static int bad(struct vm_refusal *f, const char *text)
{
	return prog_fault(f, -ENOEXEC, 0, ~0u, ~0u, text);
}

/* [first, first + count) inside of n */
static bool within(u32 first, u32 count, u32 n)
{
	return first <= n && count <= n - first;
}

int prog_open(struct vm_prog *p, const void *flat, size_t len, struct vm_refusal *f)
{
	const struct im_header *h = flat;
	const u8 *base = flat;
	const void *at[IM_S_MAX];
	u32 s;

	if (len < sizeof(*h) || h->magic != IM_MAGIC)
		return bad(f, "not an image");
	if (h->abi != IM_ABI || h->header_size != sizeof(*h) || h->isa_hash != STPVM_ISA_HASH)
		return bad(f, "image is for another version of the machine");
	if (len > IMAGE_MAX || h->total_size != len)
		return bad(f, "image is cut short or too large");
	for (s = 0; s < IM_S_MAX; s++) {
		const struct im_sect *t = &h->sect[s];

		if (t->off & 7 || t->off < sizeof(*h) || t->off > len)
			return bad(f, "section out of place");
		if (t->count > (len - t->off) / element_size[s])
			return bad(f, "section longer than the image");
		at[s] = base + t->off;
	}
	p->image = flat;
	p->len = len;
	p->h = h;
	p->code = at[IM_S_CODE];
	p->func = at[IM_S_FUNC];
	p->probe = at[IM_S_PROBE];
	p->global = at[IM_S_GLOBAL];
	p->konst = at[IM_S_CONST];
	p->str = at[IM_S_STR];
	p->bytes = at[IM_S_BYTES];
	p->fmt = at[IM_S_FMT];
	p->item = at[IM_S_FMTITEM];
	p->lock = at[IM_S_LOCK];
	p->try_ = at[IM_S_TRY];
	p->iter = at[IM_S_ITER];
	p->dfa = at[IM_S_DFA];
	p->dfadata = at[IM_S_DFADATA];
	return 0;
}

static int too_much(struct vm_refusal *f, const char *text)
{
	return prog_fault(f, -ENOEXEC, V_COMPLEX, ~0u, ~0u, text);
}

static int check_limits(const struct vm_prog *p, struct vm_refusal *f)
{
#define LIMIT(field, name, dflt, lo, hi, doc)                       \
	if (p->h->limits.field < (lo) || p->h->limits.field > (hi)) \
		return bad(f, "limit " name " out of range");
#include "limits.def"
#undef LIMIT
	if (p->h->limits.suppress_time && !(p->h->caps & CAP_GURU))
		return prog_fault(f, -ENOEXEC, V_CAPS, ~0u, ~0u,
				  "handlers without a limit need the capability of guru mode");
	return 0;
}

static int check_strings(const struct vm_prog *p, struct vm_refusal *f)
{
	u32 n = prog_n(p, IM_S_BYTES), i;

	if (!prog_n(p, IM_S_STR) || p->str[0].len)
		return bad(f, "string 0 is not the empty one");
	for (i = 0; i < prog_n(p, IM_S_STR); i++) {
		const struct im_str *s = &p->str[i];

		if (s->off >= n || s->len >= n - s->off || p->bytes[s->off + s->len])
			return bad(f, "string constant out of place");
	}
	return 0;
}

static int check_functions(const struct vm_prog *p, struct vm_refusal *f)
{
	u32 i, t;

	for (i = 0; i < prog_n(p, IM_S_FUNC); i++) {
		const struct im_func *fn = &p->func[i];

		if (!within(fn->code, fn->ncode, prog_n(p, IM_S_CODE)) || !fn->ncode)
			return prog_fault(f, -ENOEXEC, 0, i, ~0u, "function without code");
		if (fn->nregs > FRAME_MAX || fn->nstrs > FRAME_MAX || fn->naggs > LOCAL_MAX ||
		    fn->niters > LOCAL_MAX)
			return prog_fault(f, -ENOEXEC, 0, i, ~0u, "frame too large");
		if (fn->ni > fn->nregs || fn->ns > fn->nstrs || fn->ret > 2 ||
		    (fn->ret == 1 && !fn->nregs) || (fn->ret == 2 && !fn->nstrs))
			return prog_fault(f, -ENOEXEC, 0, i, ~0u, "signature outside of the frame");
		if (fn->flags & ~(IM_F_HANDLER | IM_F_LOCKED) ||
		    (fn->flags & IM_F_HANDLER &&
		     (fn->ni || fn->ns || fn->ret || fn->flags & IM_F_LOCKED)))
			return prog_fault(f, -ENOEXEC, 0, i, ~0u, "bad function flags");
		if (fn->name >= prog_n(p, IM_S_STR))
			return prog_fault(f, -ENOEXEC, 0, i, ~0u, "function without a name");
		if (!within(fn->try_first, fn->try_count, prog_n(p, IM_S_TRY)))
			return prog_fault(f, -ENOEXEC, 0, i, ~0u, "try blocks out of place");
		if (fn->try_count > TRY_MAX || fn->ncode > FUNCTION_MAX)
			return prog_fault(f, -ENOEXEC, V_COMPLEX, i, ~0u,
					  "function with too much code or too many try blocks");
		for (t = fn->try_first; t < fn->try_first + fn->try_count; t++) {
			const struct im_try *y = &p->try_[t];

			if (y->from >= y->to || y->to > y->target || y->target >= fn->ncode)
				return prog_fault(f, -ENOEXEC, V_TRY, i, y->from,
						  "catch block is not behind its try block");
		}
	}
	return 0;
}

static int check_global(const struct vm_prog *p, u32 i, struct vm_refusal *f)
{
	const struct im_global *g = &p->global[i];
	bool map = g->cls == IM_G_MAP || g->cls == IM_G_STATMAP;
	bool stat = g->cls == IM_G_STAT || g->cls == IM_G_STATMAP;
	u32 k;

	if (g->cls > IM_G_STATMAP || g->name >= prog_n(p, IM_S_STR) ||
	    g->init_str >= prog_n(p, IM_S_STR) || g->flags & ~(IM_GF_WRAP | IM_GF_SIZED))
		return bad(f, "global of an unknown class");
	if (stat		 ? g->type != IM_T_STAT
	    : g->cls == IM_G_STR ? g->type != IM_T_STR
	    : map		 ? g->type != IM_T_INT && g->type != IM_T_STR
				 : g->type != IM_T_INT)
		return bad(f, "type of a global does not fit its class");
	if (map ? !g->nkeys || g->nkeys > sizeof(g->keys) : g->nkeys)
		return bad(f, "global with a wrong number of keys");
	for (k = 0; k < g->nkeys; k++)
		if (g->keys[k] != IM_T_INT && g->keys[k] != IM_T_STR)
			return bad(f, "key of an unknown type");
	if (map && (!g->size || g->size > 0x00ffffff))
		return bad(f, "size of a map out of range");
	if (g->hist > IM_H_LINEAR || (g->hist && !stat) || g->bit_shift > 62)
		return bad(f, "bad histogram");
	if (g->hist == IM_H_LINEAR && !stat_buckets(g))
		return bad(f, "number of buckets must be between 1 and 126");
	return 0;
}

static int check_probes(const struct vm_prog *p, struct vm_refusal *f)
{
	u32 nstr = prog_n(p, IM_S_STR), i, k;
	u64 locks = 0;

	if (prog_n(p, IM_S_PROBE) >= 0xffff)
		return bad(f, "too many probes");
	for (i = 0; i < prog_n(p, IM_S_LOCK); i++)
		if (p->lock[i].global >= prog_n(p, IM_S_GLOBAL) || p->lock[i].mode < IM_L_READ ||
		    p->lock[i].mode > IM_L_ADD)
			return bad(f, "lock of no global");
	for (i = 0; i < prog_n(p, IM_S_PROBE); i++) {
		const struct im_probe *pr = &p->probe[i];

		if (pr->kind >= IM_K_MAX || pr->name >= nstr || pr->pp >= nstr || pr->pn >= nstr)
			return bad(f, "probe of an unknown kind or without names");
		if (pr->func >= prog_n(p, IM_S_FUNC) || !(p->func[pr->func].flags & IM_F_HANDLER))
			return bad(f, "probe without a handler");
		if (pr->cond != ~0u &&
		    (pr->cond >= prog_n(p, IM_S_FUNC) || p->func[pr->cond].flags & IM_F_HANDLER ||
		     p->func[pr->cond].ni || p->func[pr->cond].ns || p->func[pr->cond].ret != 1))
			return bad(f, "condition is not a function that gives a number");
		if (!within(pr->lock_first, pr->lock_count, prog_n(p, IM_S_LOCK)))
			return bad(f, "lock set out of place");
		locks += pr->lock_count;
		if (locks > REFER_MAX)
			return too_much(f, "lock sets of all probes are too large");
		for (k = 1; k < pr->lock_count; k++)
			if (p->lock[pr->lock_first + k - 1].global >=
			    p->lock[pr->lock_first + k].global)
				return prog_fault(f, -ENOEXEC, V_LOCK_ORDER, pr->func, ~0u,
						  "lock set is not ordered");
	}
	return 0;
}

/* A format's conversions take exactly the arguments that it states. */
static int check_format(struct vm_prog *p, u32 i, struct vm_refusal *f)
{
	const struct im_fmt *t = &p->fmt[i];
	u32 ni = 0, ns = 0, k;

	if (!within(t->first, t->count, prog_n(p, IM_S_FMTITEM)))
		return bad(f, "format out of place");
	if (t->count > FMT_ITEMS_MAX)
		return too_much(f, "format of too many pieces");
	for (k = t->first; k < t->first + t->count; k++) {
		const struct im_fmtitem *m = &p->item[k];

		if (m->conv > IM_C_SYM || m->str >= prog_n(p, IM_S_STR))
			return bad(f, "unknown conversion in a format");
		if (m->conv == IM_C_LIT)
			continue;
		ni += (m->width == IM_DYN) + (m->prec == IM_DYN);
		if (m->conv == IM_C_STR) {
			p->fmt_takes[i] |= FMT_STRINGS;
			ns++;
		} else {
			ni++;
		}
		if (m->conv == IM_C_BIN && m->size != 1 && m->size != 2 && m->size != 4 &&
		    m->size != 8)
			return bad(f, "%b of a wrong size");
		if (m->conv == IM_C_MEM || m->conv == IM_C_MEMHEX) {
			p->fmt_takes[i] |= FMT_DUMPS;
			if (!(p->h->caps &
			      (m->flags & IM_FL_ALT ? CAP_USER_READ : CAP_KERNEL_READ)))
				return prog_fault(f, -ENOEXEC, V_CAPS, ~0u, ~0u,
						  "memory dump without the capability to read");
		}
	}
	if (ni != t->ni || ns != t->ns)
		return prog_fault(f, -ENOEXEC, V_FORMAT, ~0u, ~0u,
				  "conversions of a format do not fit its arguments");
	p->fmt_takes[i] |= (u16)ni;
	return 0;
}

static int check_iterators(const struct vm_prog *p, struct vm_refusal *f)
{
	u32 i;

	for (i = 0; i < prog_n(p, IM_S_ITER); i++) {
		const struct im_iter *t = &p->iter[i];
		const struct im_global *g;

		if (t->map >= prog_n(p, IM_S_GLOBAL))
			return bad(f, "iterator over no map");
		g = &p->global[t->map];
		if ((g->cls != IM_G_MAP && g->cls != IM_G_STATMAP) || t->sort > 3 ||
		    t->has_limit > 1 || t->desc > 1 || t->slice >> g->nkeys)
			return prog_fault(f, -ENOEXEC, V_ITER, ~0u, ~0u, "bad iterator");
		if ((t->sort == 1 && t->key >= g->nkeys) || (t->sort == 2 && g->cls != IM_G_MAP) ||
		    (t->sort == 3 && (g->cls != IM_G_STATMAP || t->key > 5)))
			return prog_fault(f, -ENOEXEC, V_ITER, ~0u, ~0u, "iterator cannot sort so");
	}
	return 0;
}

static int check_dfa(const struct vm_prog *p, u32 i, u64 *work, struct vm_refusal *f)
{
	const struct im_dfa *d = &p->dfa[i];
	const char *why = "table of a regular expression out of place";

	if (within(d->first, d->count, prog_n(p, IM_S_DFADATA)))
		why = rx_check(p->dfadata + d->first, d->count, work);
	if (!*work)
		return too_much(f, "regular expressions are too large");
	return why ? prog_fault(f, -ENOEXEC, V_REGEX, ~0u, ~0u, why) : 0;
}

static int check_tables(struct vm_prog *p, struct vm_refusal *f)
{
	u64 work = REFER_MAX;
	int err;
	u32 i;

	err = check_limits(p, f);
	if (!err)
		err = check_strings(p, f);
	if (!err && p->h->name >= prog_n(p, IM_S_STR))
		err = bad(f, "image without a name");
	if (!err && prog_n(p, IM_S_GLOBAL) > 0xffff)
		err = bad(f, "too many globals");
	if (!err)
		err = check_functions(p, f);
	for (i = 0; !err && i < prog_n(p, IM_S_GLOBAL); i++)
		err = check_global(p, i, f);
	if (!err)
		err = check_probes(p, f);
	for (i = 0; !err && i < prog_n(p, IM_S_FMT); i++)
		err = check_format(p, i, f);
	if (!err)
		err = check_iterators(p, f);
	for (i = 0; !err && i < prog_n(p, IM_S_DFA); i++)
		err = check_dfa(p, i, &work, f);
	return err;
}

int vm_load(const void *flat, size_t len, u32 caps_allowed, struct vm_prog **out,
	    struct vm_refusal *fault)
{
	struct vm_prog *p;
	void *copy = NULL;
	int err;

	memset(fault, 0, sizeof(*fault));
	fault->func = ~0u;
	fault->pc = ~0u;
	if (len < sizeof(struct im_header) || len > IMAGE_MAX)
		return bad(fault, "not an image");
	p = vmh_alloc(sizeof(*p));
	copy = vmh_alloc(len);
	err = -ENOMEM;
	if (!p || !copy)
		goto fail;
	memcpy(copy, flat, len);
	err = prog_open(p, copy, len, fault);
	if (err)
		goto fail;
	if (p->h->caps & ~caps_allowed) {
		err = prog_fault(fault, -EPERM, V_CAPS, ~0u, ~0u,
				 "the script needs capabilities that the caller does not have");
		goto fail;
	}
	p->fmt_takes = vmh_alloc(sizeof(u16) * ((size_t)prog_n(p, IM_S_FMT) + 1));
	err = -ENOMEM;
	if (!p->fmt_takes)
		goto fail;
	err = check_tables(p, fault);
	if (!err)
		err = vm_verify(p, fault);
	if (err)
		goto fail;
	*out = p;
	return 0;
fail:
	if (err == -ENOMEM)
		prog_fault(fault, err, 0, ~0u, ~0u, "no memory for the image");
	if (p) {
		if (p->fmt_takes)
			vmh_free(p->fmt_takes);
		vmh_free(p);
	}
	if (copy)
		vmh_free(copy);
	return err;
}

void vm_unload(struct vm_prog *p)
{
	if (!p)
		return;
	vmh_free((void *)p->image);
	vmh_free(p->fmt_takes);
	vmh_free(p);
}

const struct im_header *vm_header(const struct vm_prog *p)
{
	return p->h;
}

const struct im_probe *vm_probe(const struct vm_prog *p, u32 n)
{
	return &p->probe[n];
}

u32 vm_nprobes(const struct vm_prog *p)
{
	return prog_n(p, IM_S_PROBE);
}

const char *vm_string(const struct vm_prog *p, u32 n)
{
	return prog_str(p, n);
}
