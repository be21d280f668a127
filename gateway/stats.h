/*
 * The metrics' cells that the data plane counts in, obtained once per service.
 */
#ifndef SLOTGATE_GATEWAY_STATS_H
#define SLOTGATE_GATEWAY_STATS_H

#include "activator/core/service.h"
#include "metrics/metrics.h"

struct gateway;

enum client_phase { PHASE_UPLOADING, PHASE_QUEUED, PHASE_WORKING, PHASE_STREAMING, PHASES };

struct service_stats {
	struct metrics_registry *registry;
	const char *service;
	struct metrics_counter *classes[6]; /* by status / 100; 0: aborted */
	struct metrics_histogram *duration, *first_byte, *queue_wait, *service_time, *cold_start,
		*cold_start_wait;
	struct metrics_counter *queue_outcomes[REFUSALS]; /* REFUSAL_NONE: dispatched */
	struct metrics_counter *client_left_queue;
	struct metrics_counter *aborts[PHASES];
	struct metrics_counter *discarded, *ejections, *spool_overflows;
	struct metrics_counter *connections_new, *connections_reused, *connections_stale;
	struct metrics_counter *retries_stale, *retries_refused, *retries_timeout, *retries_safe,
		*retries_not_secure;
	struct metrics_counter *quarantined_timeout, *quarantined_broken;
	struct metrics_counter *bytes_in, *bytes_out, *scaling_failures;
	uint64_t refused; /* whatever the reason */
};

struct tenant_stats {
	struct metrics_counter *classes[6]; /* as above */
	struct metrics_counter *rate_limited;
};

/* `service` must last as long as the stats. */
void service_stats_init(struct service_stats *, struct metrics_registry *, const char *service);
void service_stats_release(struct service_stats *);

/* A tenant's, of this service; releasing takes its series away. */
void tenant_stats_init(struct tenant_stats *, struct service_stats *, const char *label);
void tenant_stats_release(struct service_stats *, const char *label);

const char *client_phase_name(enum client_phase);

/* Rare ones are looked up when they happen. */
void stats_refused(struct service_stats *, const char *reason);
void stats_pod_failed(struct service_stats *, const char *kind);
void stats_probed(struct service_stats *, const char *kind, const char *result);
void stats_start_spent(struct service_stats *, const char *phase, int64_t us);
void stats_bad_request(struct gateway *, const char *reason);
void stats_reloaded(struct gateway *, bool success);

/* Registers what is read at each scrape: the process's own figures, and every service's state. */
void stats_start(struct gateway *);
void stats_stop(struct gateway *);

#endif
