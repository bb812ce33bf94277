// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * vmtest - speaks to /dev/stpvm without stap: makes small images by hand, loads
 * them, and checks what the module does with them. For tests of the module
 * itself: counts that must be exact, storms, kill -9, bad requests.
 *
 *   vmtest CASE [arguments]     see `cases`; status 0: as it should be
 */
#include "vmtest.h"

static const struct {
	const char *name;
	void (*run)(char **argv);
	int least;
} cases[] = {
	{ "order", case_order, 0 },	{ "count", case_count, 1 },	{ "wake", case_wake, 0 },
	{ "error", case_error, 0 },	{ "refused", case_refused, 0 }, { "storm", case_storm, 2 },
	{ "two", case_two, 1 },		{ "bulk", case_bulk, 1 },	{ "fuzz", case_fuzz, 1 },
	{ "cost", case_cost, 1 },	{ "bare", case_bare, 1 },	{ "caps", case_caps, 2 },
	{ "endless", case_endless, 0 }, { "hold", case_hold, 1 },	{ "room", case_room, 0 },
	{ "nmi", case_nmi, 0 },		{ "own", case_own, 1 },		{ "many", case_many, 0 },
	{ "compat", case_compat, 0 },
};

int main(int argc, char **argv)
{
	u32 i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(cases[i].name, argv[1]) && argc - 2 >= cases[i].least) {
			cases[i].run(argv + 2);
			printf("ok %s\n", argv[1]);
			return 0;
		}
	fprintf(stderr, "usage: vmtest CASE [arguments]\n");
	return 2;
}
