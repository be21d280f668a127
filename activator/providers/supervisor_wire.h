/*
 * What slotgate and its supervisor say to each other, over a SOCK_SEQPACKET socketpair: one message
 * a packet, a fixed head, and in START the texts behind it. Both ends are the same binary.
 *
 *   START   id, grace, argv, env, directory; the output's descriptor by SCM_RIGHTS  -->
 *   STOP    id, grace                                                               -->
 *           <--  STARTED  id, and pid; or step and error: it is no more
 *           <--  EXITED   id, status: it is no more
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_SUPERVISOR_WIRE_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_SUPERVISOR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "activator/providers/supervisor.h"
#include "base/str.h"

enum { WIRE_MAX_BYTES = 64 << 10, WIRE_TEXTS_MAX = 1024 };

enum wire_kind { WIRE_START = 1, WIRE_STOP, WIRE_STARTED, WIRE_EXITED };

struct wire_head {
	uint32_t kind;
	uint32_t argc, env_count, has_directory; /* START */
	uint64_t id;
	int64_t grace_us;    /* START, STOP */
	int32_t pid;	     /* STARTED; 0: it failed */
	int32_t step, error; /* STARTED */
	int32_t status;	     /* EXITED */
};

/* A START taken apart; all texts point into the packet. */
struct wire_start {
	uint64_t id;
	int64_t grace_us;
	char *argv[WIRE_TEXTS_MAX + 1], *env[WIRE_TEXTS_MAX + 1];
	char *directory; /* NULL: the same */
};

/* 0, or an errno: E2BIG, ENOMEM. */
int wire_pack_start(struct str *packet, uint64_t id, const struct child_spec *);

/* False: the packet is not one. */
bool wire_unpack_start(struct wire_start *, char *packet, size_t len);

#endif
