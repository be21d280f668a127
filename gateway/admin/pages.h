/*
 * Pages of the admin that grow with the fleet. They are rendered one after the other, in slices of
 * the loop's time, so that a thousand pods hold up nobody's request: a page that fits into one
 * slice is answered at once, a longer one is sent as it is made.
 */
#ifndef SLOTGATE_GATEWAY_ADMIN_PAGES_H
#define SLOTGATE_GATEWAY_ADMIN_PAGES_H

#include "base/loop.h"
#include "base/str.h"
#include "gateway/exchange.h"
#include "gateway/fleet.h"
#include "metrics/exposition.h"

enum { PAGES_MOST = 64 }; /* being rendered, or waiting for it; more are refused */

struct page;

/* How a page is made: a step appends a little to its text, in some ten microseconds at most, and
 * says whether there is more. `end` comes last, however it ends. */
struct page_kind {
	const char *name;
	void (*begin)(struct page *);
	bool (*step)(struct page *);
	void (*end)(struct page *);
};

struct page {
	struct list link;
	struct gateway *gateway;
	struct exchange *exchange;
	const struct page_kind *kind;
	const char *content_type;
	bool is_head; /* the answer has no body */
	bool has_begun, has_responded;
	int slices;
	int64_t longest_slice_us; /* of processor time */
	struct str text;	  /* that has not been sent */

	/* Of the kinds. */
	int status;   /* a kind may change it before there is any text */
	void *detail; /* of mem_alloc; freed with the page */
	struct exposition_cursor metrics;
	enum exposition_format format;
	struct fleet_walk fleet;
	bool comma, inner_comma, is_inside;
	int64_t since_ms;
	size_t at;
	uint64_t number;
};

struct pages {
	struct list list;
	struct task task;
	int count;
};

void pages_init(struct gateway *);

/* Answers the exchange with such a page, now or bit by bit; NULL: it has been refused instead. */
struct page *page_new(struct exchange *, const struct page_kind *, const char *content_type,
		      bool is_head);
void page_start(struct page *);

/* A kind's step where it goes over the services: it begins each, and adds to it until that says
 * that there is no more (of one that is gone, NULL). */
bool page_step_services(struct page *, void (*begin)(struct page *, const struct backend *),
			bool (*add)(struct page *, const struct backend *));

/* A handler of exchanges that answers with pages, but for its begin. */
void page_body(struct exchange *, const char *bytes, size_t len);
void page_body_end(struct exchange *);
void page_left(struct exchange *, enum exchange_end);
void page_delivered(struct exchange *);

#endif
