/*
 * exchange: one request on its way through the pod.
 *
 * exchange_serve reads top to bottom: fault headers -> body -> route -> plan -> arrive -> thread
 * pool -> GPU -> answer -> write. A route (routes.c) supplies `plan`, which checks the body and
 * says what the job costs, and `answer`, which fills in the reply.
 */
#ifndef DEMO_POD_EXCHANGE_H
#define DEMO_POD_EXCHANGE_H

#include <stdbool.h>

#include "audit.h"
#include "fault.h"
#include "gpu.h"
#include "http.h"
#include "json.h"
#include "pod.h"

enum route_kind {
	ROUTE_ASYNC,	/* answered on the event loop: never waits, not even for the thread pool */
	ROUTE_SYNC,	/* a synchronous handler: needs one of the pool's threads */
	ROUTE_GPU,	/* and then the queue lock */
	ROUTE_UNLOCKED, /* GPU work that A1111 forgot to lock: must never be beside a job */
	ROUTE_UPGRADE,	/* takes the connection over: WebSocket, SSE */
};

struct exchange;

struct route {
	const char *method, *path;
	enum route_kind kind;
	/* False: the reply is an error already, nothing computes. NULL = nothing to check. */
	bool (*plan)(struct exchange *x);
	/* For ROUTE_UPGRADE it writes to the connection itself. */
	void (*answer)(struct exchange *x);
	const char *text; /* the whole answer, where there is no function for it */
};

/* What `plan` has read from a generation's body. */
struct generation {
	uint32_t steps, width, height, batch_size, n_iter;
	uint64_t seed;
	unsigned model; /* the one that will draw */
	bool changes_model, restores_model;
};

struct exchange {
	struct pod *pod;
	struct http_conn *conn;
	struct http_request *request;
	const struct route *route;
	enum route_kind kind; /* the route's, unless its plan decides otherwise */
	struct fault fault;
	struct json body; /* absent when the request has none */
	struct generation generation;
	struct gpu_job gpu_job;
	struct audit_job audit_job;
	double clarity; /* how much of the job was computed, 0..1 */
	uint64_t began_us;
	char process_time[48]; /* a header line */
	struct http_reply reply;
};

/* True if the connection can carry another request. */
bool exchange_serve(struct pod *pod, struct http_conn *conn, struct http_request *request);

/* FastAPI's {"detail": ...} and A1111's {"error", "detail", "body", "errors"}. */
void exchange_detail(struct exchange *x, int status, const char *detail);
void exchange_error(struct exchange *x, int status, const char *type, const char *detail,
		    const char *errors);
/* FastAPI's schema error; `field` is JSON (a quoted name, or an offset into the body) or NULL. */
void exchange_invalid(struct exchange *x, const char *field, const char *message, const char *type);

/* The route, or NULL with *status 404 or 405. */
const struct route *routes_find(const char *method, const char *path, int *status);

/* generation.c: txt2img, img2img and the other GPU routes */
bool generation_plan_txt2img(struct exchange *x);
bool generation_plan_img2img(struct exchange *x);
void generation_answer(struct exchange *x);
void generation_preview(struct buf *out, const struct gpu_progress *p);
bool generation_plan_extra(struct exchange *x);
void generation_answer_extra(struct exchange *x);
bool generation_plan_interrogate(struct exchange *x);

/* stream.c */
void stream_events(struct exchange *x);
void stream_websocket(struct exchange *x);

#endif
