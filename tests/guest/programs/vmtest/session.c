// SPDX-License-Identifier: MIT OR Apache-2.0
/* session.c - the calls of the device, each with its check, and a reader of the rings. */
#include "vmtest.h"

void open_session(struct session *s)
{
	memset(s, 0, sizeof(*s));
	s->fd = open("/dev/stpvm", O_RDWR | O_CLOEXEC);
	check(s->fd >= 0, "open: %m");
	s->info.size = sizeof(s->info);
	check(!ioctl(s->fd, STPVM_IOC_INFO, &s->info), "INFO: %m");
}

int load(struct session *s, struct image *im)
{
	flatten(im);
	s->load = (struct stpvm_load){ .size = sizeof(s->load),
				       .image_len = im->flat_len,
				       .image = (unsigned long)im->flat,
				       .target = 17,
				       .loader_pid = getpid(),
				       .offsets = s->load.offsets,
				       .ring_data = s->load.ring_data,
				       .room_ms = s->load.room_ms };
	if (ioctl(s->fd, STPVM_IOC_LOAD, &s->load))
		return -errno;
	return 0;
}

void must_load(struct session *s, struct image *im)
{
	int err = load(s, im);
	u32 cpu;

	check(!err, "LOAD: %s: rule %u func %d pc %d: %s", strerror(-err), s->load.fault_rule,
	      (int)s->load.fault_func, (int)s->load.fault_pc, s->load.fault_text);
	for (cpu = 0; cpu < s->info.ncpus && cpu < 64; cpu++) {
		s->map[cpu] = mmap(NULL, s->load.ring_map_len, PROT_READ | PROT_WRITE, MAP_SHARED,
				   s->fd, cpu * s->load.ring_map_len);
		check(s->map[cpu] != MAP_FAILED, "mmap %u: %m", cpu);
	}
	free(im->flat);
	free(im);
}

static int start_with(struct session *s, u32 flags)
{
	s->start = (struct stpvm_start){ .size = sizeof(s->start), .flags = flags };
	return ioctl(s->fd, STPVM_IOC_START, &s->start) ? -errno : 0;
}

int start(struct session *s)
{
	return start_with(s, 0);
}

/* the first of the two parts of START, and what is not one */
void must_arm(struct session *s)
{
	int err = start_with(s, ~0u);

	check(err == -EINVAL, "START with unknown flags: %s", strerror(-err));
	err = start_with(s, STPVM_SF_ARM);
	check(!err, "ARM: %s: probe %d: %s", strerror(-err), (int)s->start.failed_probe,
	      s->start.text);
	err = start_with(s, STPVM_SF_ARM);
	check(err == -EBADFD, "ARM again: %s", strerror(-err));
}

void must_start(struct session *s)
{
	int err = start(s);

	check(!err, "START: %s: probe %d: %s", strerror(-err), (int)s->start.failed_probe,
	      s->start.text);
}

void must_stop(struct session *s)
{
	check(!ioctl(s->fd, STPVM_IOC_STOP), "STOP: %m");
}

struct stpvm_probe_stats stats_of(struct session *s, u32 probe)
{
	struct stpvm_probe_stats one = {};
	struct stpvm_stats st = {
		.size = sizeof(st), .first = probe, .count = 1, .array = (unsigned long)&one
	};

	check(!ioctl(s->fd, STPVM_IOC_STATS, &st), "STATS: %m");
	return one;
}

/* next record of a ring, or NULL */
struct rec *next(struct session *s, u32 cpu, u32 ring)
{
	struct ring_head *h = (struct ring_head *)s->map[cpu] + ring;

	for (;;) {
		u64 head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
		struct rec *r =
			(struct rec *)((char *)s->map[cpu] + h->offset + (h->tail & (h->size - 1)));

		if (h->tail == head)
			return NULL;
		check(r->len >= sizeof(*r) && !(r->len & 7) && head - h->tail >= r->len,
		      "torn record");
		h->tail += r->len;
		if (r->type != REC_PAD)
			return r;
	}
}

/* the number in the last REC_PRINT of all rings; -1: none. *count: how many */
s64 last_print(struct session *s, u32 *count)
{
	u64 seq = 0;
	s64 value = -1;
	u32 cpu;

	*count = 0;
	for (cpu = 0; cpu < s->info.ncpus; cpu++) {
		struct rec *r;

		while ((r = next(s, cpu, RING_DATA))) {
			if (r->type != REC_PRINT)
				continue;
			++*count;
			if (r->seq > seq) {
				seq = r->seq;
				value = *(s64 *)((char *)(r + 1) + 8);
			}
		}
	}
	return value;
}

/* the reason of the REC_EXIT in the control rings, -1: none; says what else is there */
int exit_reason(struct session *s)
{
	int reason = -1;
	u32 cpu;

	for (cpu = 0; cpu < s->info.ncpus; cpu++) {
		struct rec *r;

		while ((r = next(s, cpu, RING_CTL))) {
			u32 *b = (u32 *)(r + 1);

			if (r->type == REC_EXIT)
				reason = b[0];
			else if (r->type == REC_ERROR)
				printf("error at %u: %.*s\n", b[0], (int)b[2], (char *)(b + 4));
			else
				printf("control record %u\n", r->type);
		}
	}
	return reason;
}

u64 symbol(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char sym[256], line[512];
	unsigned long long addr;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %255s", &addr, sym) == 2 && !strcmp(sym, name)) {
			fclose(f);
			return addr;
		}
	fail("no symbol %s", name);
}
