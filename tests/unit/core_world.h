/*
 * One service under a fake clock, for scenario tests: decisions are carried out at once and
 * remembered, so that a test says what happened and asks what came of it.
 *
 * Tickets are known by small numbers, pods by their names. Time only moves by world_at.
 */
#ifndef SLOTGATE_TESTS_UNIT_CORE_WORLD_H
#define SLOTGATE_TESTS_UNIT_CORE_WORLD_H

#include "activator/core/service.h"
#include "base/clock.h"

enum { WORLD_TICKETS = 24, WORLD_PODS = 8 };

struct world {
	struct service *service;
	struct service_config config;
	int64_t now_us;

	struct ticket tickets[WORLD_TICKETS];
	uint64_t grants[WORLD_TICKETS];	     /* 0: not granted */
	uint64_t pod_ids[WORLD_TICKETS];     /* where */
	enum refusal refused[WORLD_TICKETS]; /* why; REFUSAL_NONE: not */
	int forgotten[WORLD_TICKETS];	     /* how often its job was told that nobody needs it */

	struct {
		uint64_t pod, question;
		bool is_check;
	} asked[WORLD_PODS];
	uint64_t removed[WORLD_PODS]; /* in order */
	int removed_count;
	int64_t replicas; /* -1: none were asked for */
	int failures;	  /* of pods, that the observer was told of */
	int64_t moved;	  /* transitions of pods, likewise */
};

/* A config with round numbers: one slot, waits of 10 s (cold: 30 s), probes each second, idle
 * checks each half second, quarantine without end, no pod wanted by itself. */
void world_init(struct world *);
void world_start(struct world *, bool scalable);
void world_stop(struct world *);

/* Carries out what follows; the calls below do so by themselves. */
void world_settle(struct world *);
void world_at(struct world *, int64_t us); /* from the start; ticks at each deadline up to there */

uint64_t world_pod(struct world *, const char *name); /* comes, its past known, and is ready */
/* Starts with one static pod "a" of so many slots. */
struct world *world_of_one_pod(struct world *, int64_t slots);
uint64_t world_pod_new(struct world *, const char *name); /* comes, its past unknown */
void world_answer(struct world *, const char *pod, enum pod_answer);
bool world_is_asked(const struct world *, const char *pod, bool is_check);
void world_idle(struct world *, const char *pod); /* says so as often as it is asked to */
void world_absent(struct world *, const char *pod);
void world_gone(struct world *, const char *pod);
enum pod_state world_state(const struct world *, const char *pod); /* POD_STATES: unknown */
int64_t world_used(const struct world *, const char *pod);
struct service_counts world_counts(const struct world *);

/* False: refused a place. */
bool world_wait(struct world *, int ticket, enum ticket_kind);
bool world_wait_as(struct world *, int ticket, struct ticket like);
const char *world_where(const struct world *, int ticket); /* the pod's name; "" : not granted */
void world_work(struct world *, int ticket, enum ticket_kind); /* waits, is granted, is started */
void world_start_job(struct world *, int ticket);
void world_finish(struct world *, int ticket);
void world_leave(struct world *, int ticket);
void world_time_out(struct world *, int ticket);
void world_break(struct world *, int ticket);
void world_return(struct world *, int ticket, enum unsent); /* and waits again */
void world_cancel(struct world *, int ticket);

#endif
