#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# probe.sh KDIR OUT - finds what this kernel's headers offer, by compiling each
# file of probes/ with the kernel's own flags, in one run of its build system.
# Writes OUT/config.h: HAVE_NAME for each that compiles. Looks at no version.
set -eu
kdir=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
dir=$out/probes
rm -rf "$dir"
mkdir -p "$dir"
names=
for file in "$here"/probes/*.c; do
	cp "$file" "$dir/"
	names="$names $(basename "$file" .c)"
done
{
	echo "ccflags-y += -Werror -Wno-missing-prototypes"
	for name in $names; do echo "obj-m += $name.o"; done
} >"$dir/Kbuild"
objects=
for name in $names; do objects="$objects $name.o"; done
# failures are the answer "no"
make -k -C "$kdir" M="$(cd "$dir" && pwd)" $objects >"$out/probes.log" 2>&1 || true
if [ ! -f "$dir/baseline.o" ]; then
	echo "probe.sh: cannot compile against $kdir; see $out/probes.log" >&2
	exit 1
fi
{
	echo "/* made by probe.sh */"
	for name in $names; do
		[ ! -f "$dir/$name.o" ] || echo "#define HAVE_$(echo "$name" | tr a-z A-Z) 1"
	done
} >"$out/config.h.new"
mv "$out/config.h.new" "$out/config.h"
