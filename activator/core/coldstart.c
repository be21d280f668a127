/* Where cold starts go. */
#include "activator/core/coldstart.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* What others tell comes late: a kubelet writes a pod's status some seconds after the fact. */
static const int64_t SETTLE_US = 10 * US_PER_S;

const char *coldstart_mark_name(enum coldstart_mark mark)
{
	static const char *const names[COLDSTART_MARKS] = {
		[COLDSTART_DEMANDED] = "demanded",   [COLDSTART_ORDERED] = "ordered",
		[COLDSTART_CREATED] = "created",     [COLDSTART_TRIGGERED] = "triggered",
		[COLDSTART_SCHEDULED] = "scheduled", [COLDSTART_PREPARED] = "prepared",
		[COLDSTART_PULLING] = "pulling",     [COLDSTART_PULLED] = "pulled",
		[COLDSTART_STARTED] = "started",     [COLDSTART_LISTENING] = "listening",
		[COLDSTART_READY] = "ready",	     [COLDSTART_CHECKED] = "checked",
		[COLDSTART_REQUESTED] = "requested", [COLDSTART_ANSWERED] = "answered",
	};
	return names[mark];
}

const char *coldstart_phase_name(enum coldstart_mark mark)
{
	static const char *const names[COLDSTART_MARKS + 1] = {
		[COLDSTART_DEMANDED] = "",	    [COLDSTART_ORDERED] = "order",
		[COLDSTART_CREATED] = "create",	    [COLDSTART_TRIGGERED] = "trigger",
		[COLDSTART_SCHEDULED] = "schedule", [COLDSTART_PREPARED] = "prepare",
		[COLDSTART_PULLING] = "pull_start", [COLDSTART_PULLED] = "pull",
		[COLDSTART_STARTED] = "start",	    [COLDSTART_LISTENING] = "listen",
		[COLDSTART_READY] = "ready",	    [COLDSTART_CHECKED] = "check",
		[COLDSTART_REQUESTED] = "request",  [COLDSTART_ANSWERED] = "answer",
		[COLDSTART_MARKS] = "unknown",
	};
	return names[mark];
}

/* --- marks in order -------------------------------------------------------------------------- */

static bool is_known(const int64_t at_us[COLDSTART_MARKS], int mark)
{
	return at_us[mark] != COLDSTART_UNKNOWN;
}

/* Where it may stand among those that do: between its neighbours, or a second off. */
static int64_t place(const int64_t at_us[COLDSTART_MARKS], int mark, int64_t said_us)
{
	int64_t low_us = COLDSTART_UNKNOWN, high_us = INT64_MAX;
	for (int i = 0; i < mark; i++)
		if (is_known(at_us, i))
			low_us = at_us[i];
	for (int i = COLDSTART_MARKS - 1; i > mark; i--)
		if (is_known(at_us, i))
			high_us = at_us[i];
	bool is_low = low_us != COLDSTART_UNKNOWN && said_us < low_us;
	bool is_high = high_us != INT64_MAX && said_us > high_us;
	if ((is_low && low_us - said_us > COLDSTART_SLACK_US) ||
	    (is_high && said_us - high_us > COLDSTART_SLACK_US))
		return COLDSTART_UNKNOWN;
	return is_low ? low_us : is_high ? high_us : said_us;
}

/* The best words first: the others must fit in between. */
void coldstart_read(const struct coldstart *c, int64_t at_us[COLDSTART_MARKS])
{
	for (int i = 0; i < COLDSTART_MARKS; i++)
		at_us[i] = COLDSTART_UNKNOWN;
	for (int rank = 0; rank < COLDSTART_RANKS; rank++)
		for (int i = 0; i < COLDSTART_MARKS; i++)
			if (is_known(c->at_us, i) && c->ranks[i] == rank)
				at_us[i] = place(at_us, i, c->at_us[i]);
}

/* Without its mark it did not happen, as far as anybody can tell: its time is the next one's. */
static bool is_optional(int mark)
{
	return mark == COLDSTART_TRIGGERED || mark == COLDSTART_CHECKED;
}

bool coldstart_next_span(const struct coldstart *c, const int64_t at_us[COLDSTART_MARKS],
			 enum coldstart_mark from, struct coldstart_span *span)
{
	int begin = (int)from, end;
	while (begin < COLDSTART_MARKS && !is_known(at_us, begin))
		begin++;
	unsigned phases = 0;
	for (end = begin + 1; end < COLDSTART_MARKS; end++) {
		if (is_known(at_us, end) || (c->possible & 1U << end && !is_optional(end)))
			phases |= 1U << end;
		if (is_known(at_us, end))
			break;
	}
	if (end >= COLDSTART_MARKS)
		return false;
	*span = (struct coldstart_span){.from = (enum coldstart_mark)begin,
					.to = (enum coldstart_mark)end,
					.phases = phases,
					.from_us = at_us[begin],
					.us = at_us[end] - at_us[begin]};
	return true;
}

enum coldstart_mark coldstart_span_phase(const struct coldstart_span *span)
{
	return span->phases == 1U << span->to ? span->to : COLDSTART_MARKS;
}

void coldstart_set(struct coldstart *c, enum coldstart_mark mark, int64_t at_us,
		   enum coldstart_rank rank)
{
	bool is_worse = is_known(c->at_us, mark) && c->ranks[mark] <= rank;
	if (is_worse || !(c->possible & 1U << mark) || at_us == COLDSTART_UNKNOWN)
		return;
	c->at_us[mark] = at_us;
	c->ranks[mark] = (unsigned char)rank;
}

void coldstart_set_last(struct coldstart *c, enum coldstart_mark mark, int64_t at_us,
			enum coldstart_rank rank)
{
	if (is_known(c->at_us, mark) && c->ranks[mark] == rank && at_us > c->at_us[mark])
		c->at_us[mark] = at_us;
	else
		coldstart_set(c, mark, at_us, rank);
}

void coldstart_restarted(struct coldstart *c, int64_t restarts)
{
	if (restarts <= c->restarts || c->state != COLDSTART_STARTING)
		return;
	c->restarts = restarts;
	c->at_us[COLDSTART_STARTED] = c->at_us[COLDSTART_LISTENING] = COLDSTART_UNKNOWN;
}

/* --- orders ---------------------------------------------------------------------------------- */

static void drop_orders(struct coldstarts *s, size_t from, size_t count)
{
	memmove(&s->orders[from], &s->orders[from + count],
		(s->order_count - from - count) * sizeof(s->orders[0]));
	s->order_count -= count;
}

void coldstarts_order(struct coldstarts *s, int64_t demanded_us, int64_t now_us)
{
	if (s->order_count == COLDSTART_ORDERS)
		drop_orders(s, 0, 1);
	s->orders[s->order_count++] =
		(struct coldstart_order){demanded_us, now_us, COLDSTART_UNKNOWN};
}

void coldstarts_ordered(struct coldstarts *s, int64_t count, int64_t now_us)
{
	for (size_t i = 0; i < s->order_count && count > 0; i++) {
		if (s->orders[i].ordered_us != COLDSTART_UNKNOWN)
			continue;
		s->orders[i].ordered_us = now_us;
		count--;
	}
}

void coldstarts_recall(struct coldstarts *s, int64_t count)
{
	int64_t open = (int64_t)s->order_count < count ? (int64_t)s->order_count : count;
	s->order_count -= (size_t)open;
	s->recalled += count - open;
}

void coldstarts_filled(struct coldstarts *s, int64_t count)
{
	size_t most = s->order_count;
	drop_orders(s, 0, count < (int64_t)most ? (size_t)count : most);
}

void coldstarts_fulfilled(struct coldstarts *s)
{
	s->order_count = 0;
	s->recalled = 0;
}

void coldstarts_take(struct coldstarts *s, struct coldstart *c, int64_t created_us)
{
	const struct coldstart_order *o = s->orders;
	if (!s->order_count || o->decided_us > created_us + COLDSTART_SLACK_US ||
	    is_known(c->at_us, COLDSTART_DEMANDED))
		return;
	coldstart_set(c, COLDSTART_DEMANDED, o->demanded_us, COLDSTART_OWN);
	coldstart_set(c, COLDSTART_ORDERED, o->ordered_us, COLDSTART_OWN);
	drop_orders(s, 0, 1);
}

/* It did not come up: whoever comes in its place comes for the same. */
static void give_back(struct coldstarts *s, const struct coldstart *c)
{
	struct coldstart_order o = {c->at_us[COLDSTART_DEMANDED], c->at_us[COLDSTART_DEMANDED],
				    c->at_us[COLDSTART_ORDERED]};
	if (o.demanded_us == COLDSTART_UNKNOWN || s->order_count == COLDSTART_ORDERS)
		return;
	if (s->recalled) {
		s->recalled--;
		return;
	}
	memmove(&s->orders[1], &s->orders[0], s->order_count * sizeof(s->orders[0]));
	s->orders[0] = o;
	s->order_count++;
}

/* --- life ------------------------------------------------------------------------------------ */

void coldstarts_init(struct coldstarts *s)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < COLDSTART_STATES; i++)
		list_init(&s->states[i]);
	map_init(&s->keys);
	table_init(&s->ids);
}

static void drop(struct coldstarts *s, struct coldstart *c)
{
	s->counts[c->state]--;
	list_remove(&c->link);
	mem_free(c);
}

void coldstarts_release(struct coldstarts *s)
{
	for (int i = 0; i < COLDSTART_STATES; i++)
		LIST_EACH(c, &s->states[i], struct coldstart, link)
			drop(s, c);
	map_release(&s->keys);
	table_release(&s->ids);
}

static void enlist(struct coldstarts *s, struct coldstart *c, enum coldstart_state to)
{
	c->state = to;
	s->counts[to]++;
	list_push_back(&s->states[to], &c->link);
}

static void keep(struct coldstarts *s, struct coldstart *c)
{
	c->id = 0;
	enlist(s, c, COLDSTART_ENDED);
	if (s->counts[COLDSTART_ENDED] > COLDSTARTS_KEPT)
		drop(s, LIST_FIRST(&s->states[COLDSTART_ENDED], struct coldstart, link));
}

static void move(struct coldstarts *s, struct coldstart *c, enum coldstart_state to)
{
	s->counts[c->state]--;
	list_remove(&c->link);
	if (to != COLDSTART_ENDED) {
		enlist(s, c, to);
		return;
	}
	map_remove(&s->keys, c->key);
	table_remove(&s->ids, c->id);
	keep(s, c);
}

struct coldstart *coldstarts_by_key(const struct coldstarts *s, const char *key)
{
	return map_get(&s->keys, key);
}

struct coldstart *coldstarts_get(const struct coldstarts *s, uint64_t id)
{
	return table_get(&s->ids, id);
}

/* From here on it is found by its key and its id. False: no memory, and it is freed. */
static bool enter(struct coldstarts *s, struct coldstart *c)
{
	c->number = ++s->last_number;
	c->id = table_add(&s->ids, c);
	if (c->id && map_put(&s->keys, c->key, c))
		return true;
	table_remove(&s->ids, c->id);
	mem_free(c);
	return false;
}

struct coldstart *coldstarts_begin(struct coldstarts *s, const char *key, const char *pod,
				   unsigned possible, int64_t now_us)
{
	size_t open = s->counts[COLDSTART_STARTING] + s->counts[COLDSTART_IS_READY];
	struct coldstart *c = coldstarts_by_key(s, key);
	if (c || open >= COLDSTARTS_OPEN || strlen(key) >= sizeof(c->key))
		return c;
	c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	list_init(&c->link);
	snprintf(c->key, sizeof(c->key), "%s", key);
	snprintf(c->pod, sizeof(c->pod), "%s", pod);
	if (!enter(s, c))
		return NULL;
	c->possible = possible;
	for (int i = 0; i < COLDSTART_MARKS; i++)
		c->at_us[i] = COLDSTART_UNKNOWN;
	c->began_us = now_us;
	enlist(s, c, COLDSTART_STARTING);
	return c;
}

/* --- what it cost ---------------------------------------------------------------------------- */

/* Tells of the spans up to this mark that have not been told of. */
static void count(struct coldstarts *s, struct coldstart *c, enum coldstart_mark up_to)
{
	int64_t at_us[COLDSTART_MARKS];
	struct coldstart_span span;
	coldstart_read(c, at_us);
	enum coldstart_mark from = c->counted;
	while (coldstart_next_span(c, at_us, from, &span) && span.to <= up_to) {
		if (s->spent)
			s->spent(s->arg, coldstart_span_phase(&span), span.us);
		from = span.to;
	}
	c->counted = from;
}

static void finish(struct coldstarts *s, struct coldstart *c)
{
	if (c->state == COLDSTART_IS_READY)
		count(s, c, COLDSTART_ANSWERED);
	move(s, c, COLDSTART_ENDED);
}

void coldstarts_became_ready(struct coldstarts *s, struct coldstart *c)
{
	if (c->state == COLDSTART_STARTING && is_known(c->at_us, COLDSTART_READY))
		move(s, c, COLDSTART_IS_READY);
}

void coldstarts_mark(struct coldstarts *s, uint64_t id, enum coldstart_mark mark, int64_t now_us)
{
	struct coldstart *c = id ? coldstarts_get(s, id) : NULL;
	if (!c)
		return;
	coldstart_set(c, mark, now_us, COLDSTART_OWN);
	if (mark == COLDSTART_READY)
		coldstarts_became_ready(s, c);
}

void coldstarts_end(struct coldstarts *s, struct coldstart *c)
{
	if (!c || c->state == COLDSTART_ENDED)
		return;
	c->is_gone = !is_known(c->at_us, COLDSTART_ANSWERED);
	if (c->state == COLDSTART_STARTING)
		give_back(s, c);
	finish(s, c);
}

void coldstarts_lose(struct coldstarts *s, struct coldstart *c)
{
	finish(s, c);
}

void coldstarts_forget(struct coldstarts *s, struct coldstart *c)
{
	if (!c)
		return;
	map_remove(&s->keys, c->key);
	table_remove(&s->ids, c->id);
	drop(s, c);
}

void coldstarts_tick(struct coldstarts *s, int64_t now_us)
{
	LIST_EACH(c, &s->states[COLDSTART_IS_READY], struct coldstart, link) {
		if (now_us - c->at_us[COLDSTART_READY] < SETTLE_US)
			continue;
		count(s, c, COLDSTART_CHECKED);
		if (is_known(c->at_us, COLDSTART_ANSWERED))
			finish(s, c);
	}
}

/* --- looking --------------------------------------------------------------------------------- */

const struct coldstart *coldstarts_before(const struct coldstarts *s, uint64_t number)
{
	const struct coldstart *latest = NULL;
	for (int i = 0; i < COLDSTART_STATES; i++)
		LIST_EACH(c, &s->states[i], const struct coldstart, link)
			if (c->number < number && (!latest || c->number > latest->number))
				latest = c;
	return latest;
}

/* --- handing over ---------------------------------------------------------------------------- */

static bool makes_sense(const struct coldstart *c)
{
	bool ok = c->state < COLDSTART_STATES && c->counted < COLDSTART_MARKS && c->key[0];
	for (int i = 0; i < COLDSTART_MARKS; i++)
		ok &= c->ranks[i] < COLDSTART_RANKS;
	return ok && (c->state != COLDSTART_IS_READY || is_known(c->at_us, COLDSTART_READY));
}

bool coldstarts_restore(struct coldstarts *s, const struct coldstart *from)
{
	bool is_over = from->state == COLDSTART_ENDED;
	if (!makes_sense(from) || (!is_over && coldstarts_by_key(s, from->key)))
		return false;
	struct coldstart *c = mem_copy(from, sizeof(*from));
	if (!c)
		return false;
	list_init(&c->link);
	c->holder = 0;
	if (is_over) {
		c->number = ++s->last_number;
		keep(s, c);
		return true;
	}
	if (!enter(s, c))
		return false;
	enlist(s, c, from->state);
	if (is_known(c->at_us, COLDSTART_REQUESTED))
		finish(s, c);
	return true;
}

bool coldstarts_restore_order(struct coldstarts *s, const struct coldstart_order *o)
{
	if (s->order_count == COLDSTART_ORDERS)
		return false;
	s->orders[s->order_count++] = *o;
	return true;
}
