# attn.h needs no build: drop the file in. This builds what stands beside it. GNU make; `make help` lists the targets.
# Honoured: CC CXX CFLAGS CXXFLAGS LDFLAGS, JOBS (side by side; default: one for each processor), B (where outputs go).

B ?= build
CXX ?= c++
CFLAGS ?= -O2
NATIVE ?= -march=native
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
MAKEFLAGS += --jobs=$(JOBS)

VERSION := $(shell awk '/define ATTN_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $$3; s = "." } END { print v }' attn.h)
TESTS := $(patsubst tests/%.c,%,$(sort $(wildcard tests/test_*.c)))
EXAMPLES := $(patsubst examples/%.c,%,$(sort $(wildcard examples/*.c)))
VECTORS := $(sort $(wildcard tests/conformance/*.safetensors))
SANITIZE := -O1 -g -fno-omit-frame-pointer -DROUNDS=200
SIMDE := -DATTN_USE_SIMDE -DATTN_SIMDE_NEON $(NATIVE)

.PHONY: all examples demo test test-ulp test-sweep conformance hygiene hygiene-seen integration counts neon-loops \
        sanitize simde simde-avx2 matrix arm bench bench-check bench-report peers peers-setup size compile-time shared \
        install dist docs docs-check clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:

all: examples ## the same as examples

# ---- programs

# The implementation is compiled once in each way; -DATTN__DONE tells a program that it is there already. The bench
# holds its own, so that its figures are those of one command. Every program compiles alone as well: hygiene's `alone`.
build = mkdir -p $(@D) && $(CC) $(CFLAGS) $(1) -I. $(filter %.c %.o,$^) -o $@ $(LDFLAGS)
object = mkdir -p $(@D) && $(CC) $(CFLAGS) $(1) -I. -c -x c $< -o $@
HEADERS := attn.h $(wildcard tests/*.h)
define way # folder, flags
$(B)/$(1)attn.o: attn.h
	$$(call object,$(2) -DATTN_IMPLEMENTATION)
$(B)/$(1)tests.o: tests/attn.c attn.h
	$$(call object,$(2))
$(B)/$(1)test_%: tests/test_%.c $(B)/$(1)tests.o $(HEADERS)
	$$(call build,$(2) -DATTN__DONE)
$(B)/$(1)%: tests/%.c $(B)/$(1)attn.o $(HEADERS)
	$$(call build,$(2) -DATTN__DONE)
endef
$(eval $(call way,,))
$(eval $(call way,address/,$(SANITIZE) -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all))
$(eval $(call way,thread/,$(SANITIZE) -fsanitize=thread))
$(eval $(call way,simde/,$(SIMDE)))
$(eval $(call way,simde-avx2/,-DATTN_USE_SIMDE $(NATIVE)))
$(B)/%: examples/%.c $(B)/attn.o
	$(call build,-DATTN__DONE)
$(B)/%: docs/%.c
	$(call build)
$(B)/%: bench/%.c attn.h $(wildcard bench/*.h)
	$(call build,-DBENCH_FLAGS='"$(CFLAGS)"')
$(B)/simde/%: bench/%.c attn.h $(wildcard bench/*.h)
	$(call build,$(SIMDE))
$(B)/bench-report: bench/report.c $(B)/attn.o
	$(call build,-DATTN__DONE)

examples: $(addprefix $(B)/,$(EXAMPLES)) ## build every program of examples/

demo: $(B)/regression $(B)/speed \
      ## kernel regression on the Nile series; then the double loop against every pass of this machine
	./$(B)/regression
	@echo
	./$(B)/speed

# ---- tests. A log holds what a program printed and its exit status; tests/sum.sh adds the logs up.

run = mkdir -p $(@D); (./$< $(1); echo "exit $$?") > $@ 2>&1; sh tests/sum.sh --line $@

$(B)/%.log: $(B)/% FORCE
	@$(call run)
$(B)/conformance.log: $(B)/conformance FORCE
	@$(call run,$(VECTORS))
$(B)/address/conformance.log $(B)/simde/conformance.log $(B)/simde-avx2/conformance.log: $(B)/%.log: $(B)/% FORCE
	@$(call run,$(VECTORS))
$(B)/thread/test_%.log: $(B)/thread/test_% FORCE
	@$(call run,$(if $(filter base,$*),pool,threads))
$(B)/hygiene.log: FORCE
	@mkdir -p $(B); (CC="$(CC)" CXX="$(CXX)" JOBS=$(JOBS) sh tests/hygiene.sh quick; echo "exit $$?") > $@ 2>&1; \
	sh tests/sum.sh --line $@
script = mkdir -p $(B); (CC="$(CC)" CXX="$(CXX)" sh $(1); echo "exit $$?") > $@ 2>&1; sh tests/sum.sh --line $@
$(B)/readme.log: FORCE
	@$(call script,tests/readme.sh)
$(B)/cookbook.log: FORCE
	@$(call script,tests/readme.sh docs/cookbook.md)
$(B)/regression.log: $(B)/regression FORCE
	@$(call script,tests/test_regression.sh $(B)/regression)
$(B)/report.log: $(B)/bench-report FORCE
	@$(call script,tests/test_report.sh $(B)/bench-report)
$(B)/examples.log: $(addprefix $(B)/,$(EXAMPLES)) FORCE
	@$(call script,tests/test_examples.sh $(B))
FORCE:

test: $(patsubst %,$(B)/%.log,$(TESTS) conformance hygiene readme cookbook regression examples report) \
      ## everything that needs cc and make only
	@sh tests/sum.sh $^

test-ulp: $(B)/test_vec ## every one of the 2^32 floats through each function, with the worst case (half an hour)
	./$< --all

test-sweep: tests/test_attention.c tests/test_axes.c $(HEADERS) \
            ## random descriptors: ROUNDS=20000 of each; SEED=n for others
	@mkdir -p $(B)
	for t in attention axes; do \
	    $(CC) $(CFLAGS) -DROUNDS=$(or $(ROUNDS),20000) -I. tests/test_$$t.c -o $(B)/sweep $(LDFLAGS) && \
	$(B)/sweep --seed $(or $(SEED),1) sweep || exit 1; done

conformance: $(B)/conformance ## vectors made by others, with a table; ISA=scalar caps the instruction set
	./$< --list $(if $(ISA),--isa $(ISA)) $(VECTORS)

hygiene: ## every check of tests/hygiene.sh: names, macros, warnings, configurations, compiler options
	CC="$(CC)" CXX="$(CXX)" JOBS=$(JOBS) sh tests/hygiene.sh all

hygiene-seen: ## breaks copies of attn.h on purpose: each check of tests/hygiene.sh must fail once
	CC="$(CC)" CXX="$(CXX)" JOBS=$(JOBS) sh tests/hygiene.sh seen

integration: ## the snippets of docs/integration.md: plain cc, C++, CMake, Meson, pkg-config, ctypes
	CC="$(CC)" CXX="$(CXX)" sh tests/integration.sh

counts: ## instructions under valgrind, against tests/expected/counts.txt (sh tests/counts.sh --update writes it)
	CC="$(CC)" sh tests/counts.sh

neon-loops: ## inner loops of attention on NEON as llvm-mca times them: bound by multiply-adds, nothing on the stack
	python3 tests/neon_loops.py

sanitize: $(patsubst %,$(B)/address/%.log,$(filter-out test_vec,$(TESTS)) conformance) \
          $(patsubst %,$(B)/thread/%.log,test_base test_attention test_matmul test_softmax) \
          ## address and undefined; threads apart
	@sh tests/sum.sh $^

simde: $(patsubst %,$(B)/simde/%.log,$(TESTS) conformance) $(if $(wildcard bench/bench.c),$(B)/simde/bench) \
       ## tests, vectors and bench with SIMDe's NEON block as one more pass
	@sh tests/sum.sh $(filter %.log,$^)

simde-avx2: $(patsubst %,$(B)/simde-avx2/%.log,test_attention test_vec test_matmul conformance) \
       ## the same with SIMDe's AVX2 block
	@sh tests/sum.sh $^

matrix: ## other processors by cross compilers and qemu, other compilers; what is missing is named
	JOBS=$(JOBS) sh tests/matrix.sh

arm: ## the part of matrix for ARM, 64 and 32 bits
	JOBS=$(JOBS) sh tests/matrix.sh aarch64 armhf

# ---- numbers

bench: $(B)/bench ## measure this machine; BENCH="decode --isa avx2" chooses (bench --help)
	./$< $(BENCH)

bench-report: $(B)/bench-report ## REPORT="A.json B.json --svg F": two outputs of bench --json beside each other
	./$< $(or $(REPORT),--help)

bench-check: $(B)/bench $(B)/bench-report ## the bench itself: warnings, options, the same rows in table and JSON
	@CC="$(CC)" CXX="$(CXX)" B="$(B)" sh tests/bench.sh

PYTHON ?= python3
TORCH ?= torch==2.13.0+cpu # the build without CUDA; another: make peers-setup TORCH=torch
peers-setup: ## build/peers: a Python with NumPy, ONNX Runtime, OpenVINO and PyTorch from pip; names what cannot be had
	$(PYTHON) -m venv $(B)/peers
	@for p in numpy onnx onnxruntime openvino $(TORCH); do \
	    if $(B)/peers/bin/python -m pip install -q $$p; then echo "peers-setup: $$p"; \
	    else echo "peers-setup: $$p CANNOT BE HAD here; make peers goes without it"; fi; done

peers: $(B)/bench ## attention and decode of this machine beside the peers; PEERS="gemm --isa avx2" chooses
	@p=$(B)/peers/bin/python; \
	[ -x $$p ] || { p=$(PYTHON); echo "no $(B)/peers (make peers-setup): what $$p has"; }; \
	$$p bench/peers/peers.py --bench $(abspath $(B))/bench $(or $(PEERS),attention decode)

size: ## table of object sizes
	@CC="$(CC)" sh tests/cost.sh size

compile-time: ## seconds of compilation: the whole, each pass, the declarations; instructions are bound
	@CC="$(CC)" sh tests/cost.sh time

# ---- to give away

shared: $(B)/libattn.so ## build/libattn.so, for bindings
$(B)/libattn.so: attn.h
	mkdir -p $(B) && $(CC) $(CFLAGS) -fPIC -shared -fvisibility=hidden -DATTN_IMPLEMENTATION \
	    -DATTN_DEF='extern __attribute__((visibility("default")))' -x c attn.h -o $@ $(LDFLAGS)

install: ## attn.h and a pkg-config file below DESTDIR and PREFIX
	mkdir -p $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/pkgconfig
	cp attn.h $(DESTDIR)$(PREFIX)/include/attn.h
	printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' '' 'Name: attn' \
	    'Description: attention for C and C++ in one file' 'Version: $(VERSION)' 'Cflags: -I$${includedir}' \
	    > $(DESTDIR)$(PREFIX)/share/pkgconfig/attn.pc

dist: ## build/dist: attn.h and its checksum, once its version is the same everywhere
	@sh tests/version.sh
	rm -rf $(B)/dist && mkdir -p $(B)/dist && cp attn.h $(B)/dist/ && cd $(B)/dist && \
	    sha256sum attn.h > attn.h.sha256
	@cat $(B)/dist/attn.h.sha256

docs: $(B)/docs ## make docs/reference.md from attn.h again
	./$<
docs-check: $(B)/docs ## the docs are those that attn.h makes
	./$< --check

clean: ## remove what was built
	rm -rf $(B)

help: ## this list
	@awk -F '##' '/^[a-z][a-z0-9-]*:/ { t = $$0; sub(/:.*/, "", t); at = t } NF > 1 && at && !/awk/ \
	    { printf "  %-14s%s\n", at, $$2; at = "" }' Makefile
