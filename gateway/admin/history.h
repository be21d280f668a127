/*
 * What a service did lately, for people who look at it: a point every five seconds for half an
 * hour, and what went wrong last. Bounded, and sampled by a timer of its own, so that a
 * request pays nothing for it.
 */
#ifndef SLOTGATE_GATEWAY_ADMIN_HISTORY_H
#define SLOTGATE_GATEWAY_ADMIN_HISTORY_H

#include "gateway/admin/pages.h"

struct backend;
struct history;

struct history *history_new(struct backend *); /* start-up and configuration */
void history_free(struct history *);	       /* NULL is harmless */

/* Something went wrong: "refused", "queue_full", "". The same again is counted, not listed. NULL is
 * harmless. */
void history_trouble(struct history *, const char *kind, const char *what, const char *pod);

/* /v1/history?since=MS */
extern const struct page_kind history_page;

#endif
