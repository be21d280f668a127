/* Ledgers as packets. */
#include "gateway/upgrade/upgrade_record.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"

/* --- the old process ------------------------------------------------------------------------- */

struct recording {
	struct channel *channel;
	struct str *packet;
	struct backend *backend;
	bool failed;
};

static void tell(struct recording *r, int fd)
{
	say_end(r->packet);
	r->failed = r->failed || !channel_say(r->channel, r->packet, fd);
}

static void record_slot(struct recording *r, const struct slot *slot)
{
	struct slot_record s;
	service_record_slot(slot, &s);
	say_begin(r->packet, "slot");
	say_id(r->packet, "grant", slot->id);
	say_text(r->packet, "tenant", s.tenant ? s.tenant : "");
	say_int(r->packet, "state", s.state);
	say_bool(r->packet, "isPass", s.is_pass);
	say_bool(r->packet, "isExclusive", s.is_exclusive);
	say_bool(r->packet, "freedByIdle", s.freed_by_idle);
	say_bool(r->packet, "isInterrupted", s.is_interrupted);
	say_bool(r->packet, "connectionBroke", s.connection_broke);
	say_int(r->packet, "grantedUs", s.granted_us);
	tell(r, -1);
}

static void record_pod(void *arg, const struct pod *pod)
{
	struct recording *r = arg;
	struct pod_record p;
	service_record_pod(pod, &p);
	say_begin(r->packet, "pod");
	say_text(r->packet, "name", p.name);
	say_int(r->packet, "state", p.state);
	say_bool(r->packet, "pastIsKnown", p.past_is_known);
	say_bool(r->packet, "wasReady", p.was_ready);
	say_int(r->packet, "failures", p.failures);
	say_int(r->packet, "ejections", p.ejections);
	say_int(r->packet, "addedUs", p.added_us);
	say_int(r->packet, "ejectedUntilUs", p.ejected_until_us);
	tell(r, -1);
	for (int i = 0; i < SLOT_STATES; i++)
		LIST_EACH(slot, &pod->slots[i], struct slot, link)
			record_slot(r, slot);
	say_begin(r->packet, "podEnd");
	tell(r, -1);
}

static void record_process(void *arg, const struct provider_pod *p)
{
	struct recording *r = arg;
	say_begin(r->packet, "process");
	say_text(r->packet, "name", p->name);
	say_int(r->packet, "index", p->index);
	say_int(r->packet, "port", p->port);
	say_int(r->packet, "starts", p->starts);
	say_int(r->packet, "startedUs", p->started_us);
	say_int(r->packet, "state", p->state);
	say_id(r->packet, "child", p->child);
	say_int(r->packet, "pid", p->pid);
	tell(r, p->output);
}

static void say_autoscaler(struct str *packet, const struct autoscaler_record *a)
{
	say_int(packet, "desired", a->desired);
	say_int(packet, "concurrencyMilli", (int64_t)(a->concurrency * 1000));
	say_int(packet, "panicUs", a->panic_us);
	say_int(packet, "panicPods", a->panic_pods);
	say_int(packet, "zeroUs", a->zero_us);
}

static void record_start(struct recording *r, const struct coldstart *c)
{
	char ranks[COLDSTART_MARKS + 1] = "";
	const struct pod *holder = service_pod(backend_service(r->backend), c->holder);
	say_begin(r->packet, "coldStart");
	say_text(r->packet, "key", c->key);
	say_text(r->packet, "pod", c->pod);
	say_text(r->packet, "of", holder ? holder->name : "");
	say_text(r->packet, "node", c->node);
	say_text(r->packet, "why", c->why);
	say_int(r->packet, "state", c->state);
	say_int(r->packet, "possible", c->possible);
	say_int(r->packet, "imageBytes", c->image_bytes);
	say_int(r->packet, "restarts", c->restarts);
	say_int(r->packet, "begunUs", c->began_us);
	say_int(r->packet, "counted", c->counted);
	say_bool(r->packet, "imageWasThere", c->image_was_there);
	say_bool(r->packet, "isGone", c->is_gone);
	for (int i = 0; i < COLDSTART_MARKS; i++) {
		ranks[i] = (char)('0' + c->ranks[i]);
		if (c->at_us[i] != COLDSTART_UNKNOWN)
			say_int(r->packet, coldstart_mark_name((enum coldstart_mark)i),
				c->at_us[i]);
	}
	say_text(r->packet, "ranks", ranks);
	tell(r, -1);
}

static void record_starts(struct recording *r, const struct coldstarts *all)
{
	for (int i = COLDSTART_STATES - 1; i >= 0; i--)
		LIST_EACH(c, &all->states[i], const struct coldstart, link)
			record_start(r, c);
	for (size_t i = 0; i < all->order_count; i++) {
		const struct coldstart_order *o = &all->orders[i];
		say_begin(r->packet, "coldStartOrder");
		if (o->demanded_us != COLDSTART_UNKNOWN)
			say_int(r->packet, "demanded", o->demanded_us);
		if (o->ordered_us != COLDSTART_UNKNOWN)
			say_int(r->packet, "ordered", o->ordered_us);
		say_int(r->packet, "decidedUs", o->decided_us);
		tell(r, -1);
	}
}

bool record_backend(struct channel *c, struct str *packet, struct backend *b)
{
	struct recording r = {.channel = c, .packet = packet, .backend = b};
	struct service_record s;
	service_record(backend_service(b), loop_now_us(b->gateway->loop), &s);
	say_begin(packet, "service");
	say_text(packet, "name", b->name);
	say_id(packet, "backend", b->number);
	say_int(packet, "provider", b->config->provider);
	say_bool(packet, "isRetired", b->is_retired);
	say_id(packet, "lastOrder", s.last_order);
	say_int(packet, "serviceTimeUs", s.service_time_us);
	say_int(packet, "coldStartUs", s.cold_start_us);
	say_int(packet, "warmUs", s.warm_us);
	say_autoscaler(packet, &s.autoscaler);
	say_int(packet, "ordered", s.ordered);
	tell(&r, -1);
	service_each_pod(backend_service(b), record_pod, &r);
	provider_each(activator_provider(b->activator), record_process, &r);
	record_starts(&r, service_coldstarts(backend_service(b)));
	return !r.failed;
}

void record_ending(struct str *packet, const char *service, const struct ending *e)
{
	say_begin(packet, "ended");
	say_text(packet, "service", service);
	say_text(packet, "tenant", e->tenant ? e->tenant : "");
	say_text(packet, "reason", e->reason ? e->reason : "");
	say_int(packet, "outcome", e->outcome);
	say_int(packet, "status", e->status);
	say_int(packet, "phase", e->phase);
	say_bool(packet, "takesSlot", e->takes_slot);
	say_int(packet, "durationUs", e->duration_us);
	say_int(packet, "firstByteUs", e->first_byte_us);
	say_int(packet, "queueWaitUs", e->queue_wait_us);
	say_int(packet, "coldStartWaitUs", e->cold_start_wait_us);
	say_int(packet, "bytesIn", e->bytes_in);
	say_int(packet, "bytesOut", e->bytes_out);
}

/* --- the new process ------------------------------------------------------------------------- */

static int64_t now_of(const struct restoring *r)
{
	return loop_now_us(r->gateway->loop);
}

/* The service is configured no more, or has other pods: its old ones end as by a
 * reload, after their jobs. */
static struct backend *retired(struct gateway *gw, const char *name, enum provider_kind provider)
{
	struct config *c = config_of_retired(name, provider);
	struct backend *b = backend_new(gw, c, &c->services[0]);
	config_drop(c);
	if (b)
		backend_retire(b);
	return b;
}

/* A process from before panics were handed over says nothing of them. */
static struct autoscaler_record heard_autoscaler(const struct message *m)
{
	return (struct autoscaler_record){
		.desired = message_int(m, "desired", 0),
		.concurrency = (double)message_int(m, "concurrencyMilli", 0) / 1000,
		.panic_us = message_int(m, "panicUs", -1),
		.panic_pods = message_int(m, "panicPods", 0),
		.zero_us = message_int(m, "zeroUs", -1),
	};
}

static bool restore_service(struct restoring *r, const struct message *m)
{
	const char *name = message_text(m, "name");
	int64_t kind = message_int(m, "provider", -1);
	struct service_record s = {
		.last_order = message_id(m, "lastOrder"),
		.service_time_us = message_int(m, "serviceTimeUs", 0),
		.cold_start_us = message_int(m, "coldStartUs", 0),
		.warm_us = message_int(m, "warmUs", now_of(r)),
		.autoscaler = heard_autoscaler(m),
		.ordered = message_int(m, "ordered", 0),
	};
	if (kind < PROVIDER_STATIC || kind > PROVIDER_KUBERNETES)
		return false;
	struct backend *b = backend_by_name(r->gateway, name);
	if (!b || b->config->provider != (enum provider_kind)kind)
		b = retired(r->gateway, name, (enum provider_kind)kind);
	r->backend = b;
	r->number = message_id(m, "backend");
	r->pod = 0;
	r->is_back = b && !b->is_retired && message_bool(m, "isRetired");
	if (b && b->is_retired)
		s.autoscaler.desired = 0; /* as many as its jobs have, and no new ones */
	if (b)
		service_resume(backend_service(b), &s, now_of(r));
	return b != NULL;
}

static bool restore_pod(struct restoring *r, const struct message *m)
{
	int64_t state = message_int(m, "state", -1);
	int n = snprintf(r->name, sizeof(r->name), "%s", message_text(m, "name"));
	r->record = (struct pod_record){
		.name = r->name,
		.state = (enum pod_state)state,
		.past_is_known = message_bool(m, "pastIsKnown"),
		.was_ready = message_bool(m, "wasReady"),
		.failures = message_int(m, "failures", 0) & INT16_MAX,
		.ejections = message_int(m, "ejections", 0) & INT16_MAX,
		.added_us = message_int(m, "addedUs", now_of(r)),
		.ejected_until_us = message_int(m, "ejectedUntilUs", 0),
	};
	if (!r->backend || state < 0 || state >= POD_STATES || n <= 0 || n >= (int)sizeof(r->name))
		return false;
	if (r->is_back && (state == POD_READY || state == POD_FULL))
		r->record.state = POD_STARTING;
	r->pod = service_restore_pod(backend_service(r->backend), &r->record, now_of(r));
	return r->pod != 0;
}

static bool restore_slot(struct restoring *r, const struct message *m)
{
	int64_t state = message_int(m, "state", -1);
	struct slot_record s = {
		.tenant = message_text(m, "tenant"),
		.state = (enum slot_state)state,
		.is_pass = message_bool(m, "isPass"),
		.is_exclusive = message_bool(m, "isExclusive"),
		.freed_by_idle = message_bool(m, "freedByIdle"),
		.is_interrupted = message_bool(m, "isInterrupted"),
		.connection_broke = message_bool(m, "connectionBroke"),
		.granted_us = message_int(m, "grantedUs", now_of(r)),
	};
	if (!r->backend || !r->pod || state < 0 || state >= SLOT_STATES)
		return false;
	struct adopted *a = mem_zalloc(sizeof(*a));
	if (!a)
		return false;
	list_init(&a->link);
	a->is_pass = s.is_pass;
	a->backend = r->backend;
	a->grant = service_restore_slot(backend_service(r->backend), r->pod, &s, now_of(r));
	adopted_key(a->key, sizeof(a->key), r->number, message_id(m, "grant"));
	backend_hold(r->backend);
	list_push_back(r->adopted, &a->link);
	return a->grant != 0;
}

/* Pods that run anyway are known to their provider by their names. */
static bool restore_pod_end(struct restoring *r)
{
	if (!r->backend || !r->pod)
		return false;
	struct service *s = backend_service(r->backend);
	service_restore_pod_state(s, r->pod, &r->record, now_of(r));
	if (r->backend->config->provider != PROVIDER_PROCESS) {
		struct provider_pod p = {.name = r->name, .output = -1};
		provider_adopt(activator_provider(r->backend->activator), &p);
	}
	r->pod = 0;
	activator_changed(r->backend->activator);
	return true;
}

static bool restore_process(struct restoring *r, struct message *m)
{
	if (!r->backend)
		return false;
	struct provider_pod p = {
		.name = message_text(m, "name"),
		.index = message_int(m, "index", -1),
		.port = message_int(m, "port", -1),
		.starts = message_int(m, "starts", -1),
		.started_us = message_int(m, "startedUs", now_of(r)),
		.state = message_int(m, "state", -1),
		.child = message_id(m, "child"),
		.pid = message_int(m, "pid", 0),
		.output = message_take_fd(m),
	};
	return provider_adopt(activator_provider(r->backend->activator), &p);
}

static void copy_text(char *to, size_t size, const struct message *m, const char *key)
{
	snprintf(to, size, "%s", message_text(m, key));
}

/* That one of them cannot be kept is no reason to keep the old process. */
static bool restore_start(struct restoring *r, const struct message *m)
{
	const char *ranks = message_text(m, "ranks");
	struct coldstart c = {
		.state = (enum coldstart_state)message_int(m, "state", COLDSTART_STATES),
		.possible = (unsigned)message_int(m, "possible", 0) & COLDSTART_OF_KUBERNETES,
		.image_bytes = message_int(m, "imageBytes", 0),
		.restarts = message_int(m, "restarts", 0),
		.began_us = message_int(m, "begunUs", now_of(r)),
		.counted = (enum coldstart_mark)message_int(m, "counted", COLDSTART_MARKS),
		.image_was_there = message_bool(m, "imageWasThere"),
		.is_gone = message_bool(m, "isGone"),
	};
	copy_text(c.key, sizeof(c.key), m, "key");
	copy_text(c.pod, sizeof(c.pod), m, "pod");
	copy_text(c.node, sizeof(c.node), m, "node");
	copy_text(c.why, sizeof(c.why), m, "why");
	for (int i = 0; i < COLDSTART_MARKS; i++) {
		c.at_us[i] = message_int(m, coldstart_mark_name((enum coldstart_mark)i),
					 COLDSTART_UNKNOWN);
		c.ranks[i] = (unsigned char)(ranks[0] ? ranks[0] - '0' : COLDSTART_RANKS);
		ranks += ranks[0] != '\0';
	}
	if (r->backend &&
	    !service_restore_start(backend_service(r->backend), &c, message_text(m, "of")))
		log_debug("%s: the cold start of %s is not kept", r->backend->name, c.pod);
	return r->backend != NULL;
}

static bool restore_order(struct restoring *r, const struct message *m)
{
	struct coldstart_order o = {
		.demanded_us = message_int(m, "demanded", COLDSTART_UNKNOWN),
		.ordered_us = message_int(m, "ordered", COLDSTART_UNKNOWN),
		.decided_us = message_int(m, "decidedUs", now_of(r)),
	};
	if (r->backend)
		coldstarts_restore_order(service_coldstarts(backend_service(r->backend)), &o);
	return r->backend != NULL;
}

void adopted_key(char *key, size_t size, uint64_t backend, uint64_t grant)
{
	snprintf(key, size, "%llx/%llx", (unsigned long long)backend, (unsigned long long)grant);
}

static const char *text_or_null(const struct message *m, const char *key)
{
	const char *text = message_text(m, key);
	return *text ? text : NULL;
}

bool heard_ending(const struct message *m, struct ending *e)
{
	int64_t outcome = message_int(m, "outcome", -1), phase = message_int(m, "phase", -1);
	*e = (struct ending){
		.outcome = (enum outcome)outcome,
		.phase = (enum client_phase)phase,
		.tenant = text_or_null(m, "tenant"),
		.reason = text_or_null(m, "reason"),
		.status = message_int(m, "status", 0),
		.takes_slot = message_bool(m, "takesSlot"),
		.duration_us = message_int(m, "durationUs", -1),
		.first_byte_us = message_int(m, "firstByteUs", -1),
		.queue_wait_us = message_int(m, "queueWaitUs", -1),
		.cold_start_wait_us = message_int(m, "coldStartWaitUs", -1),
		.bytes_in = message_int(m, "bytesIn", 0),
		.bytes_out = message_int(m, "bytesOut", 0),
	};
	return outcome >= 0 && outcome < OUTCOMES && phase >= 0 && phase < PHASES &&
	       e->status >= 0 && e->bytes_in >= 0 && e->bytes_out >= 0;
}

bool restore(struct restoring *r, struct message *m)
{
	if (message_is(m, "service"))
		return restore_service(r, m);
	if (message_is(m, "pod"))
		return restore_pod(r, m);
	if (message_is(m, "slot"))
		return restore_slot(r, m);
	if (message_is(m, "podEnd"))
		return restore_pod_end(r);
	if (message_is(m, "coldStart"))
		return restore_start(r, m);
	if (message_is(m, "coldStartOrder"))
		return restore_order(r, m);
	return message_is(m, "process") && restore_process(r, m);
}
