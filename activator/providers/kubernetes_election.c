/* One writer. */
#include "activator/providers/kubernetes_election.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"

#define PREFIX "demand.slotgate.io/"

enum { STATUS_NOT_FOUND = 404, STATUS_CONFLICT = 409 };

static const int64_t TIMEOUT_US = 5 * US_PER_S, SOON_US = 200 * US_PER_MS;

/* Of the lease's time: between two looks, and for how long a gone gateway's annotation stays. */
enum { LOOKS = 5, FORGET = 10 };

static void run(void *owner);

static int64_t now_of(const struct kube_election *e)
{
	return loop_now_us(e->loop);
}

static void become(struct kube_election *e, bool is_holder)
{
	if (e->is_holder == is_holder)
		return;
	e->is_holder = is_holder;
	log_info("%s: %s %s the lease %s", e->label, e->identity,
		 is_holder ? "holds" : "no longer holds", e->name);
}

/* --- what the lease says --------------------------------------------------------------------- */

static struct kube_gateway *other(struct kube_election *e, const char *identity, int64_t now_us)
{
	for (size_t i = 0; i < e->other_count; i++)
		if (strcmp(e->others[i].identity, identity) == 0)
			return &e->others[i];
	if (e->other_count == KUBE_GATEWAYS_MAX || strlen(identity) >= KUBE_IDENTITY_BYTES)
		return NULL;
	struct kube_gateway *g = &e->others[e->other_count++];
	*g = (struct kube_gateway){.seen_us = now_us};
	snprintf(g->identity, sizeof(g->identity), "%s", identity);
	return g;
}

/* One that goes on saying something in the place where our word has stood. The process whose place
 * we took says nothing new: what it had under way may still come once. Of an older release, without
 * a nonce, nobody knows. */
static bool is_of_a_namesake(struct kube_election *e, const char *value)
{
	const char *nonce = strrchr(value, ' ');
	if (!e->published_us || !nonce || strlen(nonce + 1) != KUBE_NONCE_DIGITS ||
	    strcmp(nonce + 1, e->nonce) == 0 || strcmp(value, e->foreign) == 0)
		return false;
	bool goes_on = e->foreign[0];
	snprintf(e->foreign, sizeof(e->foreign), "%s", value);
	return goes_on;
}

static void rename_self(struct kube_election *e)
{
	char was[KUBE_IDENTITY_BYTES];
	memcpy(was, e->identity, sizeof(was));
	become(e, false);
	snprintf(e->identity, sizeof(e->identity), "%.*s-%s",
		 (int)(KUBE_IDENTITY_BYTES - 2 - KUBE_NONCE_DIGITS), was, e->nonce);
	e->published = -1;
	log_warn("%s: another gateway is called %s, too: this one is %s from now on; "
		 "give each its own pods.kubernetes.identity",
		 e->label, was, e->identity);
}

static bool is_current(const struct kube_election *e, const struct kube_gateway *g, int64_t now_us)
{
	return now_us - g->seen_us < 2 * e->duration_us;
}

/* Who takes its word out of the lease has left. A lease that was deleted and is made anew says nothing
 * of those who have not spoken in it yet. */
static void forget_those_who_left(struct kube_election *e, int64_t now_us)
{
	size_t kept = 0;
	for (size_t i = 0; i < e->other_count; i++) {
		const struct kube_gateway *g = &e->others[i];
		if (g->is_named || (g->lease != e->lease && is_current(e, g, now_us)))
			e->others[kept++] = *g;
	}
	e->other_count = kept;
}

static void read_demands(struct kube_election *e, const struct json *annotations, int64_t now_us)
{
	for (size_t i = 0; i < e->other_count; i++)
		e->others[i].is_named = false;
	JSON_EACH(it, annotations) {
		const char *key = json_key(it), *value = json_text(it);
		if (strncmp(key, PREFIX, strlen(PREFIX)) != 0 || !value)
			continue;
		key += strlen(PREFIX);
		if (strcmp(key, e->identity) == 0 && is_of_a_namesake(e, value))
			rename_self(e);
		if (strcmp(key, e->identity) == 0)
			continue;
		struct kube_gateway *g = other(e, key, now_us);
		if (!g)
			continue;
		g->is_named = true;
		g->lease = e->lease;
		if (strcmp(g->value, value) == 0)
			continue;
		long pods = strtol(value, NULL, 10);
		g->pods = pods < 0 ? 0 : pods > INT16_MAX ? INT16_MAX : pods;
		g->seen_us = now_us;
		snprintf(g->value, sizeof(g->value), "%s", value);
	}
	forget_those_who_left(e, now_us);
}

bool kube_election_read(struct kube_election *e, const struct kube_lease *l, int64_t now_us)
{
	e->lease += strcmp(e->lease_uid, l->meta.uid) != 0;
	memcpy(e->lease_uid, l->meta.uid, sizeof(e->lease_uid));
	read_demands(e, l->annotations, now_us);
	e->transitions = l->transitions;
	if (strcmp(e->holder, l->holder) != 0 || strcmp(e->holder_renewed, l->renewed) != 0)
		e->holder_seen_us = now_us;
	memcpy(e->holder, l->holder, sizeof(e->holder));
	memcpy(e->holder_renewed, l->renewed, sizeof(e->holder_renewed));
	int64_t lasts_us = l->duration_s > 0 ? l->duration_s * US_PER_S : e->duration_us;
	return !l->holder[0] || strcmp(l->holder, e->identity) == 0 ||
	       now_us - e->holder_seen_us >= lasts_us;
}

int64_t kube_election_elsewhere(const struct kube_election *e)
{
	int64_t sum = 0;
	for (size_t i = 0; i < e->other_count; i++)
		sum += is_current(e, &e->others[i], now_of(e)) ? e->others[i].pods : 0;
	return sum;
}

bool kube_election_has_others(const struct kube_election *e)
{
	for (size_t i = 0; i < e->other_count; i++)
		if (is_current(e, &e->others[i], now_of(e)))
			return true;
	return false;
}

int64_t kube_election_until_us(const struct kube_election *e)
{
	return e->is_holder ? e->renewed_us + e->duration_us : 0;
}

/* --- being it -------------------------------------------------------------------------------- */

static void fail(struct kube_election *e, const char *why)
{
	if (strcmp(e->why, why) != 0)
		log_warn("%s: lease %s: %s", e->label, e->name, why);
	snprintf(e->why, sizeof(e->why), "%s", why);
}

static void succeed(struct kube_election *e)
{
	e->refused_us = 0;
	e->why[0] = '\0';
}

static void done(struct kube_election *e)
{
	if (e->is_holder && now_of(e) >= kube_election_until_us(e))
		become(e, false);
	e->changed(e->owner);
	if (e->is_on)
		timer_set(&e->timer, now_of(e) + e->duration_us / LOOKS);
}

static void on_written(void *owner, const struct http_client_result *result)
{
	struct kube_election *e = owner;
	struct kube_answer a;
	e->exchange = NULL;
	kube_answer_read(e->client, result, &a);
	if (e->is_leaving) {
		become(e, false);
		e->is_on = false;
	} else if (kube_answer_is_good(&a)) {
		succeed(e);
		e->published_us = now_of(e);
		if (e->takes) {
			e->renewed_us = e->asked_us;
			become(e, true);
		}
	} else {
		e->published = -1;
		if (a.status == STATUS_CONFLICT && e->takes)
			become(e, false); /* somebody was first */
		else if (a.status != STATUS_CONFLICT)
			fail(e, a.why);
		kube_answer_note_refusal(&a, &e->refused_us, now_of(e));
	}
	json_free(a.document);
	done(e);
}

static void add_time(struct str *s, const char *key)
{
	char text[CLOCK_TEXT_BYTES];
	clock_format(clock_wall_us(), text);
	text[strcspn(text, "Z")] = '\0'; /* milliseconds; the API wants six digits */
	str_printf(s, "\"%s\":\"%s000Z\"", key, text);
}

static void add_spec(struct kube_election *e, struct str *s, bool is_new)
{
	str_printf(s, "\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%" PRId64 ",",
		   e->is_leaving ? "" : e->identity,
		   e->is_leaving ? 1 : (e->duration_us + US_PER_S - 1) / US_PER_S);
	if (is_new) {
		add_time(s, "acquireTime");
		str_printf(s, ",\"leaseTransitions\":%" PRId64 ",", e->transitions);
	}
	add_time(s, "renewTime");
	str_add_char(s, '}');
}

/* Our demand, and null for those who are long gone. */
static void add_demands(struct kube_election *e, struct str *s)
{
	if (e->is_leaving)
		str_printf(s, "\"" PREFIX "%s\":null", e->identity);
	else
		str_printf(s, "\"" PREFIX "%s\":\"%" PRId64 " %" PRIu64 " %s\"", e->identity,
			   e->demand, ++e->beat, e->nonce);
	for (size_t i = 0; e->takes && i < e->other_count; i++)
		if (now_of(e) - e->others[i].seen_us > FORGET * e->duration_us) {
			str_add_text(s, ",");
			str_add_char(s, '"');
			str_printf(s, PREFIX "%s\":null", e->others[i].identity);
		}
}

static void call(struct kube_election *e, const char *method, const char *type,
		 const struct str *body, http_client_fn *fn, bool names)
{
	struct str path;
	e->asked_us = loop_refresh_now(e->loop);
	str_init(&path);
	str_printf(&path, "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s",
		   e->client->access.name_space.at, names ? "/" : "", names ? e->name : "");
	struct kube_request r = {.method = method, .path = path.at, .timeout_us = TIMEOUT_US};
	if (body) {
		r.body = (struct slice){body->at, body->len};
		r.content_type = type;
	}
	if (!path.failed && !(body && body->failed))
		e->exchange = kube_client_send(e->client, &r, fn, e);
	str_release(&path);
	if (!e->exchange) {
		fail(e, "no memory, or no API server, to ask");
		e->is_on &= !e->is_leaving;
		done(e);
	}
}

static void create(struct kube_election *e)
{
	struct str body;
	str_init(&body);
	e->takes = true;
	e->transitions = 0;
	e->published = e->demand;
	str_printf(&body,
		   "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{"
		   "\"name\":\"%s\",\"annotations\":{",
		   e->name);
	add_demands(e, &body);
	str_add_text(&body, "}},");
	add_spec(e, &body, true);
	str_add_char(&body, '}');
	call(e, "POST", KUBE_JSON, &body, on_written, false);
	str_release(&body);
}

/* `version`: it must still be this one; "" where that is all the same. */
static void patch(struct kube_election *e, const char *version, bool is_new)
{
	struct str body;
	str_init(&body);
	e->takes = version[0] && !e->is_leaving;
	e->published = e->demand;
	if (is_new)
		e->transitions++;
	str_add_text(&body, "{\"metadata\":{");
	if (version[0])
		str_printf(&body, "\"resourceVersion\":\"%s\",", version);
	str_add_text(&body, "\"annotations\":{");
	add_demands(e, &body);
	str_add_text(&body, "}}");
	if (version[0]) {
		str_add_char(&body, ',');
		add_spec(e, &body, is_new);
	}
	str_add_char(&body, '}');
	call(e, "PATCH", KUBE_MERGE_PATCH, &body, on_written, true);
	str_release(&body);
}

/* Ours or free: renewed or taken. Another's: our demand is kept fresh in it. */
static void act(struct kube_election *e, const struct kube_lease *l, bool may_hold)
{
	bool is_ours = strcmp(l->holder, e->identity) == 0;
	if (!is_ours)
		become(e, false);
	if (e->is_leaving ? is_ours : may_hold)
		patch(e, l->meta.version, !is_ours);
	else if (e->is_leaving || e->published != e->demand ||
		 now_of(e) - e->published_us >= e->duration_us / 3)
		patch(e, "", false);
	else
		done(e);
}

static void on_read(void *owner, const struct http_client_result *result)
{
	struct kube_election *e = owner;
	struct kube_answer a;
	struct kube_lease l;
	e->exchange = NULL;
	kube_answer_read(e->client, result, &a);
	e->has_read |= a.status > 0;
	if (kube_answer_is_good(&a) && kube_lease_read(a.document, &l)) {
		act(e, &l, kube_election_read(e, &l, now_of(e)));
		if (!e->exchange) /* else what it writes says whether it works */
			succeed(e);
	} else if (a.status == STATUS_NOT_FOUND && !e->is_leaving) {
		create(e);
	} else {
		e->is_on &= !e->is_leaving;
		fail(e, a.why[0] ? a.why : "the lease that was asked for is none");
		kube_answer_note_refusal(&a, &e->refused_us, now_of(e));
		done(e);
	}
	json_free(a.document);
}

static void run(void *owner)
{
	struct kube_election *e = owner;
	if (!e->is_on || e->exchange)
		return;
	call(e, NULL, NULL, NULL, on_read, true);
}

/* --- from outside ---------------------------------------------------------------------------- */

void kube_election_want(struct kube_election *e, int64_t pods)
{
	if (e->demand == pods)
		return;
	e->demand = pods;
	if (!e->is_on || e->exchange)
		return; /* the next look is near */
	int64_t soon_us = e->published_us + SOON_US;
	timer_set(&e->timer, soon_us > now_of(e) ? soon_us : now_of(e));
}

bool kube_election_init(struct kube_election *e, struct loop *loop, struct kube_client *client,
			const char *label, void (*changed)(void *owner), void *owner)
{
	*e = (struct kube_election){.client = client,
				    .loop = loop,
				    .label = label,
				    .published = -1,
				    .changed = changed,
				    .owner = owner};
	task_init(&e->task, run, e);
	return timer_init(&e->timer, loop, run, e);
}

void kube_election_start(struct kube_election *e, const char *name, const char *identity,
			 int64_t duration_us)
{
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->identity, sizeof(e->identity), "%s", identity);
	crypto_random_hex(e->nonce, KUBE_NONCE_DIGITS);
	e->duration_us = duration_us;
	e->is_on = true;
	loop_defer(e->loop, &e->task);
}

void kube_election_leave(struct kube_election *e)
{
	if (!e->is_on)
		return;
	http_client_cancel(e->exchange);
	e->exchange = NULL;
	e->is_leaving = true;
	loop_defer(e->loop, &e->task);
}

void kube_election_stop(struct kube_election *e)
{
	e->is_on = e->is_holder = false;
	http_client_cancel(e->exchange);
	e->exchange = NULL;
	timer_clear(&e->timer);
	task_cancel(&e->task);
}

void kube_election_release(struct kube_election *e)
{
	kube_election_stop(e);
	timer_release(&e->timer);
}
