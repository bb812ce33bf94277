/* struct ftrace_regs is opaque: arch_ftrace_regs(fregs)->regs */
#include <linux/ftrace.h>
unsigned long probe(struct ftrace_regs *fregs);
unsigned long probe(struct ftrace_regs *fregs)
{
	return arch_ftrace_regs(fregs)->regs.ip;
}
