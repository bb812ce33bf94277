/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* verify.h - the verifier; its rules are the table rules.def. */
#ifndef STPVM_VERIFY_H
#define STPVM_VERIFY_H
#include "vm.h"

enum vm_rule {
#define RULE(name, ...) V_##name,
#include "rules.def"
#undef RULE
};

struct vm_prog;
int vm_verify(struct vm_prog *p, struct vm_refusal *f);

#endif
