/* Wires the parts; reloads and drains. */
#include "gateway/gateway.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "activator/providers/supervisor.h"
#include "base/clock.h"
#include "base/http_client.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/admin/admin.h"
#include "gateway/autoscalers/front_proxy.h"
#include "gateway/autoscalers/metrics_api.h"
#include "gateway/backend.h"
#include "gateway/connection.h"
#include "gateway/listener.h"
#include "gateway/notify.h"
#include "gateway/privileges.h"
#include "gateway/request.h"
#include "gateway/shed.h"
#include "gateway/tracing/tracing.h"
#include "gateway/upgrade/upgrade.h"

static const int64_t WATCH_US = US_PER_S;
static const int64_t REFUSE_US = 500 * US_PER_MS;

/* A client's own descriptor, and one to the pod that works for it. */
enum { DESCRIPTORS_EACH = 2 };

/* Of the process's descriptors, a part is kept for pods, temporary files, the admin and the gateway
 * itself: an eighth, but no fewer and no more than these. */
enum { DESCRIPTORS_KEPT_MIN = 24, DESCRIPTORS_KEPT_MAX = 1024 };

/* --- shared ---------------------------------------------------------------------------------- */

struct http_parser *gateway_take_parser(struct gateway *gw)
{
	if (gw->spare_parser_count)
		return gw->spare_parsers[--gw->spare_parser_count];
	return http_parser_new();
}

void gateway_give_parser(struct gateway *gw, struct http_parser *p)
{
	int max = (int)(sizeof(gw->spare_parsers) / sizeof(*gw->spare_parsers));
	if (gw->spare_parser_count < max)
		gw->spare_parsers[gw->spare_parser_count++] = p;
	else
		http_parser_free(p);
}

struct http_limits gateway_http_limits(const struct gateway *gw)
{
	const struct limits_config *limits = &gw->config->limits;
	return (struct http_limits){(size_t)limits->max_header_bytes, (size_t)limits->max_headers,
				    (size_t)limits->max_target_bytes};
}

int64_t gateway_max_connections(const struct gateway *gw)
{
	int64_t most = gw->config->limits.max_connections;
	int64_t possible = gw->client_descriptors / DESCRIPTORS_EACH;
	return most < possible ? most : possible;
}

/* --- configuration --------------------------------------------------------------------------- */

static void log_lines(enum log_level level, const char *prefix, const struct str *lines)
{
	const char *at = lines->len ? lines->at : "";
	while (*at) {
		size_t n = strcspn(at, "\n");
		log_write(level, "%s%.*s", prefix, (int)n, at);
		at += n + (at[n] == '\n');
	}
}

static void warn_of_surroundings(const struct config *c)
{
	struct str lines;
	str_init_must(&lines);
	config_warnings(c, &lines);
	log_lines(LOG_WARN, "", &lines);
	str_release(&lines);
}

static void apply_log(const struct config *c)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	for (int i = 0; i < 4; i++)
		if (strcmp(c->log_level, names[i]) == 0)
			log_set_level((enum log_level)i);
	if (!log_open_access(c->access_log))
		log_error("log.access: cannot open %s: %s", c->access_log, strerror(errno));
}

static void divide_descriptors(struct gateway *gw)
{
	int64_t all = net_raise_descriptor_limit();
	if (all < 0)
		all = INT32_MAX; /* no limit, or none that can be asked for */
	int64_t kept = all / 8;
	if (kept < DESCRIPTORS_KEPT_MIN)
		kept = DESCRIPTORS_KEPT_MIN;
	if (kept > DESCRIPTORS_KEPT_MAX)
		kept = DESCRIPTORS_KEPT_MAX;
	gw->descriptors = all;
	gw->client_descriptors = all - kept > DESCRIPTORS_EACH ? all - kept : DESCRIPTORS_EACH;
}

static void warn_of_descriptors(struct gateway *gw)
{
	int64_t wanted = gw->config->limits.max_connections;
	int64_t possible = gateway_max_connections(gw);
	bool is_known = gw->told_connections == wanted; /* the descriptors are what they were */
	gw->told_connections = wanted;
	if (possible < wanted && !is_known)
		log_warn("limits.maxConnections: at most %lld of %lld clients are let in, as the "
			 "process may have %lld descriptors, and each takes %d: raise its limit of "
			 "open files (LimitNOFILE, ulimit -n) or lower maxConnections",
			 (long long)possible, (long long)wanted, (long long)gw->descriptors,
			 DESCRIPTORS_EACH);
}

static void apply_limits(struct gateway *gw)
{
	warn_of_descriptors(gw);
	gw->spool.memory_limit_bytes = gw->config->limits.spool_memory_bytes;
	gw->spool.disk_limit_bytes = gw->config->limits.spool_disk_bytes;
	shed_configure(gw);
}

static bool apply_services(struct gateway *gw)
{
	struct config *c = gw->config;
	for (size_t i = 0; i < c->service_count; i++) {
		struct backend *b = backend_to_configure(gw, c->services[i].name);
		if (b)
			backend_configure(b, c, &c->services[i]);
		else if (!backend_new(gw, c, &c->services[i]))
			return false;
	}
	LIST_EACH(b, &gw->backends, struct backend, link) {
		bool is_configured = false;
		for (size_t i = 0; i < c->service_count; i++)
			is_configured |= strcmp(c->services[i].name, b->name) == 0;
		if (!is_configured && !b->is_retired)
			backend_retire(b);
	}
	return true;
}

/* Listeners are known by their addresses; those that share one (with port 0, for any that is free)
 * by their order. NULL: it is configured no more, and stays as it was until the restart. */
static const struct listener_config *settings_of(const struct gateway *gw, const struct listener *l)
{
	const struct config *c = gw->config;
	size_t before = 0;
	if (l->kind == LISTENER_ADMIN)
		return &c->admin;
	if (l->kind == LISTENER_KEDA)
		return c->keda.address ? &c->keda : NULL;
	if (l->kind == LISTENER_METRICS_API)
		return c->metrics_api.listener.address ? &c->metrics_api.listener : NULL;
	for (struct list *at = l->link.prev; at != &gw->listeners; at = at->prev) {
		const struct listener *other = LIST_OWNER(at, struct listener, link);
		before += other->kind == l->kind && strcmp(other->address, l->address) == 0;
	}
	for (size_t i = 0; i < c->listener_count; i++)
		if (strcmp(c->listeners[i].address, l->address) == 0 && before-- == 0)
			return &c->listeners[i];
	return NULL;
}

static void apply_listeners(struct gateway *gw)
{
	LIST_EACH(l, &gw->listeners, struct listener, link) {
		const struct listener_config *settings = settings_of(gw, l);
		if (settings)
			listener_configure(l, settings);
	}
	if (gw->front_proxy)
		front_proxy_configure(gw->front_proxy);
}

static void reload(void *owner)
{
	struct gateway *gw = owner;
	struct str lines;
	if (gw->draining || upgrade_is_frozen(gw)) /* if it is taken back, a change is seen later */
		return;
	str_init_must(&lines);
	notify_reloading();
	gw->files_seen = config_stamp_now(gw->config);
	struct config *c = config_load(gw->config_path, &lines);
	stats_reloaded(gw, c != NULL);
	if (!c) {
		log_lines(LOG_ERROR, "reload refused: ", &lines);
		log_error("the configuration stays as it was");
		str_release(&lines);
		notify_ready();
		return;
	}
	struct config *old = gw->config;
	config_unreloadable(old, c, &lines);
	log_lines(LOG_WARN, "needs a restart: ", &lines);
	str_release(&lines);
	gw->config = c;
	gw->files_seen = c->stamp;
	apply_log(c);
	apply_limits(gw);
	apply_listeners(gw);
	apply_services(gw);
	tracing_configure(gw->tracing, &c->tracing);
	knative_configure(gw->knative);
	config_drop(old);
	log_info("configuration reloaded from %s", gw->config_path);
	notify_ready();
}

/* Also certificates and the like: what they say is part of the configuration. A change that was
 * refused is not tried again until something changes again. */
static void watch_files(void *owner)
{
	struct gateway *gw = owner;
	if (config_stamp_now(gw->config) != gw->files_seen)
		reload(gw);
	timer_set(&gw->watch_timer, loop_now_us(gw->loop) + WATCH_US);
}

/* --- the end --------------------------------------------------------------------------------- */

static void on_part_gone(void *owner)
{
	struct gateway *gw = owner;
	if (--gw->shutting_down == 0)
		loop_stop(gw->loop);
}

/* Nobody is served any more: the pods may go. */
static void shut_down(struct gateway *gw)
{
	if (gw->shutting_down)
		return;
	timer_clear(&gw->drain_timer);
	timer_clear(&gw->tunnel_timer);
	connections_abort(gw);
	jobs_abort(gw);
	gw->shutting_down = 1;
	LIST_EACH(b, &gw->backends, struct backend, link) {
		task_cancel(&b->retire);
		gw->shutting_down++;
		activator_shutdown(b->activator, on_part_gone, gw);
	}
	gw->shutting_down++;
	tracing_shutdown(gw->tracing, on_part_gone, gw);
	on_part_gone(gw);
}

/* Nobody but a process that has handed over can hear a pod's late answer to its job. */
static bool waits_for_overdue(const struct gateway *gw)
{
	return upgrade_is_over(gw) && !gw->lets_go && !list_is_empty(&gw->overdue);
}

static void on_drain_task(void *owner)
{
	struct gateway *gw = owner;
	/* Also the jobs that work for nobody: only then are their slots known to be free. */
	if (gw->connection_count == 0 && list_is_empty(&gw->job_list) &&
	    list_is_empty(&gw->predecessors) && !waits_for_overdue(gw))
		shut_down(gw);
}

void gateway_drain_on(struct gateway *gw)
{
	loop_defer(gw->loop, &gw->drain_task);
}

static void on_drain_timeout(void *owner)
{
	struct gateway *gw = owner;
	if (gw->drain_is_over) {
		shut_down(gw);
		return;
	}
	log_warn("drainTimeout: the requests that are left are refused, or cut off");
	gw->drain_is_over = true;
	jobs_close_tunnels(gw);
	LIST_EACH(b, &gw->backends, struct backend, link) {
		service_close(backend_service(b), loop_now_us(gw->loop));
		activator_changed(b->activator);
	}
	/* Those that waited get a moment to be told. */
	timer_set(&gw->drain_timer, loop_now_us(gw->loop) + REFUSE_US);
}

static void close_listeners(struct gateway *gw, bool all)
{
	LIST_EACH(l, &gw->listeners, struct listener, link)
		if (all || l->kind == LISTENER_CLIENTS)
			listener_close(l);
}

static void on_tunnel_timer(void *owner)
{
	jobs_close_tunnels(owner);
}

static void begin_draining(struct gateway *gw)
{
	gw->draining = true;
	timer_set(&gw->drain_timer, loop_now_us(gw->loop) + gw->config->drain_timeout_us);
	timer_set(&gw->tunnel_timer, loop_now_us(gw->loop) + gw->config->drain_tunnels_us);
	gateway_drain_on(gw);
}

static void drain(void *owner)
{
	struct gateway *gw = owner;
	bool again = gw->told_to_stop;
	gw->told_to_stop = true;
	if (gw->draining && !again) { /* since an upgrade */
		gateway_let_go(gw);
		return;
	}
	if (again) {
		log_warn("told to stop again: not waiting any longer");
		shut_down(gw);
		return;
	}
	log_info("draining: finishing %zu jobs that are queued or at work", gw->jobs.count);
	upgrade_refuse(gw);
	notify_stopping();
	close_listeners(gw, false);
	begin_draining(gw);
	keda_step_aside(gw);
	gateway_let_go(gw);
	upgrade_drain_predecessors(gw);
}

void gateway_let_go(struct gateway *gw)
{
	gw->lets_go = true;
	connections_drain(gw);
	gateway_drain_on(gw);
}

void gateway_step_down(struct gateway *gw)
{
	timer_clear(&gw->watch_timer);
	begin_draining(gw);
	keda_step_aside(gw);
	knative_stop(gw->knative);
	connections_step_down(gw);
}

/* --- the beginning --------------------------------------------------------------------------- */

static bool open_metrics_api(struct gateway *gw)
{
	const struct listener_config *c = &gw->config->metrics_api.listener;
	if (!c->address)
		return true;
	struct listener *l = listener_open(gw, c, &metrics_api_handler, LISTENER_METRICS_API);
	gw->front_proxy = l ? front_proxy_new(gw, l) : NULL;
	return gw->front_proxy != NULL;
}

static bool open_listeners(struct gateway *gw)
{
	const struct config *c = gw->config;
	if (!listener_open(gw, &c->admin, &admin_handler, LISTENER_ADMIN) || !open_metrics_api(gw))
		return false;
	if (c->keda.address && !listener_open(gw, &c->keda, &keda_handler, LISTENER_KEDA))
		return false;
	for (size_t i = 0; i < c->listener_count; i++)
		if (!listener_open(gw, &c->listeners[i], &request_handler, LISTENER_CLIENTS))
			return false;
	inherited_close(&gw->inherited);
	return true;
}

static void on_upgrade(void *owner)
{
	upgrade_start(owner);
}

static void on_child(void *owner)
{
	upgrade_child_ended(owner);
}

static bool watch_signals(struct gateway *gw)
{
	signal(SIGPIPE, SIG_IGN);
	return loop_on_signal(gw->loop, SIGTERM, drain, gw) &&
	       loop_on_signal(gw->loop, SIGINT, drain, gw) &&
	       loop_on_signal(gw->loop, SIGHUP, reload, gw) &&
	       loop_on_signal(gw->loop, SIGUSR2, on_upgrade, gw) &&
	       loop_on_signal(gw->loop, SIGCHLD, on_child, gw);
}

static bool start(struct gateway *gw, bool take_over)
{
	gw->loop = loop_new();
	if (!gw->loop)
		return false;
	list_init(&gw->listeners);
	list_init(&gw->backends);
	list_init(&gw->requests);
	list_init(&gw->job_list);
	list_init(&gw->overdue);
	list_init(&gw->connections);
	list_init(&gw->predecessors);
	table_init(&gw->jobs);
	map_init(&gw->clients);
	gw->buffer = mem_must_zalloc(READ_BYTES);
	gw->metrics = metrics_new(METRICS_MAX_LABEL_VALUES);
	gw->worker = worker_new(gw->loop);
	gw->spool.worker = gw->worker;
	gw->spool.budget = &gw->memory;
	gw->providers.loop = gw->loop;
	gw->providers.http = http_client_new(gw->loop);
	gw->providers.supervisor = supervisor_new(gw->loop);
	gw->tracing = gw->providers.http ? tracing_new(gw->loop, gw->providers.http, gw->metrics,
						       SLOTGATE_VERSION)
					 : NULL;
	gw->knative = gw->providers.http ? knative_new(gw) : NULL;
	task_init(&gw->drain_task, on_drain_task, gw);
	if (!gw->worker || !gw->tracing || !gw->knative || !gw->providers.supervisor ||
	    !timer_init(&gw->drain_timer, gw->loop, on_drain_timeout, gw) ||
	    !timer_init(&gw->tunnel_timer, gw->loop, on_tunnel_timer, gw) ||
	    !timer_init(&gw->watch_timer, gw->loop, watch_files, gw))
		return false;
	/* The disk's thread reads it: it stays what it was, whatever a reload says. */
	gw->spool.directory = gw->spool_directory = mem_must_strdup(gw->config->spool_directory);
	tracing_configure(gw->tracing, &gw->config->tracing);
	pages_init(gw);
	keda_init(gw);
	stats_start(gw);
	apply_limits(gw);
	if (take_over && !upgrade_ask(gw))
		return false;
	if (!watch_signals(gw) || !apply_services(gw) || !open_listeners(gw) ||
	    !privileges_drop(gw->config))
		return false;
	knative_configure(gw->knative);
	return take_over ? upgrade_take(gw) : upgrade_listen(gw);
}

static void stop(struct gateway *gw)
{
	upgrade_end(gw);
	upgrade_forget_predecessors(gw);
	front_proxy_free(gw->front_proxy);
	close_listeners(gw, true);
	if (gw->relay_listener)
		listener_drop(gw->relay_listener);
	LIST_EACH(b, &gw->backends, struct backend, link)
		backend_free(b);
	loop_settle(gw->loop);
	supervisor_free(gw->providers.supervisor);
	tracing_free(gw->tracing);
	knative_free(gw->knative);
	http_client_free(gw->providers.http);
	worker_free(gw->worker);
	timer_release(&gw->drain_timer);
	timer_release(&gw->tunnel_timer);
	timer_release(&gw->watch_timer);
	stats_stop(gw);
	metrics_free(gw->metrics);
	while (gw->spare_parser_count)
		http_parser_free(gw->spare_parsers[--gw->spare_parser_count]);
	table_release(&gw->jobs);
	map_release(&gw->clients);
	mem_free(gw->spool_directory);
	mem_free(gw->buffer);
	loop_free(gw->loop);
	config_drop(gw->config);
}

int gateway_run(const struct gateway_start *how)
{
	static struct gateway gateway;
	struct gateway *gw = &gateway;
	struct str faults;
	str_init_must(&faults);
	gw->config_path = how->config_path;
	gw->program = how->program;
	gw->config = config_load(how->config_path, &faults);
	if (!gw->config) {
		fputs(faults.at, stderr);
		str_release(&faults);
		return 1;
	}
	str_release(&faults);
	divide_descriptors(gw);
	apply_log(gw->config);
	log_start();
	warn_of_surroundings(gw->config);
	inherited_from_manager(&gw->inherited);
	if (!start(gw, how->take_over)) {
		log_error("slotgate could not start");
		log_stop();
		return 1;
	}
	gw->files_seen = gw->config->stamp;
	notify_ready();
	timer_set(&gw->watch_timer, loop_now_us(gw->loop) + WATCH_US);
	loop_run(gw->loop);
	stop(gw);
	log_info("stopped");
	log_stop();
	return 0;
}
