# SPDX-License-Identifier: GPL-2.0
#
# The entry points; "make help" lists them. Kbuild describes the module itself.

# Kbuild looks for Kbuild first, so this file is only read by people's make.
SHELL := /bin/bash
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# KERNEL names a Debian kernel; empty means the newest 7.x cloud kernel.
KERNEL ?=
# KDIR names a prepared kernel tree instead, used with this machine's tools.
KDIR ?=
# Where everything is kept that takes long to make.
CACHE ?= $(CURDIR)/.cache
export CACHE

jobs := -j$(shell nproc)

.PHONY: all
all: module wg ## the module and our wg (the default)

# --- the module --------------------------------------------------------------

.PHONY: module
ifeq ($(KDIR),)
module: ## wireguard.ko for a stock Debian kernel (KERNEL=RELEASE: another one)
	@tools/kernel/metadata $(KERNEL)
	@release=$$(tools/kernel/metadata --print $(KERNEL)) && \
	out=$(CURDIR)/target/kernel/$$release && mkdir -p "$$out" && \
	tools/kernel/enter make --no-print-directory $(jobs) $(foreach v,V W C,$(if $($v),$v=$($v))) -C "/usr/src/linux-headers-$$release" \
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

# --- our wg ------------------------------------------------------------------

.PHONY: wg
wg: ## the tools: target/release/wg and wg-rootless
	@cargo build --release -p wg -p wg-rootless $(if $(wildcard Cargo.lock),--locked)

# --- running it --------------------------------------------------------------

.PHONY: vm
vm: module wg ## boot that kernel in QEMU: a shell, or RUN=script.sh ARGS="a b"
	@tools/vm/run $(if $(KERNEL),--kernel $(KERNEL)) $(foreach e,$(ENV),--env "$e") $(if $(RUN),$(RUN) $(ARGS))

.PHONY: test
test: ## every test there is: on this machine and in virtual machines
	@tests/run

.PHONY: demo
demo: ## the module at work, to watch
	@$(MAKE) vm RUN=tools/demo/demo.sh

# --- keeping it tidy ---------------------------------------------------------

.PHONY: lint
lint: ## rustfmt for all Rust, clippy for the parts that run on the host
	@git ls-files -z --cached --others --exclude-standard '*.rs' | \
		xargs -0 -r rustfmt --check --edition 2021
	@cargo clippy --workspace --all-targets $(if $(wildcard Cargo.lock),--locked) -- -D warnings

.PHONY: clean
clean: ## remove what was built here, keep the cache
	@rm -rf target wireguard.ko

.PHONY: distclean
distclean: clean ## remove the cache as well
	@tools/kernel/metadata --remove

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 20
