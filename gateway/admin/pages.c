/* Pages of the admin, rendered in slices of the loop's time. */
#include "gateway/admin/pages.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/reply.h"

/* A slice renders for so long, or so much; sending it takes the rest of 200 us. */
static const int64_t SLICE_US = 60;
enum { SLICE_BYTES = 8 << 10 };

static void on_task(void *owner);

void pages_init(struct gateway *gw)
{
	list_init(&gw->pages.list);
	task_init(&gw->pages.task, on_task, gw);
}

static void page_free(struct page *p)
{
	if (p->has_begun)
		p->kind->end(p);
	if (p->slices > 1)
		log_debug("admin: %s in %d slices, the longest took %lld us", p->kind->name,
			  p->slices, (long long)p->longest_slice_us);
	p->exchange->owner = NULL;
	p->gateway->pages.count--;
	list_remove(&p->link);
	str_release(&p->text);
	mem_free(p->detail);
	mem_free(p);
}

static void begin_answer(struct page *p)
{
	struct http_header headers[] = {
		{SLICE("Date"), reply_date(), HEADER_DATE},
		{SLICE("Content-Type"), slice_of(p->content_type), HEADER_OTHER},
	};
	struct answer a = {.status = p->status,
			   .headers = headers,
			   .count = 2,
			   .content_length = -1,
			   .has_body = true};
	exchange_respond(p->exchange, &a);
	p->has_responded = true;
}

static void fail(struct page *p)
{
	if (p->has_responded)
		exchange_reset(p->exchange);
	else
		reply_problem(p->exchange, &(struct problem){.status = 503,
							     .reason = "overloaded",
							     .detail = "there is no memory for it",
							     .no_body = p->is_head});
}

static bool is_lost(const struct page *p)
{
	return p->text.failed || fleet_failed(&p->fleet);
}

/* A page that is whole before any of it was sent says how long it is. */
static void hand_on(struct page *p, bool more)
{
	struct exchange *x = p->exchange;
	if (is_lost(p)) {
		fail(p);
	} else if (!more && !p->has_responded) {
		reply_text(x, p->status, p->content_type, p->text.at, p->text.len, p->is_head);
	} else if (!p->is_head && (p->text.len || !more)) {
		if (!p->has_responded)
			begin_answer(p);
		exchange_write(x, p->text.at, p->text.len);
		str_clear(&p->text);
		if (!more)
			exchange_end(x);
	}
}

static void render(struct page *p)
{
	struct gateway *gw = p->gateway;
	int64_t start_us = clock_now_us(), busy_us = clock_thread_us();
	size_t limit = p->text.len + SLICE_BYTES;
	bool more = true;
	p->slices++;
	if (!p->has_begun) {
		p->has_begun = true;
		p->kind->begin(p);
	}
	while (more && p->text.len < limit && clock_now_us() - start_us < SLICE_US)
		more = p->kind->step(p);
	hand_on(p, more);
	int64_t took_us = clock_thread_us() - busy_us;
	if (took_us > p->longest_slice_us)
		p->longest_slice_us = took_us;
	if (!more || is_lost(p))
		page_free(p);
	if (!list_is_empty(&gw->pages.list))
		loop_defer_to_next_turn(gw->loop, &gw->pages.task);
}

static void on_task(void *owner)
{
	struct gateway *gw = owner;
	if (!list_is_empty(&gw->pages.list))
		render(LIST_FIRST(&gw->pages.list, struct page, link));
}

struct page *page_new(struct exchange *x, const struct page_kind *kind, const char *content_type,
		      bool is_head)
{
	struct gateway *gw = x->gateway;
	struct page *p = gw->pages.count < PAGES_MOST ? mem_zalloc(sizeof(*p)) : NULL;
	if (!p) {
		reply_problem(x, &(struct problem){.status = 503,
						   .reason = "overloaded",
						   .detail = "too many pages are being made, or "
							     "memory is short: ask again",
						   .retry_after_us = US_PER_S,
						   .no_body = is_head});
		return NULL;
	}
	p->gateway = gw;
	p->exchange = x;
	p->kind = kind;
	p->content_type = content_type;
	p->is_head = is_head;
	p->status = 200;
	str_init(&p->text);
	x->owner = p;
	list_push_back(&gw->pages.list, &p->link);
	gw->pages.count++;
	return p;
}

void page_start(struct page *p)
{
	if (LIST_FIRST(&p->gateway->pages.list, struct page, link) == p)
		render(p);
}

bool page_step_services(struct page *p, void (*begin)(struct page *, const struct backend *),
			bool (*add)(struct page *, const struct backend *))
{
	struct fleet_walk *w = &p->fleet;
	if (p->is_inside) {
		p->is_inside = add(p, fleet_service(w));
		return true;
	}
	switch (fleet_next(w)) {
	case FLEET_SERVICE:
		begin(p, w->backend);
		p->is_inside = true;
		return true;
	case FLEET_END:
		str_add_text(&p->text, "]}\n");
		return false;
	default:
		return true;
	}
}

void page_body(struct exchange *x, const char *bytes, size_t len)
{
	(void)x, (void)bytes, (void)len;
}

void page_body_end(struct exchange *x)
{
	(void)x;
}

void page_delivered(struct exchange *x)
{
	(void)x;
}

void page_left(struct exchange *x, enum exchange_end why)
{
	(void)why;
	if (x->owner)
		page_free(x->owner);
}
