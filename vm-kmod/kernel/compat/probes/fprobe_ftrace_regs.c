/* fprobe, exit handler with struct ftrace_regs */
#include <linux/fprobe.h>
#ifndef CONFIG_FPROBE
#error "configured out"
#endif
static void leave(struct fprobe *fp, unsigned long ip, unsigned long ret, struct ftrace_regs *fregs,
		  void *data)
{
}
int probe(struct fprobe *fp, unsigned long *addr);
int probe(struct fprobe *fp, unsigned long *addr)
{
	fp->exit_handler = leave;
	return register_fprobe_ips(fp, addr, 1);
}
