/* Compiled with debuginfo by the tests of target/dwarf; never run. */
struct inner {
	short a;
	unsigned int low : 3, mid : 9;
};

enum colour { RED, GREEN = 7, BLUE = -1 };

struct sample {
	long number;
	char name[8];
	union {
		int as_int;
		unsigned char bytes[4];
	};
	struct inner nested;
	const char *text;
	struct sample *next;
	int grid[2][3];
	enum colour colour;
	_Bool flag;
};

static int counter;
static int hidden = 5;
int visible = 9;

extern void sink(void *);
extern int source(void);

static inline int twice(int n)
{
	return n * 2 + source();
}

__attribute__((noinline)) static int leaf(struct sample *s, int deep)
{
	counter += deep;
	sink(s);
	return hidden + s->nested.mid;
}

int compute(struct sample *s, long big, unsigned char small)
{
	int total = 0;
	volatile int kept = 41;

	if (big > 3) {
		int within = source();

		total += within * 2;
		sink(&total);
	}
	total += twice(small);
again:
	total += leaf(s, total) + kept;
	if (source())
		goto again;
	return total;
}
