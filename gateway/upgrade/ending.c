/* What ended requests count as. */
#include "gateway/upgrade/ending.h"

#include "gateway/admin/history.h"
#include "gateway/gateway.h"
#include "gateway/upgrade/upgrade.h"

void ending_describe(struct ending *e, const struct request *r, int64_t now_us)
{
	int64_t queue_end_us = r->granted_us ? r->granted_us : now_us;
	*e = (struct ending){
		.outcome = r->outcome,
		.status = r->status,
		.reason = r->reason,
		.tenant = r->tenant,
		.phase = r->phase,
		.takes_slot = r->takes_slot,
		.duration_us = now_us - r->begun_us,
		.first_byte_us = r->first_byte_us ? r->first_byte_us - r->begun_us : -1,
		.queue_wait_us = r->queued_us && r->takes_slot ? queue_end_us - r->queued_us : -1,
		.cold_start_wait_us =
			r->found_cold && r->granted_us ? r->granted_us - r->queued_us : -1,
		.bytes_in = r->exchange->bytes_in,
		.bytes_out = r->exchange->bytes_out,
	};
}

/* By the status that the client has seen whole; 0: it has seen none. */
static int class_of(const struct ending *e)
{
	bool whole = e->outcome == OUTCOME_OK || e->outcome == OUTCOME_REFUSED ||
		     (e->outcome != OUTCOME_CLIENT_LEFT && e->outcome != OUTCOME_TOO_SLOW &&
		      e->status >= 400);
	int class = whole ? (int)(e->status / 100) : 0;
	return class >= 1 && class <= 5 ? class : 0;
}

static void observe(struct metrics_histogram *h, int64_t us)
{
	if (us >= 0)
		metrics_observe(h, us);
}

static void count(struct backend *b, const struct ending *e)
{
	struct service_stats *stats = &b->stats;
	int class = class_of(e);
	metrics_count(stats->classes[class]);
	if (e->tenant)
		tenants_count(b, e->tenant, class);
	if (e->outcome == OUTCOME_CLIENT_LEFT)
		metrics_count(stats->aborts[e->phase]);
	if (e->takes_slot && e->outcome == OUTCOME_CLIENT_LEFT && e->phase == PHASE_QUEUED)
		metrics_count(stats->client_left_queue);
	if (e->outcome == OUTCOME_TOO_SLOW)
		metrics_count(stats->spool_overflows);
	if (e->outcome == OUTCOME_REFUSED || e->outcome == OUTCOME_TIMEOUT ||
	    e->outcome == OUTCOME_POD_FAILED) {
		const char *reason = e->reason ? e->reason : "none";
		stats_refused(stats, reason);
		history_trouble(b->history, "refused", reason, "");
	}
	observe(stats->duration, e->duration_us);
	observe(stats->first_byte, e->first_byte_us);
	observe(stats->queue_wait, e->queue_wait_us);
	observe(stats->cold_start_wait, e->cold_start_wait_us);
	metrics_add(stats->bytes_in, (uint64_t)e->bytes_in);
	metrics_add(stats->bytes_out, (uint64_t)e->bytes_out);
}

void ending_book(struct backend *b, const struct ending *e)
{
	if (!upgrade_tell_ending(b, e))
		count(b, e);
}
