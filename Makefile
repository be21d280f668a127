# slotgate. `make run` shows it at work, `make test` proves it, `make` builds build/slotgate.
#
#   make            build/slotgate
#   make run        the main job, live: hey against pods that start from zero (REQUESTS=... etc.)
#   make observe    slotgate, demo pods, Prometheus and a steady load, to look at
#   make test       everything that is quick, under ASan and UBSan
#   make test-deep  what takes longer: soak, fuzzing, valgrind, other compilers
#   make test-kubernetes  against the real API server, which it builds once (needs Go)
#   make interop    against KEDA's own operator, which it builds once (half an hour; needs Go)
#   make torture    each allocation fails once: over the unit tests, and under load
#   make bench      slotgate beside HAProxy and nginx, under 10 minutes; bench-full: all rows
#   make fuzz       fuzzing alone, for FUZZ_SECONDS (600) a target
#   make check      the rules of the code: format, includes, headers, duplicate docs
#   make format     clang-format over all of it
#   make install    into DESTDIR and PREFIX
#
# SAN=1 builds with sanitizers into build/san, CC=clang with clang, WERROR=1 makes warnings errors.

CC      := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
SAN     ?= 0
WERROR  ?= 0
PREFIX  ?= /usr/local
PYTHON  := /usr/bin/python3
VARIANT := $(if $(filter clang%,$(CC)),/clang)

ifeq ($(SAN),1)
BUILD   := build/san$(VARIANT)
CFLAGS  ?= -O1 -g
MODE    := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
BUILD   := build$(VARIANT)
CFLAGS  ?= -O2 -g
# A queued request finds cold caches: optimized as a whole, it takes 7 % less CPU time (24 turns).
MODE    := $(if $(VARIANT),,-flto=auto)
endif

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
           $(if $(filter 1,$(WERROR)),-Werror)
COMPILE  = $(CC) -std=gnu11 -I. $(WARN) $(MODE) $(CFLAGS) -pthread -MMD -MP

# llhttp: a library where the system has one, else the sources of Debian's node-llhttp.
ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS   := $(shell pkg-config --libs libllhttp)
LLHTTP_OBJ    :=
else
LLHTTP_DIR    := /usr/share/llhttp
LLHTTP_CFLAGS := -I/usr/share/include/llhttp
LLHTTP_LIBS   :=
LLHTTP_OBJ     = $(addprefix $(BUILD)/llhttp/,api.o http.o llhttp.o)
endif
LIBS := $(LLHTTP_LIBS) -levent_core -lcurl -lssl -lcrypto -lcjson -lnghttp2 -lprotobuf-c -lyaml -lm

SRC  := $(wildcard base/*.c config/*.c metrics/*.c activator/*.c activator/core/*.c \
        activator/providers/*.c gateway/*.c gateway/*/*.c)
PROTO := $(wildcard gateway/*/*.proto)
OBJ   = $(SRC:%.c=$(BUILD)/%.o) $(PROTO:%.proto=$(BUILD)/%.pb-c.o)
LIB   = $(filter-out $(BUILD)/gateway/command/main.o,$(OBJ)) $(LLHTTP_OBJ)
POD_SRC   := $(wildcard tests/pods/*.c)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
UNIT_HELP := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)) tests/torture/failing.c \
             tests/torture/unit.c
UNIT       = $(UNIT_SRC:%.c=$(BUILD)/%)
FUZZ_SRC  := $(filter-out %_main.c,$(wildcard tests/fuzz/*.c)) tests/unit/deaf_observer.c
FUZZERS   := request response http2 grpc config core kubernetes
BENCH_PROGRAMS := pod load tls core count
BENCH_MAIN := $(BENCH_PROGRAMS:%=tests/bench/%_main.c)
BENCH_HELP := $(filter-out $(BENCH_MAIN),$(wildcard tests/bench/*.c)) tests/unit/deaf_observer.c
CODE      := $(wildcard base/*.[ch] config/*.[ch] metrics/*.[ch] activator/*.[ch] \
             activator/core/*.[ch] activator/providers/*.[ch] gateway/*.[ch] gateway/*/*.[ch] \
             tests/*/*.[ch])

.PHONY: all unit pods replay torture-gateway fuzzers bench-programs run observe test test-deep \
        test-kubernetes interop torture bench bench-full fuzz check format deps deps-test deps-deep \
        deps-bench install clean
.SECONDARY:
.DEFAULT_GOAL := all

all: deps $(BUILD)/slotgate
unit: $(UNIT)
pods: $(BUILD)/demo-pod
replay: $(BUILD)/replay
torture-gateway: $(BUILD)/slotgate-torture
fuzzers: $(FUZZERS:%=$(BUILD)/fuzz-%)
bench-programs: $(BENCH_PROGRAMS:%=$(BUILD)/bench-%)

$(BUILD)/slotgate: $(OBJ) $(LLHTTP_OBJ)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ $(LIBS)

# slotgate itself, but for a file that makes its memory fail: no other program has that.
$(BUILD)/slotgate-torture: $(OBJ) $(LLHTTP_OBJ) $(BUILD)/tests/torture/failing.o \
		$(BUILD)/tests/torture/gateway.o
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ $(LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(COMPILE) -D_GNU_SOURCE $(LLHTTP_CFLAGS) -c $< -o $@

# What messages look like is generated, and belongs to the build.
$(BUILD)/%.pb-c.c $(BUILD)/%.pb-c.h: %.proto
	@mkdir -p $(@D)
	@echo "  PB   $<"
	@protoc-c --c_out=$(@D) -I$(<D) $<

$(BUILD)/%.pb-c.o: $(BUILD)/%.pb-c.c
	@echo "  CC   $<"
	@$(CC) -std=gnu11 -I$(@D) $(MODE) $(CFLAGS) -c $< -o $@

$(BUILD)/gateway/autoscalers/%_messages.o: COMPILE += -isystem $(BUILD)/gateway/autoscalers
$(BUILD)/gateway/autoscalers/keda_messages.o: $(BUILD)/gateway/autoscalers/externalscaler.pb-c.h
$(BUILD)/gateway/autoscalers/knative_messages.o: $(BUILD)/gateway/autoscalers/autoscaler.pb-c.h

# Only what says its version is built anew when that changes.
$(addprefix $(BUILD)/gateway/,command/main.o gateway.o stats.o): COMPILE += -DSLOTGATE_VERSION='"$(VERSION)"'

# The page for people is in the binary.
$(BUILD)/gateway/admin/ui.o: gateway/admin/ui/page.html gateway/admin/ui/page.css gateway/admin/ui/page.js

$(BUILD)/tests/pods/%.o: tests/pods/%.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(COMPILE) -c $< -o $@

$(BUILD)/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) -std=gnu11 -DLLHTTP_STRICT_MODE=1 $(LLHTTP_CFLAGS) $(MODE) $(CFLAGS) -c $< -o $@

$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(UNIT_HELP:%.c=$(BUILD)/%.o) $(LIB)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread -Wl,--wrap=_cmocka_run_group_tests $^ -o $@ -lcmocka $(LIBS)

$(BUILD)/demo-pod: $(POD_SRC:%.c=$(BUILD)/%.o)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ -lm

$(BENCH_PROGRAMS:%=$(BUILD)/bench-%): $(BUILD)/bench-%: $(BUILD)/tests/bench/%_main.o \
		$(BENCH_HELP:%.c=$(BUILD)/%.o) $(LIB)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ $(LIBS)

$(BUILD)/replay: $(BUILD)/tests/fuzz/replay_main.o $(FUZZ_SRC:%.c=$(BUILD)/%.o) $(LIB)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ $(LIBS)

$(FUZZERS:%=$(BUILD)/tests/fuzz/main-%.o): $(BUILD)/tests/fuzz/main-%.o: tests/fuzz/fuzz_main.c
	@mkdir -p $(@D)
	@echo "  CC   $< for $*"
	@$(COMPILE) -DFUZZ_TARGET=fuzz_$* -c $< -o $@

$(FUZZERS:%=$(BUILD)/fuzz-%): $(BUILD)/fuzz-%: $(BUILD)/tests/fuzz/main-%.o \
		$(FUZZ_SRC:%.c=$(BUILD)/%.o) $(LIB)
	@echo "  LINK $@"
	@$(CC) $(MODE) -fsanitize=fuzzer -pthread $^ -o $@ $(LIBS)

# --- what the machine needs (Debian) -------------------------------------------------------------

deps:
	@deploy/deps.sh build
deps-test:
	@deploy/deps.sh build test
deps-deep:
	@deploy/deps.sh build test deep observe browser
deps-bench:
	@deploy/deps.sh build peers bench

# --- the two commands ----------------------------------------------------------------------------

# Each sub-make starts after the packages are there, and so finds the libraries.
run:
	@deploy/deps.sh build run
	@$(MAKE) --no-print-directory -j2 all pods
	@$(PYTHON) tests/demo/run.py --slotgate build/slotgate --pod build/demo-pod

observe:
	@deploy/deps.sh build run observe
	@$(MAKE) --no-print-directory -j2 all pods
	@$(PYTHON) tests/demo/observe.py --slotgate build/slotgate --pod build/demo-pod

test: deps-test
	@$(MAKE) --no-print-directory -j2 SAN=1 WERROR=1 all pods unit replay
	@$(PYTHON) tests/run.py quick

FUZZ_BUILD = BUILD=build/fuzz CC=clang MODE=-fsanitize=fuzzer-no-link,address,undefined

test-deep: deps-deep
	@$(MAKE) --no-print-directory -j2 WERROR=1 all pods unit bench-programs
	@$(MAKE) --no-print-directory -j2 SAN=1 WERROR=1 all pods unit torture-gateway
	@$(MAKE) --no-print-directory -j2 CC=clang WERROR=1 all pods unit
	@$(MAKE) --no-print-directory -j2 $(FUZZ_BUILD) fuzzers
	@$(PYTHON) tests/run.py deep

# More of them than in test-deep.
torture: deps-deep
	@$(MAKE) --no-print-directory -j2 SAN=1 WERROR=1 all pods unit torture-gateway
	@TORTURE_RUNS=$${TORTURE_RUNS:-2000} TORTURE_SECONDS=$${TORTURE_SECONDS:-20} \
		$(PYTHON) tests/run.py torture

# Both write tests/bench/RESULTS.md; ROWS="pass_through queue" measures those alone and prints them.
bench bench-full: deps-bench
	@$(MAKE) --no-print-directory -j2 all bench-programs
	@$(PYTHON) tests/bench/run.py $(if $(filter bench-full,$@),--full) $(ROWS)

# Where Kubernetes cannot be built (status 3: no Go, no time left), a plain word says so. SECONDS_AT_MOST
# is for both builds together.
test-kubernetes:
	@deploy/deps.sh build test kubernetes
	@$(MAKE) --no-print-directory -j2 SAN=1 WERROR=1 all pods
	@ends=$$(($$(date +%s) + $${SECONDS_AT_MOST:-7200})); \
	for build in tests/kubernetes/build.sh "tests/go/build.sh autoscaler" "tests/go/build.sh otlp" \
		"tests/go/build.sh collector"; do \
		left=$$((ends - $$(date +%s))); [ $$left -gt 0 ] || left=1; \
		SECONDS_AT_MOST=$$left $$build || [ $$? -eq 3 ] || exit 1; \
	done
	@$(PYTHON) tests/run.py kubernetes

# Against other projects' own programs, which it builds once: long. For people; what came of it goes
# into tests/integration/INTEROP.md.
interop:
	@deploy/deps.sh build test kubernetes
	@$(MAKE) --no-print-directory -j2 SAN=1 WERROR=1 all pods
	@tests/kubernetes/build.sh
	@tests/kubernetes/interop/build.sh
	@$(PYTHON) tests/run.py interop

# Longer than in test-deep: FUZZ_SECONDS for each target; what they find goes into their corpora.
fuzz: deps-deep
	@$(MAKE) --no-print-directory -j2 $(FUZZ_BUILD) fuzzers
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(PYTHON) tests/run.py fuzz

check: deps-test
	@$(PYTHON) tests/run.py rules

format: deps-test
	@clang-format -i $(CODE)

install: all
	install -D -m 755 build/slotgate $(DESTDIR)$(PREFIX)/bin/slotgate

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
