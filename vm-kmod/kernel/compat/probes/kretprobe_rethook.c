/* kretprobes on rethook, whose handler can be set */
#include <linux/kprobes.h>
#ifndef CONFIG_KRETPROBE_ON_RETHOOK
#error "configured out"
#endif
int probe(struct kretprobe *k);
int probe(struct kretprobe *k)
{
	return k->rh->handler && k->kp.pre_handler && k->rh->data == k;
}
