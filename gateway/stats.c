/* The metrics that the data plane keeps, and those that are read at a scrape. */
#include "gateway/stats.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "activator/activator.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

/* --- cells ----------------------------------------------------------------------------------- */

static struct metrics_counter *count_by(struct service_stats *s, enum metric m, const char *by)
{
	return metrics_counter(s->registry, m, (const char *[]){s->service, by});
}

static struct metrics_histogram *times(struct service_stats *s, enum metric m)
{
	return metrics_histogram(s->registry, m, (const char *[]){s->service});
}

static struct metrics_counter *count(struct service_stats *s, enum metric m)
{
	return metrics_counter(s->registry, m, (const char *[]){s->service});
}

const char *client_phase_name(enum client_phase phase)
{
	static const char *const names[] = {"uploading", "queued", "working", "streaming"};
	return names[phase];
}

static void init_queue_outcomes(struct service_stats *s)
{
	s->queue_outcomes[REFUSAL_NONE] = count_by(s, METRIC_QUEUE_OUTCOMES, "dispatched");
	for (int i = REFUSAL_NONE + 1; i < REFUSALS; i++)
		if (i != REFUSAL_PASSES_FULL) /* what takes a slot is never refused for it */
			s->queue_outcomes[i] =
				count_by(s, METRIC_QUEUE_OUTCOMES, refusal_name((enum refusal)i));
	s->client_left_queue = count_by(s, METRIC_QUEUE_OUTCOMES, "client_left");
}

/* From the start: what is first seen as a 1 is no increase to Prometheus. */
static void init_troubles(struct service_stats *s)
{
	static const char *const reasons[] = {"overloaded", "spool", "pod_failed",
					      "response_timeout", "rate_limited"};
	static const char *const kinds[] = {"refused", "connect_timeout", "tls",
					    "broken",  "garbage",	  "response_timeout"};
	for (int i = REFUSAL_NONE + 1; i < REFUSALS; i++)
		count_by(s, METRIC_REFUSED, refusal_name((enum refusal)i));
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		count_by(s, METRIC_REFUSED, reasons[i]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		count_by(s, METRIC_POD_FAILURES, kinds[i]);
}

static const char *const classes[] = {"aborted", "1xx", "2xx", "3xx", "4xx", "5xx"};

void service_stats_init(struct service_stats *s, struct metrics_registry *registry,
			const char *service)
{
	s->registry = registry;
	s->service = service;
	for (int i = 0; i < 6; i++)
		s->classes[i] = count_by(s, METRIC_REQUESTS, classes[i]);
	init_queue_outcomes(s);
	init_troubles(s);
	for (int i = 0; i < PHASES; i++)
		s->aborts[i] =
			count_by(s, METRIC_CLIENT_ABORTS, client_phase_name((enum client_phase)i));
	s->duration = times(s, METRIC_REQUEST_DURATION);
	s->first_byte = times(s, METRIC_TIME_TO_FIRST_BYTE);
	s->queue_wait = times(s, METRIC_QUEUE_WAIT);
	s->service_time = times(s, METRIC_SERVICE_TIME);
	s->cold_start = times(s, METRIC_COLD_START);
	s->cold_start_wait = times(s, METRIC_COLD_START_WAIT);
	s->discarded = count(s, METRIC_DISCARDED_ANSWERS);
	s->ejections = count(s, METRIC_EJECTIONS);
	s->spool_overflows = count(s, METRIC_SPOOL_OVERFLOWS);
	s->bytes_in = count(s, METRIC_BYTES_RECEIVED);
	s->bytes_out = count(s, METRIC_BYTES_SENT);
	s->scaling_failures = count(s, METRIC_SCALING_FAILURES);
	s->connections_new = count_by(s, METRIC_UPSTREAM_CONNECTIONS, "new");
	s->connections_reused = count_by(s, METRIC_UPSTREAM_CONNECTIONS, "reused");
	s->connections_stale = count_by(s, METRIC_UPSTREAM_CONNECTIONS, "stale");
	s->retries_stale = count_by(s, METRIC_RETRIES, "stale_connection");
	s->retries_refused = count_by(s, METRIC_RETRIES, "refused");
	s->retries_timeout = count_by(s, METRIC_RETRIES, "connect_timeout");
	s->retries_safe = count_by(s, METRIC_RETRIES, "safe_method");
	s->retries_not_secure = count_by(s, METRIC_RETRIES, "tls");
	s->quarantined_timeout = count_by(s, METRIC_QUARANTINES, "timeout");
	s->quarantined_broken = count_by(s, METRIC_QUARANTINES, "connection_broken");
}

void service_stats_release(struct service_stats *s)
{
	metrics_drop(s->registry, (const char *[]){"service", s->service, NULL});
}

void tenant_stats_init(struct tenant_stats *t, struct service_stats *s, const char *label)
{
	for (int i = 0; i < 6; i++)
		t->classes[i] = metrics_counter(s->registry, METRIC_TENANT_REQUESTS,
						(const char *[]){s->service, label, classes[i]});
	t->rate_limited = count_by(s, METRIC_TENANT_RATE_LIMITED, label);
}

void tenant_stats_release(struct service_stats *s, const char *label)
{
	metrics_drop(s->registry, (const char *[]){"service", s->service, "tenant", label, NULL});
}

void stats_refused(struct service_stats *s, const char *reason)
{
	s->refused++;
	metrics_count(count_by(s, METRIC_REFUSED, reason));
}

void stats_pod_failed(struct service_stats *s, const char *kind)
{
	metrics_count(count_by(s, METRIC_POD_FAILURES, kind));
}

void stats_probed(struct service_stats *s, const char *kind, const char *result)
{
	metrics_count(metrics_counter(s->registry, METRIC_PROBES,
				      (const char *[]){s->service, kind, result}));
}

void stats_start_spent(struct service_stats *s, const char *phase, int64_t us)
{
	metrics_observe(metrics_histogram(s->registry, METRIC_COLD_START_PHASE,
					  (const char *[]){s->service, phase}),
			us);
}

void stats_bad_request(struct gateway *gw, const char *reason)
{
	metrics_count(metrics_counter(gw->metrics, METRIC_BAD_REQUESTS, &reason));
}

void stats_reloaded(struct gateway *gw, bool success)
{
	const char *result = success ? "success" : "failure";
	metrics_count(metrics_counter(gw->metrics, METRIC_CONFIG_RELOADS, &result));
	metrics_gauge_set(metrics_gauge(gw->metrics, METRIC_CONFIG_LAST_RELOAD_SUCCESS, NULL),
			  success);
}

/* --- state that is read at a scrape: services ------------------------------------------------ */

static void sample(struct metrics_registry *r, enum metric m, const char *const *labels,
		   int64_t value)
{
	metrics_sample(r, metrics_gauge(r, m, labels), value);
}

static void sample_pod(struct backend *b, const struct pod *p)
{
	struct metrics_registry *r = b->stats.registry;
	bool is_open = p->state == POD_READY;
	int64_t free_places = is_open && b->config->container_concurrency ? pod_free_places(p) : 0;
	const char *service = b->stats.service;
	sample(r, METRIC_SLOTS, (const char *[]){service, p->name, "free"}, free_places);
	for (int i = 0; i < SLOT_STATES; i++)
		sample(r, METRIC_SLOTS,
		       (const char *[]){service, p->name, slot_state_name((enum slot_state)i)},
		       p->slot_counts[i]);
}

static void sample_tenant(struct backend *b, const struct tenant *tn)
{
	const char *label = tenants_label(b, tn->name);
	const char *const labels[] = {b->stats.service, label};
	if (!label)
		return; /* it is configured no more, and finishes what it has */
	sample(b->stats.registry, METRIC_TENANT_QUEUED, labels, tn->waiting);
	sample(b->stats.registry, METRIC_TENANT_WORKING, labels, tn->working);
}

static void mirror(struct metrics_registry *r, enum metric m, const char *service, uint64_t value)
{
	metrics_mirror(metrics_counter(r, m, (const char *[]){service}), value);
}

static void sample_provider(struct metrics_registry *r, struct backend *b)
{
	struct provider_status p;
	const char *name = b->stats.service;
	if (!provider_status(activator_provider(b->activator), &p))
		return;
	sample(r, METRIC_PROVIDER_UP, &name, p.fault == NULL);
	sample(r, METRIC_PROVIDER_WRITER, &name, p.is_writer);
	mirror(r, METRIC_KUBERNETES_REQUESTS, name, p.requests);
	mirror(r, METRIC_KUBERNETES_FAILURES, name, p.failures);
	mirror(r, METRIC_KUBERNETES_LISTS, name, p.lists);
	mirror(r, METRIC_KUBERNETES_SCALE_WRITES, name, p.writes);
	mirror(r, METRIC_KUBERNETES_SCALE_CONFLICTS, name, p.conflicts);
	mirror(r, METRIC_KUBERNETES_POD_DELETIONS, name, p.deletions);
}

static void sample_service(struct metrics_registry *r, struct backend *b)
{
	struct service_counts c;
	struct service *service = activator_service(b->activator);
	const char *name = b->stats.service;
	service_count(service, loop_now_us(b->gateway->loop), &c);
	for (int i = 0; i < POD_USES; i++)
		metrics_mirror(
			count_by(&b->stats, METRIC_POD_SECONDS, pod_use_name((enum pod_use)i)),
			(uint64_t)c.use_us[i]);
	for (int i = 0; i < POD_STATES; i++)
		sample(r, METRIC_PODS, (const char *[]){name, pod_state_name((enum pod_state)i)},
		       c.pods[i]);
	int64_t in_flight = 0;
	for (int i = 0; i < SLOT_STATES; i++)
		in_flight += c.slots[i];
	const struct {
		enum metric metric;
		int64_t value;
	} values[] = {
		{METRIC_IN_FLIGHT_REQUESTS, in_flight},
		{METRIC_QUEUED_REQUESTS, c.waiting},
		{METRIC_UPLOADING_REQUESTS, c.uploading},
		{METRIC_PASS_THROUGH_IN_FLIGHT, c.passes},
		{METRIC_DESIRED_PODS, c.desired},
		{METRIC_ACTUAL_PODS, c.pods[POD_READY] + c.pods[POD_FULL]},
		{METRIC_CONCURRENCY, metrics_millionths(c.concurrency)},
		{METRIC_STABLE_CONCURRENCY, metrics_millionths(c.stable_concurrency)},
		{METRIC_PANIC_CONCURRENCY, metrics_millionths(c.panic_concurrency)},
	};
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		sample(r, values[i].metric, &name, values[i].value);
	sample_provider(r, b);
}

/* --- the process ----------------------------------------------------------------------------- */

static int64_t count_descriptors(void)
{
	struct stat told;
	if (stat("/proc/self/fd", &told) == 0 && told.st_size > 0)
		return told.st_size; /* Linux 6.2 and later: no need to list thousands */
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = 0;
	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the directory itself */
}

static int64_t resident_bytes(void)
{
	long long pages = 0, ignored;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lld %lld", &ignored, &pages) != 2)
		pages = 0;
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static int64_t cpu_us(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * US_PER_S + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

static void sample_certificates(struct metrics_registry *r, const struct listener_config *l)
{
	for (size_t i = 0; l->tls.context && i < l->tls.count; i++)
		sample(r, METRIC_TLS_CERTIFICATE_EXPIRY,
		       (const char *[]){l->address, l->tls.pairs[i].certificate},
		       tls_context_expiry(l->tls.context, i));
}

static void sample_process(struct metrics_registry *r, struct gateway *gw)
{
	sample(r, METRIC_PROCESS_OPEN_FDS, NULL, count_descriptors());
	sample(r, METRIC_PROCESS_RESIDENT_MEMORY, NULL, resident_bytes());
	sample(r, METRIC_CLIENT_MEMORY, NULL, gw->memory.used_bytes);
	sample(r, METRIC_KNATIVE_CONNECTED, NULL, knative_is_connected(gw->knative));
	sample(r, METRIC_CLIENT_MEMORY_LIMIT, NULL, gw->memory.limit_bytes);
	sample(r, METRIC_SPOOLED_BYTES, (const char *[]){"memory"}, gw->spool.memory_bytes);
	sample(r, METRIC_SPOOLED_BYTES, (const char *[]){"disk"}, gw->spool.disk_bytes);
	sample(r, METRIC_SPOOL_LIMIT, (const char *[]){"memory"}, gw->spool.memory_limit_bytes);
	sample(r, METRIC_SPOOL_LIMIT, (const char *[]){"disk"}, gw->spool.disk_limit_bytes);
	metrics_mirror(metrics_counter(r, METRIC_PROCESS_CPU, NULL), (uint64_t)cpu_us());
	metrics_mirror(metrics_counter(r, METRIC_LOG_LINES_DROPPED, NULL), log_dropped_lines());
}

/* First the process, then a service, a tenant or a pod at each turn. */
static bool collect(struct metrics_registry *r, void *owner, unsigned turn)
{
	struct gateway *gw = owner;
	if (turn == 0) {
		sample_process(r, gw);
		sample_certificates(r, &gw->config->admin);
		sample_certificates(r, &gw->config->keda);
		sample_certificates(r, &gw->config->metrics_api.listener);
		for (size_t i = 0; i < gw->config->listener_count; i++)
			sample_certificates(r, &gw->config->listeners[i]);
		fleet_begin(&gw->sampled, gw);
		return true;
	}
	switch (fleet_next(&gw->sampled)) {
	case FLEET_SERVICE:
		sample_service(r, gw->sampled.backend);
		return true;
	case FLEET_TENANT:
		sample_tenant(gw->sampled.backend, gw->sampled.tenant);
		return true;
	case FLEET_POD:
		sample_pod(gw->sampled.backend, gw->sampled.pod);
		return true;
	case FLEET_SERVICE_END:
		return true;
	case FLEET_END:
		break;
	}
	fleet_end(&gw->sampled);
	return false;
}

void stats_start(struct gateway *gw)
{
	metrics_gauge_set(
		metrics_gauge(gw->metrics, METRIC_BUILD_INFO, (const char *[]){SLOTGATE_VERSION}),
		1);
	metrics_gauge_set(metrics_gauge(gw->metrics, METRIC_PROCESS_START_TIME, NULL),
			  clock_wall_us());
	metrics_gauge_set(metrics_gauge(gw->metrics, METRIC_CONFIG_LAST_RELOAD_SUCCESS, NULL), 1);
	metrics_add_collector(gw->metrics, collect, gw);
}

void stats_stop(struct gateway *gw)
{
	metrics_remove_collector(gw->metrics, collect, gw);
	fleet_end(&gw->sampled);
}
