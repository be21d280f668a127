/*
 * Which service a request is for, and what of it it takes.
 */
#ifndef SLOTGATE_GATEWAY_ROUTER_H
#define SLOTGATE_GATEWAY_ROUTER_H

#include "gateway/backend.h"
#include "gateway/exchange.h"

enum route_kind {
	ROUTE_SLOT,	  /* a ticket that waits for a slot */
	ROUTE_PASS,	  /* beside the slots */
	ROUTE_BLOCKED,	  /* 403: never passed on */
	ROUTE_NO_SERVICE, /* 404: no service for this host */
	ROUTE_BAD_TARGET, /* 400: neither a path nor an absolute URL */
	ROUTE_BAD_METHOD, /* 501: CONNECT, and TRACE, which would show a browser its own secrets */
	ROUTE_PROBE,	  /* Knative asks whether the one that should be here is: see refuse.c */
	ROUTE_END,	  /* 200: OPTIONS that may be forwarded no further (Max-Forwards: 0) */
};

struct route {
	enum route_kind kind;
	struct backend *backend;	    /* SLOT, PASS, BLOCKED, END */
	struct slice probe, hash;	    /* PROBE: what is asked */
	const struct slot_pattern *pattern; /* SLOT, BLOCKED */
	struct slice host;		    /* as the client sent it: with its port */
	struct slice target;		    /* in origin form, untouched */
	bool lacks_path;		    /* "http://host?query": a "/" belongs before it */
};

struct route router_find(struct gateway *, const struct exchange *, const struct http_head *);

#endif
