// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * machine.c - a session's life: takes all memory that it will ever use
 * (vm_new), gives it back (vm_free). What happens between is run.c.
 */
#include "machine.h"
#include "map.h"
#include "helpers.h"

/* `count` elements, zeroed, within what the session may take; the machine never
 * takes memory any other way */
void *vm_take(struct vm *vm, u64 *account, u64 count, u64 size)
{
	u64 bytes;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > vm->bytes_left)
		return NULL;
	vm->bytes_left -= bytes;
	*account += bytes;
	return vmh_alloc((size_t)(bytes ? bytes : 1));
}

static int new_global(struct vm *vm, u32 n, u32 *cells)
{
	const struct vm_prog *p = vm->prog;
	struct vm_global *g = &vm->global[n];

	g->g = &p->global[n];
	g->nbuckets = stat_buckets(g->g);
	g->cell_size = (u32)sizeof(struct vm_agg) + 8 * g->nbuckets;
	switch (g->g->cls) {
	case IM_G_INT:
		g->ival = g->g->init_int;
		return 0;
	case IM_G_STR:
		g->sbuf = vm_take(vm, &vm->bytes_globals, 1, vm->strcap + 1);
		if (!g->sbuf)
			return -ENOMEM;
		g->slen = p->str[g->g->init_str].len;
		if (g->slen > vm->strcap)
			g->slen = vm->strcap;
		memcpy(g->sbuf, prog_str(p, g->g->init_str), g->slen);
		return 0;
	case IM_G_PERCPU:
		g->cell = *cells;
		*cells += 8;
		return 0;
	case IM_G_STAT:
		g->cell = *cells;
		*cells += g->cell_size;
		return 0;
	}
	return map_new(vm, g);
}

static int new_slots(struct vm *vm, struct vm_ctx *c)
{
	const struct vm_prog *p = vm->prog;
	u64 *account = &vm->bytes_contexts;
	u64 stride = ((u64)vm->strcap + 1 + 7) & ~7ull;
	u32 n = p->need.strs + 1, k;
	char *at;

	/* slots, then the spare buffer, the message, and what is used only by some */
	c->strings = vm_take(vm, account,
			     (u64)n + 2 + !!(p->uses & USE_TOKEN) + !!(p->uses & USE_REGEX) +
				     (p->uses & USE_STACK ? 1 + ARRAY_LEN(c->text) : 0),
			     stride);
	c->slots = vm_take(vm, account, n, sizeof(*c->slots));
	if (!c->strings || !c->slots)
		return -ENOMEM;
	at = c->strings;
	for (k = 0; k < n; k++, at += stride) {
		c->slots[k].buf = at;
		c->slots[k].p = at;
	}
	c->spare = at;
	at += stride;
	c->msg = at;
	at += stride;
	if (p->uses & USE_TOKEN) {
		c->tok = at;
		at += stride;
	}
	if (p->uses & USE_STACK) {
		c->stack = at;
		for (k = 0; k < ARRAY_LEN(c->text); k++)
			c->text[k].p = c->text[k].buf = at += stride;
		at += stride;
	}
	if (p->uses & USE_REGEX) {
		c->match.text = at;
		c->match.scratch = vm_take(vm, account, 1, sizeof(*c->match.scratch));
		if (!c->match.scratch)
			return -ENOMEM;
	}
	return 0;
}

static const u16 no_words[H_MAX];
static const int nobody;

static int new_ctx(struct vm *vm, u32 cpu, u32 cells)
{
	const struct vm_prog *p = vm->prog;
	u64 *account = &vm->bytes_contexts;
	struct vm_ctx *c = vm_take(vm, account, 1, sizeof(*c));
	u64 *buckets;
	u32 k, n;

	if (!c)
		return -ENOMEM;
	vm->cpu[cpu] = c;
	c->h.host = vm->host;
	c->probe_nr = NO_PROBE;
	c->words = no_words;
	c->awake = &nobody;
	c->vm = vm;
	c->prog = p;
	c->global = vm->global;
	c->maxdepth = (u32)p->h->limits.maxnesting;
	c->h.cpu = cpu;
	c->cells = vm_take(vm, &vm->bytes_globals, 1, cells);
	c->regs = vm_take(vm, account, (u64)p->need.regs + 1, sizeof(*c->regs));
	c->frames = vm_take(vm, account, (u64)p->h->limits.maxnesting + 1, sizeof(*c->frames));
	c->aggs = vm_take(vm, account, (u64)p->need.aggs + 1, sizeof(*c->aggs));
	c->walks = vm_take(vm, account, (u64)p->need.iters + 1, sizeof(*c->walks));
	if (!c->cells || !c->regs || !c->frames || !c->aggs || !c->walks || new_slots(vm, c))
		return -ENOMEM;
	c->frames[0].r = c->regs;
	c->frames[0].s = c->slots;
#ifdef STPVM_CHECK
	c->shadow = vm_take(vm, account, (u64)p->need.regs + p->need.strs + 1, 1);
	if (!c->shadow)
		return -ENOMEM;
#endif
	for (k = 0; k < vm->nglobals; k++)
		if (p->global[k].cls == IM_G_PERCPU && !cpu)
			*(s64 *)cell_of(c, &vm->global[k]) = p->global[k].init_int;
	if (!(p->uses & USE_HIST) || !p->need.aggs)
		return 0;
	n = p->need.aggs;
	buckets = vm_take(vm, account, (u64)n * HIST_BUCKETS_MAX, 8);
	if (!buckets)
		return -ENOMEM;
	for (k = 0; k < n; k++)
		c->aggs[k].bucket = buckets + (size_t)k * HIST_BUCKETS_MAX;
	return 0;
}

static int new_plans(struct vm *vm)
{
	const struct vm_prog *p = vm->prog;
	const struct im_limits *lim = &p->h->limits;
	u32 n, count = prog_n(p, IM_S_PROBE);

	vm->plan = vm_take(vm, &vm->bytes_globals, (u64)count + 1, sizeof(*vm->plan));
	if (!vm->plan)
		return -ENOMEM;
	for (n = 0; n < count; n++) {
		const struct im_probe *pr = &p->probe[n];
		bool longer = pr->flags & (IM_P_INTERRUPTIBLE | IM_P_MAXINT);

		vm->plan[n].tidy = p->uses & (USE_TOKEN | USE_REGEX | USE_STACK);
		vm->plan[n].probe = pr;
		vm->plan[n].f = pr->cond == ~0u ? &p->func[pr->func] : NULL;
		vm->plan[n].actions = longer ? lim->maxaction_int : lim->maxaction;
		if (lim->suppress_time)
			vm->plan[n].actions = 0x7fffffffffffffffll;
		vm->plan[n].work = vm->plan[n].actions > 1ll << 40
					   ? 1ll << 62
					   : vm->plan[n].actions * WORK_PER_ACTION;
		vm->plan[n].budget = vm->plan[n].actions < PORTION ? vm->plan[n].actions : PORTION;
	}
	vm_plan_locks(vm);
	return 0;
}

int vm_new(struct vm_prog *p, u32 ncpus, void *host, struct vm **out)
{
	u64 limit = (u64)p->h->limits.maxmemory << 10;
	struct vm *vm = vmh_alloc(sizeof(*vm));
	u32 cells = 8, k;
	int err = -ENOMEM;

	if (!vm)
		return -ENOMEM;
	vm->prog = p;
	vm->host = host;
	vm->bytes_globals = sizeof(*vm);
	vm->bytes_left = limit > p->len ? limit - p->len : limit ? 0 : 1ull << 40;
	vm->strcap = (u32)p->h->limits.maxstringlen - 1;
	vm->nglobals = prog_n(p, IM_S_GLOBAL);
	vm->global = vm_take(vm, &vm->bytes_globals, (u64)vm->nglobals + 1, sizeof(*vm->global));
	vm->cpu = vm_take(vm, &vm->bytes_contexts, ncpus, sizeof(*vm->cpu));
	if (!vm->global || !vm->cpu)
		goto fail;
	vm->ncpus = ncpus;
	for (k = 0; k < prog_n(p, IM_S_ITER); k++)
		if (p->iter[k].sort)
			vm->global[p->iter[k].map].sorted = true;
	for (k = 0; k < vm->nglobals; k++)
		if (new_global(vm, k, &cells))
			goto fail;
	if (new_plans(vm) || (p->uses & USE_SPEC && spec_new(vm)))
		goto fail;
	for (k = 0; k < ncpus; k++)
		if (new_ctx(vm, k, cells))
			goto fail;
	*out = vm;
	return 0;
fail:
	vm_free(vm);
	return err;
}

static void give(void *p)
{
	if (p)
		vmh_free(p);
}

static void free_ctx(struct vm_ctx *c)
{
	if (!c)
		return;
	if (c->aggs)
		give(c->aggs[0].bucket); /* one block for all */
	give(c->cells);
	give(c->regs);
	give(c->frames);
	give(c->aggs);
	give(c->walks);
	give(c->strings);
	give(c->slots);
	give(c->match.scratch);
#ifdef STPVM_CHECK
	give(c->shadow);
#endif
	vmh_free(c);
}

void vm_free(struct vm *vm)
{
	u32 k;

	if (!vm)
		return;
	for (k = 0; k < vm->ncpus; k++)
		free_ctx(vm->cpu[k]);
	for (k = 0; vm->global && k < vm->nglobals; k++) {
		give(vm->global[k].sbuf);
		map_free(vm->global[k].map);
	}
	spec_free(vm);
	give(vm->plan);
	give(vm->cpu);
	give(vm->global);
	vmh_free(vm);
}

void vm_memory(const struct vm *vm, struct vm_figures *out)
{
	out->image = vm->prog->len;
	out->globals = vm->bytes_globals;
	out->contexts = vm->bytes_contexts;
	out->rings = vm->bytes_rings;
}

struct vm_ctx *vm_ctx(struct vm *vm, u32 cpu)
{
	return vm->cpu[cpu];
}

void *vm_host(struct vm *vm)
{
	return vm->host;
}

void vm_set_words(struct vm *vm, const u16 *words)
{
	u32 k;

	for (k = 0; k < vm->ncpus; k++)
		vm->cpu[k]->words = words;
}

void vm_set_reader(struct vm *vm, const int *awake, u64 watermark)
{
	u32 k;

	for (k = 0; k < vm->ncpus; k++) {
		vm->cpu[k]->awake = awake;
		vm->cpu[k]->watermark = watermark;
	}
}
