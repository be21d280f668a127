/*
 * Spans on their way to an OpenTelemetry collector: OTLP over HTTP, in JSON. A finished record is
 * put into a bounded queue, which is all that a request pays; batches are rendered in slices of the
 * loop's time and sent one at a time. When the collector is away or slow the queue fills, and what
 * finds no place is counted and dropped.
 *
 *   IDLE --enough, or interval--> WRITING --> WRITTEN --> SENDING --answered--> IDLE
 *                                                          ^   `-- try again --> PAUSING
 *                                                          `---------------------'
 */
#ifndef SLOTGATE_GATEWAY_TRACING_TRACING_H
#define SLOTGATE_GATEWAY_TRACING_TRACING_H

#include "base/loop.h"
#include "config/config.h"
#include "gateway/tracing/span.h"
#include "metrics/metrics.h"

struct http_client;
struct tracing;

/* Start-up. NULL: no memory. */
struct tracing *tracing_new(struct loop *, struct http_client *, struct metrics_registry *,
			    const char *version);
void tracing_free(struct tracing *); /* NULL is harmless */

/* The config stays until configured anew. Turned off, what waits is dropped. */
void tracing_configure(struct tracing *, const struct tracing_config *);

/* NULL: nothing is traced. */
const struct tracing_config *tracing_config(const struct tracing *);

/* Zeroed memory for a record, `size` bytes that begin with a span; NULL: none, which is counted. It
 * ends with tracing_submit, which takes it. */
void *tracing_record(struct tracing *, enum span_kind, size_t size);
void tracing_submit(struct tracing *, struct span *);

/* Sends what there is, once and not for long, and calls back. */
void tracing_shutdown(struct tracing *, void (*done)(void *owner), void *owner);

#endif
