/* The tenants of a backend, and their keys. */
#include "gateway/tenants.h"

#include <string.h>

#include "base/bucket.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"
#include "gateway/http/forward.h"

/* Series are for people who look at them: what is above this number shares one. */
enum { NAMED_MAX = 200 };

static const int64_t DENIED_LOG_US = 10 * US_PER_S;

struct entry {
	struct list link;
	char *name;
	bool is_named;	 /* has series of its own; else it counts as "other" */
	bool is_current; /* while a file is applied: stands in it */
	uint64_t id;	 /* the ledger's; 0: it had no memory for it */
	struct bucket bucket;
	struct tenant_stats stats;
};

static const char *label_of(const struct entry *e)
{
	return e->is_named ? e->name : "other";
}

/* --- life ------------------------------------------------------------------------------------ */

void tenants_init(struct tenants *t)
{
	*t = (struct tenants){.denied_log_us = -DENIED_LOG_US};
	list_init(&t->list);
	map_init(&t->by_name);
}

static void entry_free(struct tenants *t, struct entry *e)
{
	list_remove(&e->link);
	map_remove(&t->by_name, e->name);
	t->named -= e->is_named;
	mem_free(e->name);
	mem_free(e);
}

void tenants_release(struct tenants *t)
{
	LIST_EACH(e, &t->list, struct entry, link)
		entry_free(t, e);
	map_release(&t->by_name);
}

static struct entry *entry_new(struct backend *b, const struct key_tenant *config)
{
	struct tenants *t = &b->tenants;
	struct entry *e = mem_must_zalloc(sizeof(*e));
	int64_t now_us = loop_now_us(b->gateway->loop);
	list_init(&e->link);
	e->name = mem_must_strdup(config->name);
	bucket_init(&e->bucket, config->requests_per_second, config->burst, now_us);
	list_push_back(&t->list, &e->link);
	map_put(&t->by_name, e->name, e); /* without memory, nobody is found by it */
	return e;
}

static void configure(struct backend *b, struct entry *e, const struct key_tenant *config)
{
	struct tenants *t = &b->tenants;
	int64_t now_us = loop_now_us(b->gateway->loop);
	struct tenant_caps caps = {config->max_queued, config->max_working};
	bucket_configure(&e->bucket, config->requests_per_second, config->burst, now_us);
	e->id = service_tenant_set(backend_service(b), e->name, caps, now_us);
	if (!e->is_named && t->named < NAMED_MAX) {
		e->is_named = true;
		t->named++;
	}
	tenant_stats_init(&e->stats, &b->stats, label_of(e));
}

static void drop(struct backend *b, struct entry *e)
{
	service_tenant_drop(backend_service(b), e->name);
	if (e->is_named)
		tenant_stats_release(&b->stats, e->name);
	entry_free(&b->tenants, e);
}

void tenants_configure(struct backend *b)
{
	struct tenants *t = &b->tenants;
	const struct api_keys *keys = &b->config->api_keys.keys;
	LIST_EACH(e, &t->list, struct entry, link)
		e->is_current = false;
	for (size_t i = 0; i < keys->tenant_count; i++) {
		const struct key_tenant *config = &keys->tenants[i];
		struct entry *e = map_get(&t->by_name, config->name);
		if (config->is_served)
			(e ? e : entry_new(b, config))->is_current = true;
	}
	/* First those that go: they make room in the metrics. */
	LIST_EACH(e, &t->list, struct entry, link)
		if (!e->is_current)
			drop(b, e);
	for (size_t i = 0; i < keys->tenant_count; i++) {
		struct entry *e = map_get(&t->by_name, keys->tenants[i].name);
		if (e)
			configure(b, e, &keys->tenants[i]);
	}
	activator_changed(b->activator);
}

/* --- at the door ----------------------------------------------------------------------------- */

/* The one key that the head presents; false: it presents several. */
static bool find_key(const struct http_head *head, struct slice *key)
{
	*key = (struct slice){0};
	for (size_t i = 0; i < head->count; i++) {
		struct slice here = forward_key(&head->headers[i]);
		if (!here.len)
			continue;
		if (key->len && (key->len != here.len || memcmp(key->at, here.at, here.len) != 0))
			return false;
		*key = here;
	}
	return true;
}

static enum verdict judge(struct backend *b, const struct api_key *key, struct slice presented,
			  struct visitor *v, int64_t now_us)
{
	const struct api_keys *keys = &b->config->api_keys.keys;
	if (!presented.len)
		return VERDICT_NO_KEY;
	if (!key)
		return VERDICT_UNKNOWN_KEY;
	if (key->is_elsewhere)
		return VERDICT_ELSEWHERE;
	struct entry *e = map_get(&b->tenants.by_name, keys->tenants[key->tenant].name);
	if (!e || !e->id)
		return VERDICT_NO_MEMORY;
	v->name = e->name;
	if (key->disabled)
		return VERDICT_DISABLED;
	v->tenant = e->id;
	if (bucket_take(&e->bucket, now_us))
		return VERDICT_WELCOME;
	v->retry_after_us = bucket_wait_us(&e->bucket, now_us);
	metrics_count(e->stats.rate_limited);
	return VERDICT_TOO_FAST;
}

/* One line for many: who guesses keys must not fill the disk. It never holds a key. */
static void log_denied(struct backend *b, enum verdict verdict, const struct net_address *peer,
		       int64_t now_us)
{
	static const char *const why[] = {
		[VERDICT_NO_KEY] = "no key",
		[VERDICT_UNKNOWN_KEY] = "an unknown key",
		[VERDICT_DISABLED] = "a disabled key",
		[VERDICT_ELSEWHERE] = "a key for other services",
		[VERDICT_TWO_KEYS] = "two different keys",
	};
	struct tenants *t = &b->tenants;
	char text[NET_TEXT_BYTES];
	t->denied++;
	if (now_us - t->denied_log_us < DENIED_LOG_US)
		return;
	net_format_host(peer, text);
	log_warn("%s: %lld requests were denied since the last such line; the latest, from %s, had "
		 "%s",
		 b->name, (long long)t->denied, text, why[verdict]);
	t->denied = 0;
	t->denied_log_us = now_us;
}

static bool is_open(const struct api_keys_config *c, const struct http_head *head,
		    struct slice target)
{
	return slot_pattern_surely_matches(c->open, c->open_count, head->method, target);
}

struct visitor tenants_ask(struct backend *b, const struct http_head *head, struct slice target,
			   const struct net_address *peer, int64_t now_us)
{
	const struct api_keys_config *c = &b->config->api_keys;
	struct visitor v = {.verdict = VERDICT_WELCOME};
	struct slice presented;
	if (!c->file)
		return v;
	if (!find_key(head, &presented)) {
		v.verdict = VERDICT_TWO_KEYS;
	} else {
		const struct api_key *key = api_keys_find(&c->keys, presented);
		v.verdict = judge(b, key, presented, &v, now_us);
		if (!c->forward)
			v.withheld = (struct withheld){true, key ? presented : SLICE("")};
	}
	bool is_denied = v.verdict >= VERDICT_NO_KEY && v.verdict <= VERDICT_ELSEWHERE;
	if (is_denied && is_open(c, head, target)) {
		v.verdict = VERDICT_WELCOME; /* as anybody */
		v.name = NULL;
	} else if (is_denied || v.verdict == VERDICT_TWO_KEYS) {
		log_denied(b, v.verdict, peer, now_us);
	}
	return v;
}

struct visitor tenants_let_in_before(const struct backend *b, const char *name)
{
	const struct entry *e = map_get(&b->tenants.by_name, name);
	struct visitor v = {.verdict = VERDICT_WELCOME};
	if (e) {
		v.name = e->name;
		v.tenant = e->id;
	}
	return v;
}

/* --- counting -------------------------------------------------------------------------------- */

void tenants_count(struct backend *b, const char *name, int class)
{
	struct entry *e = map_get(&b->tenants.by_name, name);
	if (e)
		metrics_count(e->stats.classes[class]);
}

const char *tenants_label(const struct backend *b, const char *name)
{
	const struct entry *e = map_get(&b->tenants.by_name, name);
	return e ? label_of(e) : NULL;
}
