// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * unwind.c - the kernel's stack where a probe hit, and the symbols of its
 * addresses. Both by the kernel's own unwinder and symbol table, which take no
 * locks: perf asks the first, and an oops the second, in NMI.
 *
 * Where the probe has registers of kernel code the walk begins with them, so the
 * module's own frames are not met. Where it has none (tracepoints, system calls,
 * begin) it begins here, and the module's frames on top are left out, as is the
 * function of a tracepoint that calls its several callbacks.
 */
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/unwind.h>

#include "session.h"
#include "attach.h"
#include "arch.h"

struct frames {
	u8 *to;
	u32 n, most;
};

/* Code of the kernel and of modules is in the topmost 2 GiB. */
static bool add(struct frames *f, unsigned long addr)
{
	__be32 low = cpu_to_be32((u32)addr);

	if (f->n >= f->most || addr < 0xffffffff80000000ul)
		return false;
	memcpy(f->to + 4 * f->n++, &low, 4);
	return true;
}

/* not of the probed code, but of what calls its probes */
static bool is_ours(const struct vm_hit *hit, unsigned long addr)
{
	const struct stpvm_range *r = hit->flags & HIT_CALLER ? hit->host : NULL;

	return within_module(addr, THIS_MODULE) || (r && addr >= r->from && addr < r->to);
}

u32 vmh_stack(struct vm_ctx *c, const struct vm_hit *hit, u8 *to, u32 most)
{
	struct frames f = { to, 0, most };
	struct pt_regs *regs = hit->regs;
	struct unwind_state state;
	unsigned long ip = 0, addr;
	bool ours;

	if (hit->flags & VM_HIT_USER)
		return 0;
	if (regs && user_mode(regs))
		regs = NULL;
	if (regs) {
		ip = regs->ip;
		if (hit->flags & VM_HIT_RETURN)
			add(&f, hit->addr); /* that is left; the registers are its caller's */
		else if (hit->addr)
			regs->ip = hit->addr; /* kprobes see the byte behind */
		add(&f, regs->ip);	      /* which the walk leaves out */
	}
	ours = !regs;
	for (unwind_start(&state, current, regs, NULL); !unwind_done(&state);
	     unwind_next_frame(&state)) {
		addr = unwind_get_return_address(&state);
		if (!addr)
			break;
		ours = ours && is_ours(hit, addr);
		if (!ours && !add(&f, addr))
			break;
	}
	if (regs)
		regs->ip = ip;
	return f.n;
}

void stpvm_symbol_range(unsigned long addr, struct stpvm_range *out)
{
	char text[KSYM_SYMBOL_LEN], *size;
	unsigned long len;

	sprint_symbol(text, addr);
	size = strchr(text, '/');
	if (size && sscanf(size, "/0x%lx", &len) == 1) {
		out->from = addr;
		out->to = addr + len;
	}
}

/* "name+0x1/0x2 [module]", without the last where it is the kernel's; "0x…" for what is none's */
size_t vmh_symbol(struct vm_ctx *c, u64 addr, char form, char *out, size_t cap)
{
	const struct stpvm_session *s = vm_ctx_host(c);
	char *name = per_cpu_ptr(s->cpu, vm_ctx_cpu(c))->symbol, *plus, *end, *module;

	sprint_symbol(name, addr);
	plus = strchr(name, '+');
	if (!plus)
		return form == 'm' ? 0 : scnprintf(out, cap, "%s", name);
	module = strchr(plus, '[');
	if (module) {
		module[-1] = 0;
		module[strcspn(module, "]")] = 0;
		module++;
	} else {
		module = "kernel";
	}
	end = strchr(plus, '/');
	switch (form) {
	case 'm':
		return scnprintf(out, cap, "%s", module);
	case 'k':
		*plus = 0;
		return scnprintf(out, cap, "%s", name);
	case 's':
		if (end)
			*end = 0;
		break;
	}
	return scnprintf(out, cap, "%s [%s]", name, module);
}
