# What people and CI call. Each target installs what it lacks (Debian 12, as
# root) and prints what it does; `make help` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
KERNEL ?= 6.1
# kernel that `make kmod` builds for
RELEASE ?= $(shell uname -r)
CARGO ?= cargo

version = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
cfiles = $(shell find vm-kmod tests -name '*.[ch]')
guest = $(CARGO) run -q -p stp-tests --bin guest --
bins = stap staprun stap-merge

.PHONY: help all demo test check language kmod guest bench install uninstall dist clean

help:
	@echo 'make demo             a tour of scripts in a Debian kernel under QEMU; needs nothing prepared'
	@echo 'make test             every check and every test, on kernels 6.1 and 6.12 under QEMU'
	@echo 'make check            formatting and lints only'
	@echo 'make all              the programs, optimised: target/release/stap'
	@echo 'make kmod             the module for the running kernel (RELEASE=…: for another)'
	@echo 'make install          programs, tapsets and the module, if built (PREFIX=/usr/local, DESTDIR=)'
	@echo 'make uninstall        takes them away again'
	@echo "make guest CMD='…'    runs a command in a guest (KERNEL=6.1, 6.12 or debug); a shell without CMD"
	@echo 'make bench            measures, and writes docs/performance.md'
	@echo 'make dist             build/stpvm-$(version).tar.xz'
	@echo 'make clean            removes build/ and target/'

all:
	@scripts/deps build
	$(CARGO) build --release -p stp-loader

demo:
	@scripts/deps build kmod guest
	$(CARGO) build --workspace
	$(guest) --kernel $(KERNEL) --file demo:/root/demo --limit 300 sh /root/demo/tour

test: check
	@scripts/deps build kmod guest test
	$(CARGO) test --workspace --no-fail-fast
	scripts/sanitize

check:
	@scripts/deps build test
	$(CARGO) fmt --all --check
	clang-format --dry-run -Werror $(cfiles)
	$(CARGO) clippy --workspace --all-targets -- -D warnings

kmod:
	@scripts/deps kmod
	scripts/kmod $(RELEASE)

guest:
	@scripts/deps build kmod guest
	@$(CARGO) build -q --workspace
	@$(guest) --kernel $(KERNEL) $(if $(CMD),'$(subst ','\'',$(CMD))')

bench:
	@scripts/deps build kmod guest bench
	$(CARGO) build --release --workspace
	$(CARGO) run -q --release -p stp-tests --bin bench

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/stpvm
	install -m 755 $(addprefix target/release/,$(bins)) $(DESTDIR)$(PREFIX)/bin
	rm -rf $(DESTDIR)$(PREFIX)/share/stpvm/tapsets
	cp -r tapsets $(DESTDIR)$(PREFIX)/share/stpvm/tapsets
	@scripts/install-module '$(DESTDIR)' $(RELEASE)

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(bins))
	rm -rf $(DESTDIR)$(PREFIX)/share/stpvm
	@scripts/install-module --remove '$(DESTDIR)' $(RELEASE)

dist:
	@scripts/deps dist
	@mkdir -p build
	git archive --format=tar --prefix=stpvm-$(version)/ -o build/stpvm-$(version).tar HEAD
	xz -f build/stpvm-$(version).tar
	@ls -l build/stpvm-$(version).tar.xz

clean:
	rm -rf build target
