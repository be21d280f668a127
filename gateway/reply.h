/*
 * Answers that the gateway gives itself: problems (RFC 9457) and small texts.
 */
#ifndef SLOTGATE_GATEWAY_REPLY_H
#define SLOTGATE_GATEWAY_REPLY_H

#include "gateway/exchange.h"

struct problem {
	int status;
	const char *reason;	  /* a word that programs may look at: "queue_full" */
	const char *detail;	  /* a sentence for people, with the remedy */
	int64_t retry_after_us;	  /* 0: no Retry-After */
	const char *request_id;	  /* NULL: none */
	const char *authenticate; /* of a 401: how to; NULL: no WWW-Authenticate */
	bool no_body;		  /* in answer to HEAD */
	bool close;
};

void reply_problem(struct exchange *, const struct problem *);

/* The same for a request that has no handler, or has one no more. */
void reply_unhandled(struct exchange *, const struct problem *);

/* The text must last only for the call. */
void reply_text(struct exchange *, int status, const char *content_type, const char *text,
		size_t len, bool no_body);

/* The value of a Date header now; it stays for a second at least. */
struct slice reply_date(void);

/* Whole seconds for a Retry-After: rounded up, from 1 to an hour. */
int64_t reply_retry_after_s(int64_t us);

#endif
