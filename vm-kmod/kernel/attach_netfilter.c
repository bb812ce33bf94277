// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * attach_netfilter.c - netfilter probes: hooks on the way of packets through
 * the network namespace of who starts the session. Handlers run in softirqs
 * and tasks, inside RCU; a handler in guru mode says what becomes of the packet.
 */
#include <linux/mm.h>
#include <linux/netfilter.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter_bridge.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "attach.h"
#include "arch.h"

struct hooks {
	struct net *net;
	u32 count; /* registered */
	struct nf_hook_ops ops[];
};

static unsigned int packet(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct stpvm_probe *p = priv;
	u64 args[] = { (unsigned long)skb, (unsigned long)state->in, (unsigned long)state->out,
		       state->hook };
	u32 verdict = NF_ACCEPT;
	struct vm_hit hit = {
		.args = args,
		.argmap = stpvm_map_plain,
		.nargs = ARRAY_SIZE(args),
		.sysnr = -1,
		.host = &verdict,
	};

	if (stpvm_live(p->session))
		stpvm_hit(p, &hit);
	return verdict;
}

/* how many hooks a protocol family has: the kernel warns of one that it was built without */
static u32 hooks_of(s64 family)
{
	switch (family) {
	case NFPROTO_IPV4:
	case NFPROTO_IPV6:
		return NF_INET_NUMHOOKS;
	case NFPROTO_ARP:
		return IS_ENABLED(CONFIG_NETFILTER_FAMILY_ARP) ? NF_ARP_NUMHOOKS : 0;
	case NFPROTO_BRIDGE:
		return IS_ENABLED(CONFIG_NETFILTER_FAMILY_BRIDGE) ? NF_BR_NUMHOOKS : 0;
	default:
		return 0;
	}
}

static int netfilter_arm(struct stpvm_session *s)
{
	u32 n, all = stpvm_count(s, IM_K_NETFILTER, VIA_DEFAULT);
	struct hooks *hs;
	int err;

	if (!all)
		return 0;
	hs = kvzalloc(struct_size(hs, ops, all), GFP_KERNEL_ACCOUNT);
	if (!hs)
		return -ENOMEM;
	s->arm[SRC_NETFILTER] = hs;
	hs->net = get_net_ns_by_pid(task_tgid_vnr(current));
	if (IS_ERR(hs->net)) {
		err = PTR_ERR(hs->net);
		hs->net = NULL;
		return err;
	}
	for (n = 0; n < s->nprobes; n++) {
		struct stpvm_probe *p = &s->probe[n];
		struct nf_hook_ops *ops = &hs->ops[hs->count];

		if (p->kind != IM_K_NETFILTER || p->via != VIA_DEFAULT)
			continue;
		ops->hook = packet;
		ops->priv = p;
		ops->pf = p->im->arg2;
		ops->hooknum = p->addr;
		ops->priority = p->im->arg;
		err = -EINVAL;
		if (p->addr < hooks_of(p->im->arg2) && ops->priority == p->im->arg)
			err = nf_register_net_hook(hs->net, ops);
		if (!err)
			hs->count++;
		else
			err = stpvm_refuse(s, p, err, "the kernel has no such netfilter hook");
		err = err ?: stpvm_interrupted(s);
		if (err)
			return err;
	}
	return 0;
}

static void netfilter_disarm(struct stpvm_session *s)
{
	struct hooks *hs = s->arm[SRC_NETFILTER];

	nf_unregister_net_hooks(hs->net, hs->ops, hs->count);
}

static void netfilter_release(struct stpvm_session *s)
{
	struct hooks *hs = s->arm[SRC_NETFILTER];

	if (hs->net)
		put_net(hs->net);
	kvfree(hs);
}

const struct stpvm_source stpvm_netfilter_source = {
	.name = "netfilter",
	.arm = netfilter_arm,
	.disarm = netfilter_disarm,
	.release = netfilter_release,
};
