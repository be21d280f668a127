/*
 * A service that is told what a string of bytes says, and what must be true of it after each byte:
 * the promises of activator/core/service.h, kept here in plain arrays.
 *
 *   fuzz_core.c   bytes to operations, decisions to what the model knows
 *   core_ops.c    the promises
 */
#ifndef SLOTGATE_TESTS_FUZZ_CORE_OPS_H
#define SLOTGATE_TESTS_FUZZ_CORE_OPS_H

#include "activator/core/service.h"

enum { OPS_TICKETS = 12, OPS_PODS = 4, OPS_QUESTIONS = 8, OPS_ENDED = 8, OPS_TENANTS = 2 };

enum ops_phase { OPS_FREE, OPS_ADMITTED, OPS_WAITING, OPS_GRANTED, OPS_RETURNED };

struct ops_ticket {
	struct ticket ticket;
	enum ops_phase phase;
	uint64_t arrival; /* when it first waited: the order that must be kept */
	uint64_t grant, pod;
	bool has_slot; /* until the observer says that it is freed */
	bool started;
	bool forgotten_due;
	int tenant; /* -1: nobody's */
};

struct ops_tenant {
	uint64_t id;
	struct tenant_caps caps;
	bool is_dropped;
	int64_t allowed; /* jobs at once: more than its cap only after a reload */
};

struct ops {
	struct service *service;
	struct service_config configs[2];
	int config; /* which of the two is in force */
	bool scalable, closed;
	int64_t now_us;
	uint64_t arrivals, serial;
	struct ops_ticket tickets[OPS_TICKETS];
	struct ops_tenant tenants[OPS_TENANTS];
	uint64_t pods[OPS_PODS];   /* ids by name; 0: unknown to the core */
	int64_t allowed[OPS_PODS]; /* places at once: more than the capacity only after a reload */
	struct {
		uint64_t pod, id;
	} questions[OPS_QUESTIONS];
	int question_count;
	uint64_t ended[OPS_ENDED];
	unsigned ended_count;
};

struct ops_ticket *ops_ticket_of(struct ops *, uint64_t owner);
int ops_pod_index(const struct ops *, uint64_t pod);
int64_t ops_concurrency(const struct ops *);

/* core_ops.c */
int64_t ops_tenant_jobs(const struct ops *, int tenant);
void ops_allow(struct ops *, int tenant); /* what is at work beyond a lowered cap may go on */
void ops_check_grant(const struct ops *, const struct ops_ticket *);
void ops_check_all(struct ops *);

#endif
