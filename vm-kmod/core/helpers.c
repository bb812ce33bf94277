// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * helpers.c - the built-in functions of helpers.def. What only the host knows
 * (tasks, clocks, memory) is asked from it; the rest is done here. A string
 * result is built in the spare buffer, so it may be one of the arguments.
 */
#include "machine.h"
#include "helpers.h"
#include "stack.h"
#include "text.h"

static notrace u64 random64(void)
{
	return (u64)vmh_random() << 32 | vmh_random();
}

static notrace void set_constant(struct vm_ctx *c, struct vm_slot *out, u32 str)
{
	const struct vm_prog *p = c->vm->prog;

	out->p = prog_str(p, str);
	out->len = p->str[str].len < c->vm->strcap ? p->str[str].len : c->vm->strcap;
}

static notrace void host_text(struct vm_ctx *c, u32 id, struct vm_slot *out)
{
	size_t n = vmh_text(c, id, c->hit, c->spare, c->vm->strcap + 1);

	slot_adopt_spare(c, out, n < c->vm->strcap ? (u32)n : c->vm->strcap);
}

static notrace void path_text(struct vm_ctx *c, u64 file, struct vm_slot *out)
{
	size_t n = vmh_file_path(c, file, c->spare, c->vm->strcap + 1);

	slot_adopt_spare(c, out, n < c->vm->strcap ? (u32)n : c->vm->strcap);
}

static notrace void exit_run(struct vm_ctx *c, bool abort)
{
	u32 no = 0;

	if (abort)
		__atomic_store_n(&c->vm->aborted, 1, __ATOMIC_RELAXED);
	if (__atomic_compare_exchange_n(&c->vm->exiting, &no, 1, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		vm_emit_exit(c, REC_EXIT_CALL);
}

static notrace void line_marker(struct vm_ctx *c, char form, u64 addr, struct vm_slot *out)
{
	struct vm_out o = { c->spare, 0, c->vm->strcap };
	char buf[64];
	const char *d;
	u32 n = digits_of(addr, 16, false, buf, &d);

	out_char(&o, 1);
	out_char(&o, form);
	out_fill(&o, '0', 16 - (s64)n);
	out_bytes(&o, d, n);
	slot_adopt_spare(c, out, (u32)o.len);
}

static notrace u32 bounded(s64 n, u32 most)
{
	return n <= 0 ? 0 : n < most ? (u32)n : most;
}

/* Of the probe at hand, if it has one. */
static notrace struct vm_value *value(struct vm_ctx *c)
{
	u16 kind = c->probe->kind;

	if (kind != IM_K_PROCFS_R && kind != IM_K_PROCFS_W && kind != IM_K_INPUT)
		return NULL;
	return c->hit->host;
}

/* What does not fit into the file's buffer is cut off. What was written is only read:
 * it is for several handlers, and has no room behind it. */
static notrace void value_put(struct vm_ctx *c, bool append, const struct vm_slot *s)
{
	struct vm_value *v = c->probe->kind == IM_K_PROCFS_R ? c->hit->host : NULL;
	u32 n = s->len;

	if (!v)
		return;
	if (!append)
		v->len = 0;
	if (n > v->cap - v->len)
		n = v->cap - v->len;
	memcpy(v->buf + v->len, s->p, n);
	v->len += n;
}

/* DWARF numbers of the registers of arguments (System V ABI of x86-64) */
static const u8 arg_register[6] = { 5, 4, 1, 2, 8, 9 };

static notrace u32 *verdict(struct vm_ctx *c)
{
	return c->probe->kind == IM_K_NETFILTER ? c->hit->host : NULL;
}

/*
 * Drop, perhaps with an errno in the upper half; accept; queue, with its number in
 * the upper half and a flag to pass where nobody listens. Not stolen: nobody would
 * free the packet. Not repeat and stop: they are for who reads a queue, and the
 * kernel takes them for stolen here. An errno below 0 would be "accepted" of a
 * packet that is freed.
 */
static notrace bool good_verdict(s64 v)
{
	switch (v & 0xff) {
	case 0:
		return !(v & 0xff00) && v >= 0 && v >> 16 < 4096;
	case 1:
		return v == 1;
	case 3:
		return !(v & 0x7f00) && !(v >> 32);
	}
	return false;
}

/* -- results: none ----------------------------------------------------------------- */

notrace int help_none(struct vm_ctx *c, u32 id, const s64 *ri, const struct vm_slot *ss)
{
	char form;

	if (unlikely(c->stack))
		ss = stack_args(c, id, ss);
	switch (id) {
	case H_EXIT:
		exit_run(c, false);
		return 0;
	case H_ABORT:
		exit_run(c, true);
		return vm_raise(c, E_ABORT, 0);
	case H_LOG:
		vm_emit_text(c, RING_DATA, REC_TEXT, ss[0].p, ss[0].len, "\n", 1);
		return 0;
	case H_WARN:
		vm_emit_text(c, RING_CTL, REC_WARN, ss[0].p, ss[0].len, "", 0);
		return 0;
	case H_PRINT_STACK:
		form = (char)ri[0];
		vm_emit_text(c, RING_DATA, REC_STACK, ss[0].p, ss[0].len, &form, 1);
		return 0;
	case H_SYSTEM:
		/* no bytes would mean switch_file() */
		if (ss[0].len)
			vm_emit_text(c, RING_CTL, REC_ORDER, ss[0].p, ss[0].len, "", 0);
		return 0;
	case H_SWITCH_FILE:
		vm_emit_text(c, RING_CTL, REC_ORDER, "", 0, "", 0);
		return 0;
	case H_UDELAY:
		vmh_delay(bounded(ri[0], 20000));
		return 0;
	case H_MDELAY:
		vmh_delay(bounded(ri[0], 2000) * 1000);
		return 0;
	case H_RAISE:
		return vmh_signal(ri[0]) ? vm_raise(c, E_SIGNAL, ri[0]) : 0;
	case H_SET_ARG:
		if (ri[0] < 0 || ri[0] > 5 ||
		    !vmh_set_register(c->hit, arg_register[ri[0]], (u64)ri[1], true))
			return vm_raise(c, E_ARGUMENT, (s64)((u64)ri[0] + 1));
		return 0;
	case H_SET_VERDICT:
		if (!verdict(c) || !good_verdict(ri[0]))
			return vm_raise(c, E_VERDICT, ri[0]);
		*verdict(c) = (u32)ri[0];
		return 0;
	case H_FTRACE:
	case H_PRINTK:
	case H_PANIC:
		/* the host wants a C string: the spare buffer has room for the NUL */
		memcpy(c->spare, ss[0].p, ss[0].len);
		c->spare[ss[0].len] = 0;
		vmh_kernel_message(c, id, id == H_PRINTK ? ri[0] : 0, c->spare);
		return 0;
	case H_DUMP_STACK:
		vmh_kernel_message(c, id, 0, "");
		return 0;
	case H_KWRITE:
		return mem_write(c, false, (u64)ri[0], ri[1], ri[2]);
	case H_UWRITE:
		return mem_write(c, true, (u64)ri[0], ri[1], ri[2]);
	case H_KWRITE_STR:
		return mem_write_string(c, false, (u64)ri[0], ri[1], &ss[0]);
	case H_UWRITE_STR:
		return mem_write_string(c, true, (u64)ri[0], ri[1], &ss[0]);
	case H_SPECULATE:
		return spec_add(c, ri[0], &ss[0]);
	case H_COMMIT:
		return spec_end(c, ri[0], true);
	case H_DISCARD:
		return spec_end(c, ri[0], false);
	}
	return 0;
}

/* -- results: integers --------------------------------------------------------------- */

static notrace int string_at(struct vm_ctx *c, const struct vm_slot *s, s64 pos, s64 *out)
{
	if (pos < 0 || pos >= s->len)
		return vm_raise(c, E_POSITION, 0);
	*out = (u8)s->p[pos];
	return 0;
}

static notrace s64 image_size(const struct vm_prog *p, s64 part)
{
	if (part == 0)
		return (s64)prog_n(p, IM_S_CODE) * 8;
	if (part == 1)
		return (s64)prog_n(p, IM_S_CONST) * 8 + prog_n(p, IM_S_BYTES);
	return (s64)p->len;
}

static notrace s64 position(const struct vm_slot *s, const struct vm_slot *what)
{
	u32 at = slot_find(s, what, 0);

	return at == NOT_FOUND ? -1 : (s64)at;
}

static notrace s64 argument(const struct vm_hit *hit, s64 n)
{
	if (n < 0 || n >= 12)
		return 0;
	n = hit->argmap[n];
	return n < hit->nargs ? (s64)hit->args[n] : 0;
}

static notrace int machine_register(struct vm_ctx *c, s64 n, s64 *out)
{
	bool ok = false;

	if (n >= 0 && n < 32)
		*out = vmh_register(c->hit, (u32)n, &ok);
	return ok ? 0 : vm_raise(c, E_REGISTER, n);
}

notrace int help_int(struct vm_ctx *c, u32 id, const s64 *ri, const struct vm_slot *ss, s64 *out)
{
	if (unlikely(c->stack))
		ss = stack_args(c, id, ss);
	switch (id) {
	case H_SET_REGISTER:
		if (ri[0] < 0 || ri[0] > 31 ||
		    !vmh_set_register(c->hit, (u32)ri[0], (u64)ri[1], false))
			return vm_raise(c, E_REGISTER, ri[0]);
		*out = ri[1];
		break;
	case H_IS_RETURN:
		*out = !!(c->hit->flags & VM_HIT_RETURN);
		break;
	case H_USER_MODE:
		*out = !!(c->hit->flags & VM_HIT_USER);
		break;
	case H_REGISTERS_VALID:
		*out = c->hit->regs != NULL;
		break;
	case H_IS_COMPAT:
		*out = !!(c->hit->flags & VM_HIT_COMPAT);
		break;
	case H_SYSCALL_NR:
		*out = c->hit->sysnr;
		break;
	case H_VERDICT:
		*out = verdict(c) ? *verdict(c) : 1;
		break;
	case H_PROBE_ADDR:
		*out = (s64)c->hit->addr;
		break;
	case H_PROBE_ARG:
		*out = argument(c->hit, ri[0]);
		break;
	case H_RETURN_VALUE:
		*out = (s64)c->hit->retval;
		break;
	case H_STACK:
		*out = stack_frame(c, ri[0]);
		break;
	case H_REGISTER:
		return machine_register(c, ri[0], out);
	case H_KREAD:
		return mem_read(c, false, (u64)ri[0], ri[1], out);
	case H_UREAD:
		return mem_read(c, true, (u64)ri[0], ri[1], out);
	case H_CPU:
		*out = c->h.cpu;
		break;
	case H_GTOD_NS:
		*out = (s64)vmh_clock_real();
		break;
	case H_GTOD_US:
		*out = (s64)(vmh_clock_real() / 1000);
		break;
	case H_GTOD_MS:
		*out = (s64)(vmh_clock_real() / 1000000);
		break;
	case H_GTOD_S:
		*out = (s64)(vmh_clock_real() / 1000000000);
		break;
	case H_KTIME_NS:
	case H_LOCAL_NS:
		*out = (s64)vmh_clock_mono();
		break;
	case H_CYCLES:
		*out = (s64)vmh_cycles();
		break;
	case H_RANDINT:
		*out = ri[0] > 0 ? (s64)(random64() % (u64)ri[0]) : 0;
		break;
	case H_STRLEN:
		*out = ss[0].len;
		break;
	case H_STRINGAT:
		return string_at(c, &ss[0], ri[0], out);
	case H_ISINSTR:
	case H_STRPOS:
		if (!vm_work(c, FIND_STEPS(&ss[0], &ss[1])))
			return -1;
		*out = position(&ss[0], &ss[1]);
		if (id == H_ISINSTR)
			*out = *out >= 0;
		break;
	case H_STRTOL:
		*out = str_to_int(&ss[0], ri[0]);
		break;
	case H_ISDIGIT:
		*out = ss[0].len && ss[0].p[0] >= '0' && ss[0].p[0] <= '9';
		break;
	case H_NGROUPS:
		/* the whole match counts as one */
		*out = c->match.valid ? c->match.ngroups + 1 : 0;
		break;
	case H_SPECULATION:
		return spec_begin(c, out);
	case H_IMAGE_SIZE:
		*out = image_size(c->prog, ri[0]);
		break;
	case H_PID2TASK:
	case H_LOADAVG:
	case H_NODE:
		*out = vmh_look_up(c, id, ri[0]);
		break;
	default:
		*out = vmh_fact(c, id, c->hit);
		break;
	}
	return 0;
}

/* -- results: strings ------------------------------------------------------------------ */

static notrace void substring(struct vm_ctx *c, const struct vm_slot *s, s64 at, s64 n,
			      struct vm_slot *out)
{
	if (at < 0 || at >= s->len || n <= 0) {
		out->len = 0;
		return;
	}
	if (n > s->len - at)
		n = s->len - at;
	memcpy(c->spare, s->p + at, (size_t)n);
	slot_adopt_spare(c, out, (u32)n);
}

static notrace int matched(struct vm_ctx *c, s64 group, struct vm_slot *out)
{
	const struct vm_match *m = &c->match;
	u32 from, to;

	if (!m->valid)
		return vm_raise(c, E_NOMATCH, 0);
	if (group < 0 || group > m->ngroups)
		return vm_raise(c, E_GROUP, group);
	from = m->tags[2 * group];
	to = m->tags[2 * group + 1];
	if (to < from || to > m->len) { /* took no part */
		out->len = 0;
		return 0;
	}
	slot_set(c, out, m->text + from, to - from);
	return 0;
}

notrace int help_str(struct vm_ctx *c, u32 id, const s64 *ri, const struct vm_slot *ss,
		     struct vm_slot *out)
{
	if (unlikely(c->stack))
		ss = stack_args(c, id, ss);
	switch (id) {
	case H_MODULE_NAME:
		set_constant(c, out, c->vm->prog->h->name);
		break;
	case H_PP:
		set_constant(c, out, c->probe->pp);
		break;
	case H_PN:
		set_constant(c, out, c->probe->pn);
		break;
	case H_VALUE:
		if (value(c))
			slot_set(c, out, value(c)->buf, value(c)->len);
		else
			out->len = 0;
		break;
	case H_SET_VALUE:
	case H_ADD_VALUE:
		value_put(c, id == H_ADD_VALUE, &ss[0]);
		slot_copy(out, &ss[0]);
		break;
	case H_SUBSTR:
		substring(c, &ss[0], ri[0], ri[1], out);
		break;
	case H_STR_REPLACE:
		if (!vm_work(c, FIND_STEPS(&ss[0], &ss[1])))
			return -1;
		str_replace(c, &ss[0], &ss[1], &ss[2], out);
		break;
	case H_TOKENIZE:
		str_tokenize(c, &ss[0]);
		ss++;
		/* fall through */
	case H_TOKEN_NEXT:
		if (!vm_work(c, (u64)(c->tok_len - c->tok_pos) * (1 + ss->len)))
			return -1;
		str_next_token(c, ss, out);
		break;
	case H_TEXT_STRN:
		str_escape(c, ss[0].p, ss[0].len, false, ri[0], ri[1] != 0, out);
		break;
	case H_KSTR:
		return mem_string(c, false, (u64)ri[0], ri[1], NULL, out);
	case H_KSTR_OR:
		return mem_string(c, false, (u64)ri[0], ri[1], &ss[0], out);
	case H_USTR:
		return mem_string(c, true, (u64)ri[0], ri[1], NULL, out);
	case H_USTR_OR:
		return mem_string(c, true, (u64)ri[0], ri[1], &ss[0], out);
	case H_KSTR_QUOTED:
		mem_quoted(c, false, (u64)ri[0], ri[1], ri[2], out);
		break;
	case H_USTR_QUOTED:
		mem_quoted(c, true, (u64)ri[0], ri[1], ri[2], out);
		break;
	case H_KBUF_QUOTED:
		mem_buffer_quoted(c, false, (u64)ri[0], ri[1], ri[2], out);
		break;
	case H_UBUF_QUOTED:
		mem_buffer_quoted(c, true, (u64)ri[0], ri[1], ri[2], out);
		break;
	case H_KSTR_WIDE:
		return mem_wide(c, false, (u64)ri[0], ri[1], out);
	case H_USTR_WIDE:
		return mem_wide(c, true, (u64)ri[0], ri[1], out);
	case H_D_PATH:
		path_text(c, (u64)ri[0], out);
		break;
	case H_MATCHED:
		return matched(c, ri[0], out);
	case H_BACKTRACE:
		stack_value(c, -1, out);
		break;
	case H_CALLERS:
		stack_value(c, ri[0], out);
		break;
	case H_SPRINT_STACK:
		stack_lines(c, &ss[0], (char)ri[0], out);
		break;
	case H_SYMBOL:
		symbol_text(c, (u64)ri[0], (char)ri[1], out);
		break;
	case H_LINE:
		line_marker(c, (char)ri[1], (u64)ri[0], out);
		break;
	default:
		host_text(c, id, out);
		break;
	}
	return 0;
}
