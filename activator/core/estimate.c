/* What is known of times, and what follows from it: how long a wait will be, when to come again. */
#include "activator/core/ledger.h"
#include "base/clock.h"

/* What a job is taken to last before any has ended, and a cold start likewise. */
static const int64_t UNKNOWN_SERVICE_US = 10 * US_PER_S;
static const int64_t UNKNOWN_COLD_START_US = 30 * US_PER_S;

/* A refused client that comes back sooner only adds load; one told a day
 * might as well be told no. */
static const int64_t SOONEST_RETRY_US = US_PER_S;
static const int64_t LATEST_RETRY_US = 3600 * US_PER_S;

static void learn(int64_t *average_us, int64_t sample_us)
{
	*average_us = *average_us ? *average_us + (sample_us - *average_us) / 8 : sample_us;
}

void service_learn_cold_start(struct service *s, int64_t took_us)
{
	learn(&s->cold_start_us, took_us);
}

void service_learn_service_time(struct service *s, int64_t took_us)
{
	learn(&s->service_time_us, took_us);
}

/* Before any job has ended, the first one's age is the least that a job may last. */
static int64_t service_time_us(const struct service *s, int64_t now_us)
{
	if (s->service_time_us)
		return s->service_time_us;
	int64_t age_us = s->busy_since_us ? now_us - s->busy_since_us : 0;
	return age_us > UNKNOWN_SERVICE_US ? age_us : UNKNOWN_SERVICE_US;
}

static int64_t cold_start_us(const struct service *s)
{
	return s->cold_start_us ? s->cold_start_us : UNKNOWN_COLD_START_US;
}

/* Places of all pods that work or could. */
static int64_t open_places(const struct service *s)
{
	int64_t pods = s->pod_counts[POD_READY] + s->pod_counts[POD_FULL];
	int64_t each = s->config->container_concurrency;
	return each ? pods * each : pods * INT32_MAX;
}

/* Places of the pods that are being started. */
static int64_t places_to_come(const struct service *s)
{
	int64_t each = s->config->container_concurrency;
	return (s->autoscaler.desired ? s->autoscaler.desired : 1) * (each ? each : 1);
}

static const struct tenant *tenant_or_nobody(const struct service *s, uint64_t tenant)
{
	const struct tenant *tn = service_tenant(s, tenant);
	return tn ? tn : &s->nobody;
}

/* The part of so many places that a tenant may have. */
static int64_t share(const struct tenant *tn, int64_t places)
{
	return tn->caps.max_working && tn->caps.max_working < places ? tn->caps.max_working
								     : places;
}

/* Rounds of jobs until so many before it have had their turn. */
static int64_t rounds(int64_t waiting, int64_t places)
{
	return (waiting + places) / places;
}

int64_t service_expected_wait_us(const struct service *s, uint64_t tenant, int64_t now_us)
{
	const struct tenant *tn = tenant_or_nobody(s, tenant);
	bool is_cold = service_is_cold(s);
	int64_t places = is_cold ? places_to_come(s) : open_places(s);
	if (s->scaling_failed_until_us > now_us && is_cold)
		return s->scaling_failed_until_us - now_us;
	if (s->free_places > 0 && tenant_room(tn) > 0)
		return 0;
	if (places == 0)
		places = 1;
	/* Those that their tenants' caps hold back stand in nobody else's way. */
	int64_t all = rounds(s->runnable_waiting, places);
	int64_t own = rounds(tn->waiting, share(tn, places));
	return (is_cold ? cold_start_us(s) : 0) +
	       (own > all ? own : all) * service_time_us(s, now_us);
}

/* When a full queue, or a tenant's part of it, should have room again: when a slot frees, or there
 * is a first one. */
static int64_t until_queue_moves_us(const struct service *s, uint64_t tenant, int64_t now_us)
{
	int64_t places = share(tenant_or_nobody(s, tenant), open_places(s));
	if (service_is_cold(s))
		return cold_start_us(s);
	return service_time_us(s, now_us) / (places ? places : 1);
}

static int64_t until_worth_it_us(const struct service *s, const struct ticket *t, int64_t now_us)
{
	bool is_pass = t->kind == TICKET_PASS;
	switch (t->refusal) {
	case REFUSAL_TENANT_QUEUE_FULL:
		return until_queue_moves_us(s, t->tenant, now_us);
	case REFUSAL_QUEUE_FULL:
	case REFUSAL_EXPIRED:
		if (is_pass) /* the slots' times are not those of what passes beside them */
			return service_is_cold(s) ? cold_start_us(s) : SOONEST_RETRY_US;
		return t->refusal == REFUSAL_QUEUE_FULL
			       ? until_queue_moves_us(s, 0, now_us)
			       : service_expected_wait_us(s, t->tenant, now_us);
	case REFUSAL_NO_PODS:
		return cold_start_us(s);
	case REFUSAL_PASSES_FULL:
	case REFUSAL_CLOSING:
	case REFUSAL_NO_MEMORY:
		return SOONEST_RETRY_US; /* nothing that is known says when */
	default:
		return service_expected_wait_us(s, t->tenant, now_us);
	}
}

int64_t service_retry_after_us(const struct service *s, const struct ticket *t, int64_t now_us)
{
	int64_t us = until_worth_it_us(s, t, now_us);
	return us < SOONEST_RETRY_US  ? SOONEST_RETRY_US
	       : us > LATEST_RETRY_US ? LATEST_RETRY_US
				      : us;
}
