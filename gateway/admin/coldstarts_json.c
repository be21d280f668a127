/* Cold starts as JSON. */
#include "gateway/admin/coldstarts_json.h"

#include <string.h>

#include "base/clock.h"
#include "gateway/backend.h"
#include "gateway/gateway.h"

enum { SHOWN = 64 }; /* of a service, the newest first */

static void add_text(struct str *s, const char *key, const char *value)
{
	str_printf(s, "\"%s\":", key);
	str_add_json(s, value, strlen(value));
	str_add_char(s, ',');
}

static const char *state_of(const struct coldstart *c)
{
	if (c->state == COLDSTART_STARTING)
		return "starting";
	if (c->at_us[COLDSTART_ANSWERED] != COLDSTART_UNKNOWN)
		return "answered";
	if (c->state == COLDSTART_IS_READY)
		return "ready";
	return c->is_gone ? "gone" : "unseen";
}

static void add_marks(struct str *s, const struct coldstart *c,
		      const int64_t at_us[COLDSTART_MARKS], int64_t wall_us)
{
	bool comma = false;
	str_add_text(s, "\"marks\":{");
	for (int i = 0; i < COLDSTART_MARKS; i++) {
		if (!(c->possible & 1U << i))
			continue;
		str_printf(s, "%s\"%s\":", comma ? "," : "",
			   coldstart_mark_name((enum coldstart_mark)i));
		if (at_us[i] == COLDSTART_UNKNOWN)
			str_add_text(s, "null");
		else
			str_printf(s, "%lld", (long long)((at_us[i] + wall_us) / US_PER_MS));
		comma = true;
	}
	str_add_text(s, "},");
}

static void add_span(struct str *s, const struct coldstart_span *span, int64_t begin_us)
{
	bool comma = false;
	str_add_text(s, "{\"phases\":[");
	for (int i = 0; i < COLDSTART_MARKS; i++) {
		if (!(span->phases & 1U << i))
			continue;
		str_printf(s, "%s\"%s\"", comma ? "," : "",
			   coldstart_phase_name((enum coldstart_mark)i));
		comma = true;
	}
	str_printf(s, "],\"from\":%.6f,\"seconds\":%.6f}",
		   (double)(span->from_us - begin_us) / US_PER_S, (double)span->us / US_PER_S);
}

static void add_spans(struct str *s, const struct coldstart *c,
		      const int64_t at_us[COLDSTART_MARKS], int64_t begin_us)
{
	struct coldstart_span span;
	enum coldstart_mark from = COLDSTART_DEMANDED;
	str_add_text(s, "\"spans\":[");
	for (bool comma = false; coldstart_next_span(c, at_us, from, &span); comma = true) {
		if (comma)
			str_add_char(s, ',');
		add_span(s, &span, begin_us);
		from = span.to;
	}
	str_add_char(s, ']');
}

/* The first and the last known mark; both are when it began where there
 * is none, if that is known. */
static void bounds_of(const struct coldstart *c, const int64_t at_us[COLDSTART_MARKS],
		      int64_t *first_us, int64_t *last_us, enum coldstart_mark *last)
{
	*first_us = *last_us = c->began_us;
	*last = COLDSTART_MARKS;
	for (int i = COLDSTART_MARKS - 1; i >= 0; i--) {
		if (at_us[i] == COLDSTART_UNKNOWN)
			continue;
		if (*last == COLDSTART_MARKS) {
			*last = (enum coldstart_mark)i;
			*last_us = at_us[i];
		}
		*first_us = at_us[i];
	}
}

void coldstart_add_json(struct str *s, const struct coldstart *c, int64_t now_us, int64_t wall_us)
{
	int64_t at_us[COLDSTART_MARKS], first_us, last_us;
	enum coldstart_mark last;
	coldstart_read(c, at_us);
	bounds_of(c, at_us, &first_us, &last_us, &last);
	bool goes_on = c->state == COLDSTART_STARTING;
	str_add_char(s, '{');
	add_text(s, "pod", c->pod);
	add_text(s, "state", state_of(c));
	add_text(s, "node", c->node);
	str_printf(s, "\"nodeAdded\":%s,",
		   at_us[COLDSTART_TRIGGERED] == COLDSTART_UNKNOWN ? "null" : "true");
	str_printf(s, "\"imageBytes\":%lld,\"imageWasThere\":%s,\"restarts\":%lld,",
		   (long long)c->image_bytes, c->image_was_there ? "true" : "false",
		   (long long)c->restarts);
	add_text(s, "why", c->why);
	if (first_us == COLDSTART_UNKNOWN) {
		str_add_text(s,
			     "\"at\":null,\"seconds\":null,\"since\":\"\",\"sinceSeconds\":null,");
	} else {
		int64_t end_us = goes_on ? now_us : last_us;
		str_printf(s, "\"at\":%lld,\"seconds\":%.6f,",
			   (long long)((first_us + wall_us) / US_PER_MS),
			   (double)(end_us - first_us) / US_PER_S);
		add_text(s, "since", last < COLDSTART_MARKS ? coldstart_mark_name(last) : "");
		str_printf(s, "\"sinceSeconds\":%.6f,", (double)(now_us - last_us) / US_PER_S);
	}
	add_marks(s, c, at_us, wall_us);
	add_spans(s, c, at_us, first_us);
	str_add_char(s, '}');
}

/* --- the page -------------------------------------------------------------------------------- */

static void begin(struct page *page)
{
	fleet_begin(&page->fleet, page->gateway);
	page->fleet.services_only = true;
	str_printf(&page->text, "{\"now\":%lld,\"services\":[",
		   (long long)(clock_wall_us() / US_PER_MS));
}

static void begin_service(struct page *page, const struct backend *b)
{
	str_add_text(&page->text, page->comma ? ",{\"name\":" : "{\"name\":");
	str_add_json(&page->text, b->name, strlen(b->name));
	str_add_text(&page->text, ",\"coldStarts\":[");
	page->comma = true;
	page->inner_comma = false;
	page->at = 0;
	page->number = UINT64_MAX;
}

/* The next one of the service. False: that was the last. */
static bool add_one(struct page *page, const struct backend *b)
{
	int64_t now_us = loop_now_us(page->gateway->loop);
	const struct coldstart *c =
		b && page->at++ < SHOWN
			? coldstarts_before(service_coldstarts(backend_service(b)), page->number)
			: NULL;
	if (!c) {
		str_add_text(&page->text, "]}");
		return false;
	}
	if (page->inner_comma)
		str_add_char(&page->text, ',');
	page->inner_comma = true;
	page->number = c->number;
	coldstart_add_json(&page->text, c, now_us, clock_wall_us() - clock_now_us());
	return true;
}

static bool step(struct page *page)
{
	return page_step_services(page, begin_service, add_one);
}

static void end(struct page *page)
{
	fleet_end(&page->fleet);
}

const struct page_kind coldstarts_page = {"/v1/coldstarts", begin, step, end};
