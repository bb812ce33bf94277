#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# usage: unit.sh HOT... -- COLD...
#
# Writes the C file that the module is compiled from: every source, by #include.
# One unit, so that a call from file to file needs no relocation (24 bytes each,
# and as much again in the tables of objtool) and no symbol, and what is called
# once is no function at all. Sources stay files of their own all the same: a
# static name or a macro that several of them use is each one's own here too.
set -eu
hot= cold=
for f; do
	case $f in
	--) cold=yes ;;
	*) [ -n "$cold" ] && cold="$cold $f" || hot="$hot $f" ;;
	esac
done
cold=${cold#yes}
cat <<-END
	/* made by unit.sh */
	$(sed -n '/\.def"/d; s,^#include "\.\./\(.*\)",#include "\1",; /^#include/p' $hot $cold | awk '!seen[$0]++')
END
# static names of a file, one a line
statics() {
	sed -nE '/^static [^=;]*\(/{s/^static [^(]*[ *]([A-Za-z_0-9]+)\(.*/\1/p;b;}
		s/^static [^=;]*[ *]([A-Za-z_0-9]+)(\[[^=;]*)?( =.*|;)$/\1/p' "$1" | sort -u
}
macros() {
	sed -nE 's/^#define ([A-Za-z_0-9]+).*/\1/p' "$1" | sort -u
}
shared=$(for f in $hot $cold; do statics "$f"; done | sort | uniq -d)
include() {
	own=$(statics "$1" | grep -Fxe "$shared" || true)
	for name in $own; do
		echo "#define $name $(basename "$1" .c)_$name"
	done
	echo "#include \"$1\""
	for name in $own $(macros "$1"); do
		echo "#undef $name"
	done
}
# The way of a hit: no array on these stacks is indexed by what comes from
# outside, and all that is read has been written.
cat <<-'END'
	#pragma GCC push_options
	#pragma GCC optimize("no-stack-protector")
	#if __GNUC__ >= 12
	#pragma GCC optimize("trivial-auto-var-init=uninitialized")
	#endif
END
for f in $hot; do include "$f"; done
echo '#pragma GCC pop_options'
# what does not run in the middle of a handler is made small: frames by frame
# pointer also need a third of the unwinder's table
echo '#pragma GCC push_options'
echo '#pragma GCC optimize("Os", "no-omit-frame-pointer")'
for f in $cold; do include "$f"; done
echo '#pragma GCC pop_options'
