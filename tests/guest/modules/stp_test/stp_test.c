// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * stp_test.c - code whose values are known, for probes on a module's functions,
 * statements and variables. Each write to /proc/stp_test runs it once, with the
 * number that was written. Of no other use.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>
#include <asm/asm.h>

enum stp_colour { STP_RED, STP_GREEN = 7, STP_BLUE = -2 };

struct stp_inner {
	short a;
	unsigned int low : 3, mid : 9;
	int sign : 5;
};

struct stp_rec {
	long number;
	char name[8];
	union {
		int as_int;
		unsigned char bytes[4];
	};
	struct stp_inner nested;
	const char *text;
	struct stp_rec *next;
	int row[3];
	enum stp_colour colour;
	bool flag;
	unsigned long long wide;
	unsigned short wide16[3];
	unsigned int wide32[3];
};

struct stp_pair {
	int first;
	unsigned short second;
};

struct stp_matrix {
	int grid[2][3];
};

static const struct stp_matrix stp_numbers = { .grid = { { 1, 2, 3 }, { 4, 5, 6 } } };
static int stp_runs, stp_result;
int stp_shared = 4711;

static struct stp_rec stp_first;

static struct stp_rec stp_second = {
	.number = -77,
	.name = "second",
	.as_int = -5,
	.nested = { .a = -3, .low = 5, .mid = 300, .sign = -9 },
	.text = "text of the second",
	.row = { 1, 2, 3 },
	.next = &stp_first,
	.colour = STP_BLUE,
	.flag = true,
	.wide = 0xfedcba9876543210ULL,
};

static struct stp_rec stp_first = {
	.number = 123456789012345,
	.name = "first",
	.bytes = { 1, 2, 3, 4 },
	.nested = { .a = 11, .low = 2, .mid = 77, .sign = 6 },
	.text = "text of the first",
	.next = &stp_second,
	.row = { 10, 20, 30 },
	.colour = STP_GREEN,
	.wide = 42,
	.wide16 = { 0x20ac, 'h' },
	.wide32 = { 0xe4, 'x' },
};

/* 1000 and the number of the processor */
static DEFINE_PER_CPU(int, stp_per_cpu);

/* a value that no optimiser can know */
static noinline int stp_opaque(int n)
{
	asm volatile("" : "+r"(n));
	return n;
}

static __always_inline int stp_inlined(int factor, int base)
{
	int product = factor * stp_opaque(base);

	return product + 1;
}

noinline void stp_nothing(void);
noinline void stp_nothing(void)
{
	asm volatile("" : : : "memory");
}

noinline int stp_leaf(struct stp_rec *rec, short count, unsigned char small, struct stp_pair pair);
noinline int stp_leaf(struct stp_rec *rec, short count, unsigned char small, struct stp_pair pair)
{
	int sum = count + small;

	sum += stp_opaque(pair.first) + pair.second;
	sum += rec->nested.mid;
	stp_nothing(); /* statement: sum is known here */
	rec->number += stp_opaque(sum) - sum;
	rec->wide = 1; /* 42 again when stp_run ends */
	return sum;
}

noinline long stp_many(int a, int b, int c, int d, int e, int f, int seventh, long eighth);
noinline long stp_many(int a, int b, int c, int d, int e, int f, int seventh, long eighth)
{
	asm volatile("" : : : "memory");
	return stp_opaque(a + b + c + d + e + f) + seventh + eighth;
}

noinline int stp_corner(const struct stp_matrix *matrix);
noinline int stp_corner(const struct stp_matrix *matrix)
{
	return stp_opaque(matrix->grid[1][2]);
}

noinline int stp_run(int n);
noinline int stp_run(int n)
{
	struct stp_pair pair = { .first = n * 2, .second = 9 };
	volatile int in_memory = n + 1000;
	int total = 0;

	stp_runs++;
	total += stp_leaf(&stp_first, -n, 200, pair);
	if (stp_opaque(n) > 0) {
		int within = stp_opaque(n + 5);

		stp_nothing(); /* statement: within is known here */
		total += within + stp_inlined(within, 3);
	}
	total += stp_many(1, 2, 3, 4, 5, 6, 7, -8);
out:
	total += stp_corner(&stp_numbers);
	total += in_memory; /* statement: in_memory is known here */
	if (stp_opaque(total) < 0)
		goto out;
	stp_first.wide = 42;
	return total + stp_shared - 4711;
}

noinline void stp_bottom(void);
noinline void stp_bottom(void)
{
	asm volatile("" : : : "memory");
}

/* calls itself `depth` times, then stp_bottom */
noinline int stp_deep(int depth);
noinline int stp_deep(int depth)
{
	int n = 0;

	if (depth > 0)
		n = stp_deep(depth - 1);
	else
		stp_bottom();
	return stp_opaque(n) + 1; /* the calls above are no jumps */
}

/* calls stp_bottom with known values in the registers that hold no arguments */
noinline void stp_loaded(void);
noinline void stp_loaded(void)
{
	asm volatile("mov $1003, %%ebx\n\tmov $1010, %%r10d\n\tmov $1011, %%r11d\n\t"
		     "mov $1012, %%r12d\n\tmov $1013, %%r13d\n\tmov $1014, %%r14d\n\t"
		     "mov $1015, %%r15d\n\tcall stp_bottom"
		     : ASM_CALL_CONSTRAINT
		     :
		     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "rbx", "r10", "r11", "r12",
		       "r13", "r14", "r15", "memory", "cc");
}

/* sleeps in the middle */
noinline int stp_slow(int ms);
noinline int stp_slow(int ms)
{
	msleep(ms);
	stp_nothing(); /* statement: ms is known from the entry only */
	return stp_opaque(1);
}

/* calls itself `depth` times with 1 KiB of stack each, then stp_bottom */
noinline int stp_roomy(int depth);
noinline int stp_roomy(int depth)
{
	char room[1024];

	asm volatile("" : : "r"(room) : "memory");
	if (depth > 0)
		room[0] = (char)stp_roomy(depth - 1);
	else
		stp_bottom();
	return stp_opaque(room[0]) + 1;
}

static ssize_t stp_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	int n, err = kstrtoint_from_user(buf, count, 0, &n);

	if (err)
		return err;
	if (n >= 3000) { /* a stack that is half full */
		WRITE_ONCE(stp_result, stp_roomy(min(n, 3008) - 3000));
	} else if (n >= 2000) {
		stp_loaded();
		WRITE_ONCE(stp_result, stp_slow(n - 2000));
	} else if (n >= 1000) { /* so deep that all of it stands in none of SystemTap's strings */
		WRITE_ONCE(stp_result, stp_deep(min(n, 1100) - 1000));
	} else {
		WRITE_ONCE(stp_result, stp_run(n));
	}
	return count;
}

static const struct proc_ops stp_ops = {
	.proc_write = stp_write,
};

static int __init stp_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		per_cpu(stp_per_cpu, cpu) = 1000 + cpu;
	return proc_create("stp_test", 0200, NULL, &stp_ops) ? 0 : -ENOMEM;
}

static void __exit stp_exit(void)
{
	remove_proc_entry("stp_test", NULL);
}

module_init(stp_init);
module_exit(stp_exit);
MODULE_DESCRIPTION("known values for probes");
MODULE_LICENSE("Dual MIT/GPL");
