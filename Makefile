# slotgate: `make` builds it, `make run` shows it at work, `make test` proves it.
# Two builds side by side: build/ (release, asserts on) and build/san/ (ASan and UBSan).

CC      ?= gcc
SAN     ?= 0
WERROR  ?= 0
PYTHON  ?= /usr/bin/python3

ifeq ($(SAN),1)
BUILD   := build/san
CFLAGS  ?= -O1 -g
MODE    := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
BUILD   := build
CFLAGS  ?= -O2 -g
MODE    :=
endif

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
           $(if $(filter 1,$(WERROR)),-Werror)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. $(WARN) $(MODE) $(CFLAGS) -pthread -MMD -MP

# llhttp: a library where the system has one, else Debian's node-llhttp sources, compiled here.
ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS   := $(shell pkg-config --libs libllhttp)
LLHTTP_OBJ    :=
else
LLHTTP_SRC    := /usr/share/llhttp
LLHTTP_CFLAGS := -I/usr/share/include/llhttp -I/usr/share/include
LLHTTP_LIBS   :=
LLHTTP_OBJ     = $(addprefix $(BUILD)/llhttp/,api.o http.o llhttp.o)
endif

LIBS := $(LLHTTP_LIBS) -levent_core -lcurl -lcrypto -lcjson -lm

SRC  := $(wildcard base/*.c config/*.c metrics/*.c activator/*.c activator/core/*.c \
        activator/providers/*.c gateway/*.c)
OBJ   = $(SRC:%.c=$(BUILD)/%.o)
LIB   = $(filter-out $(BUILD)/gateway/main.o,$(OBJ)) $(LLHTTP_OBJ)

UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT      = $(UNIT_SRC:%.c=$(BUILD)/%)
POD_SRC  := $(wildcard tests/pods/*.c)

.DEFAULT_GOAL := all
.PHONY: all deps
deps:
	@true
all: $(BUILD)/slotgate

$(BUILD)/slotgate: $(OBJ) $(LLHTTP_OBJ)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ $(LIBS)

$(BUILD)/%.o: %.c | deps
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(ALL_CFLAGS) $(LLHTTP_CFLAGS) -DSLOTGATE_VERSION='"$(VERSION)"' -c $< -o $@

$(BUILD)/tests/pods/%.o: tests/pods/%.c | deps
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) -std=gnu11 $(WARN) $(MODE) $(CFLAGS) -pthread -MMD -MP -c $< -o $@

$(BUILD)/llhttp/%.o: $(LLHTTP_SRC)/%.c | deps
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) -std=gnu11 $(LLHTTP_CFLAGS) $(MODE) $(CFLAGS) -c $< -o $@

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ -lcmocka $(LIBS)

$(BUILD)/demo-pod: $(POD_SRC:%.c=$(BUILD)/%.o)
	@echo "  LINK $@"
	@$(CC) $(MODE) -pthread $^ -o $@ -lm

-include $(shell find build -name '*.d' 2>/dev/null)
