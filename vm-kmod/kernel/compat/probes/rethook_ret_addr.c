/* a rethook's handler gets the return address */
#include <linux/rethook.h>
static void leave(struct rethook_node *node, void *data, unsigned long ret, struct pt_regs *regs)
{
}
int probe(struct rethook *r);
int probe(struct rethook *r)
{
	r->handler = leave;
	return 0;
}
