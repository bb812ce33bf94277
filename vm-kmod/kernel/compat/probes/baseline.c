/* must compile on every kernel: else the headers or flags are at fault, not the kernel */
#include <linux/module.h>
int probe(void);
int probe(void)
{
	return 0;
}
