# SPDX-License-Identifier: GPL-2.0
#
# The entry points; "make help" lists them. Kbuild describes the module itself.

# Kbuild looks for Kbuild first, so this file is only read by people's make.
SHELL := /bin/bash
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# KERNEL names a Debian kernel; empty means the newest 7.x cloud kernel. It may
# also be a flavour of the project's own (tools/kernel/build).
KERNEL ?=
own := $(filter $(basename $(notdir $(wildcard tools/kernel/config/*.config))),$(KERNEL))
# KDIR names a prepared kernel tree instead, used with this machine's tools.
KDIR ?=
# Where everything is kept that takes long to make.
CACHE ?= $(CURDIR)/.cache
export CACHE
# ARCH=arm64 is short for the newest cloud kernel of that architecture.
ifeq ($(ARCH)$(KDIR)$(KERNEL),arm64)
override KERNEL := $(shell tools/kernel/metadata --newest arm64)
export KERNEL
endif
arm64 := $(findstring -arm64,$(KERNEL))

jobs := -j$(shell nproc)

.PHONY: all
all: module wg ## the module and our wg (the default)

# --- the module --------------------------------------------------------------

.PHONY: module
ifneq ($(own),)
module:
	@tools/kernel/build $(own)
	@release=$$(tools/kernel/build --release $(own)) && \
	out=$(CURDIR)/target/kernel/$$release && mkdir -p "$$out" && \
	exec 8>"$$out.lock" && flock 8 && \
	tools/kernel/enter make --no-print-directory $(jobs) $$(tools/kernel/build --make-args $(own)) \
		-C "$(CACHE)/kernel/$$release/tree" M=$(CURDIR) MO="$$out" modules
else ifeq ($(KDIR),)
module: ## wireguard.ko for a stock Debian kernel (KERNEL=RELEASE: another one)
	@tools/kernel/metadata $(KERNEL)
	@release=$$(tools/kernel/metadata --print $(KERNEL)) && \
	out=$(CURDIR)/target/kernel/$$release && mkdir -p "$$out" && \
	tools/kernel/enter --for "$$release" make --no-print-directory $(jobs) $(foreach v,V W C,$(if $($v),$v=$($v))) -C "/usr/src/linux-headers-$$release" \
		M=$(CURDIR) MO="$$out" modules && \
	{ cmp -s "$$out/wireguard.ko" wireguard.ko || cp "$$out/wireguard.ko" .; }
else
kdir_out := $(CURDIR)/target/kernel/$(subst /,_,$(abspath $(KDIR)))
module:
	@mkdir -p $(kdir_out)
	@$(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(kdir_out) modules
	@cmp -s $(kdir_out)/wireguard.ko wireguard.ko || cp $(kdir_out)/wireguard.ko .
endif

.PHONY: metadata
metadata: ## only what modules in Rust need for that kernel (docs/building.md)
	@tools/kernel/metadata $(KERNEL)

.PHONY: intree
intree: ## the module as it would lie in a kernel tree, to DIR (target/intree/files)
	@tools/kernel/intree "$(or $(DIR),$(CURDIR)/target/intree/files)"
	@echo "the files are in $(or $(DIR),target/intree/files)"

.PHONY: intree-try
intree-try: ## build it as a part of Debian's kernel source (TRY=m, or y)
	@tools/kernel/intree --try $(TRY)

# --- our wg ------------------------------------------------------------------

.PHONY: wg
wg: ## the tools: target/release/wg and wg-rootless
ifneq ($(arm64),)
	@tools/vm/programs arm64
else
	@command -v cargo >/dev/null || { echo "there is no cargo here; install Rust, with rustup for instance" >&2; exit 1; }
	@cargo build --release -p wg -p wg-rootless $(if $(wildcard Cargo.lock),--locked)
endif

# --- running it --------------------------------------------------------------

.PHONY: vm
vm: module wg ## boot that kernel in QEMU: a shell, or RUN=script.sh ARGS="a b" (ARCH=arm64)
	@tools/vm/run $(if $(KERNEL),--kernel $(KERNEL)) $(foreach e,$(ENV),--env "$e") $(if $(RUN),$(RUN) $(ARGS))

.PHONY: test
test: ## the tests: on this machine and in virtual machines
	@tests/run

.PHONY: fuzz
fuzz: ## fuzz what runs on the host (TARGET=name, SEED=number, TIMES=as many inputs)
	@FUZZ_SEED=$(SEED) FUZZ_TIMES=$(TIMES) tests/fuzz-host.sh $(TARGET)

.PHONY: miri
miri: ## the protocol's tests in Miri, where there is one
	@tests/miri.sh

.PHONY: bench
bench: ## our module next to the kernel's own, in User Mode Linux (ROUNDS, SCALE)
	@bench/run

.PHONY: bench-quick
bench-quick: ## see that the benchmark runs; its figures say nothing
	@bench/run --quick

.PHONY: bench-wg
bench-wg: ## our wg next to Debian's, on 10,000 peers (PEERS, RANGES, REPEATS)
	@$(MAKE) module wg KERNEL=uml-time
	@bench/wg-speed --kernel uml-time

.PHONY: bench-protocol
bench-protocol: ## the protocol's pure parts on this machine (BENCH: criterion's options)
	@CARGO_TARGET_DIR=$(CURDIR)/target/benches cargo bench --locked --manifest-path benches/Cargo.toml $(BENCH)

.PHONY: test-debug
test-debug: ## the guests' tests on a kernel with KASAN, lockdep and failing memory (KERNEL=debug-rt)
	@KERNEL=$(or $(filter debug%,$(KERNEL)),debug) VM_TIMEOUT=$${VM_TIMEOUT:-3600} tests/run module $(or $(SUITES),guests)

.PHONY: test-kernels
test-kernels: ## build for all kernels of Debian, and boot them (KERNELS="patterns", SUITES)
	@SUITES="$(SUITES)" tests/kernels/run $(foreach k,$(KERNELS),'$k')

.PHONY: test-packages
test-packages: deb ## install, update and remove the packages in roots (SUITE=trixie, SCENARIOS, ARCH=arm64)
	@tests/packages/run $(or $(SUITE),trixie)$(if $(arm64),/arm64) $(SCENARIOS)

.PHONY: demo
demo: ## the module at work, to watch
	@$(MAKE) vm RUN=tools/demo/demo.sh

# --- installing it -----------------------------------------------------------

PREFIX ?= /usr/local
DESTDIR ?=
# What goes where, but for the module: MODE:FILE:PLACE below PREFIX.
installed := 755:target/release/wg:bin/wg \
	755:target/release/wg-rootless:bin/wg-rootless \
	644:tools/wg/wg.8:share/man/man8/wg.8 \
	644:tools/wg-rootless/wg-rootless.1:share/man/man1/wg-rootless.1 \
	$(foreach u,wg-rootless@.service wg-rootless-endpoints@.service wg-rootless-endpoints@.timer, \
		644:tools/wg-rootless/systemd/$u:lib/systemd/user/$u) \
	$(foreach t,wg wg-rootless, \
		644:tools/$t/completions/$t.bash:share/bash-completion/completions/$t \
		644:tools/$t/completions/_$t:share/zsh/site-functions/_$t \
		644:tools/$t/completions/$t.fish:share/fish/vendor_completions.d/$t.fish)
part = $(word $1,$(subst :, ,$2))
places := $(foreach i,$(installed),$(call part,3,$i))
# The kernel that wireguard.ko was built for, and where modules of others go.
MODINFO = PATH=$$PATH:/usr/sbin:/sbin modinfo
built_for = $(firstword $(shell $(MODINFO) -F vermagic wireguard.ko))
ifneq ($(KERNEL),)
module-uninstall: built_for = $(KERNEL)
endif
module_dir = /lib/modules/$(built_for)/updates
# Only the running system has an index of its modules.
depmod = $(if $(DESTDIR),,PATH=$$PATH:/usr/sbin:/sbin depmod $(notdir $(patsubst %/updates,%,$(module_dir))))
# Folders go only from below a DESTDIR: elsewhere others may count on them.
remove_empty = $(if $(DESTDIR),cd "$(DESTDIR)" && rmdir -p --ignore-fail-on-non-empty $(patsubst /%,%,$1))

.PHONY: install
install: ## the tools, after "make", to PREFIX (/usr/local) below DESTDIR
	@for f in target/release/wg target/release/wg-rootless; do \
		[ -x $$f ] || { echo "there is no $$f yet; make it with: make wg" >&2; exit 1; }; \
	done
	@$(foreach i,$(installed),install -D -m $(call part,1,$i) $(call part,2,$i) \
		"$(DESTDIR)$(PREFIX)/$(call part,3,$i)" &&) :

.PHONY: uninstall
uninstall: ## remove what "make install" put there
	@rm -f $(foreach p,$(places),"$(DESTDIR)$(PREFIX)/$p")
	@$(call remove_empty,$(sort $(dir $(places:%=$(PREFIX)/%))))

.PHONY: module-install
module-install: ## wireguard.ko, to the kernel that it was built for
	@[ -e wireguard.ko ] || { echo "there is no wireguard.ko yet; make it with: make module" >&2; exit 1; }
	@[ -n "$(built_for)" ] || { echo "modinfo, of the package kmod, has to tell which kernel it is for" >&2; exit 1; }
	@install -D -m 644 wireguard.ko "$(DESTDIR)$(module_dir)/wireguard.ko"
	@strip --strip-debug "$(DESTDIR)$(module_dir)/wireguard.ko" # as the kernel's own: 3 MB less
	@$(depmod)

.PHONY: module-uninstall
module-uninstall: ## remove it (KERNEL=RELEASE: of that kernel); the kernel's own is there still
	@[ -n "$(KERNEL)" ] || [ -e wireguard.ko ] || { \
		echo "of which kernel? there is no wireguard.ko to tell; say make module-uninstall KERNEL=RELEASE" >&2; exit 1; }
	@rm "$(DESTDIR)$(module_dir)/wireguard.ko"
	@$(call remove_empty,$(module_dir))
	@$(depmod)

.PHONY: deb
deb: ## Debian packages, to target/deb (KERNEL=RELEASE: with the module for that one; ARCH=arm64)
	@tools/deb $(KERNEL)

# --- keeping it tidy ---------------------------------------------------------

.PHONY: lint
lint: ## rustfmt for all Rust, clippy for the parts that run on the host
	@git ls-files -z --cached --others --exclude-standard '*.rs' | \
		xargs -0 -r rustfmt --check --edition 2021
	@cargo clippy --workspace --all-targets $(if $(wildcard Cargo.lock),--locked) -- -D warnings

# The kernel's own driver in Rust that is as large as this one, where a kernel's source is.
binder = $(lastword $(sort $(wildcard $(foreach d,source rust,$(CACHE)/$d/*/drivers/android/binder))))

.PHONY: unsafe-report
unsafe-report: ## every unsafe of the module, and its share of the code, next to Binder's
	@cargo run -q -p unsafe-report $(if $(wildcard Cargo.lock),--locked) -- src $(if $(binder),"Binder=$(binder)")

.PHONY: clean
clean: ## remove what was built here, keep the cache
	@rm -rf target wireguard.ko

.PHONY: distclean
distclean: clean ## remove the cache as well
	@tools/kernel/metadata --remove

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 25
