/*
 * How a request ended, as plain facts, and what the metrics and the history make of them. After an
 * upgrade the old process's requests are counted where the metrics are asked for: by the new one.
 */
#ifndef SLOTGATE_GATEWAY_UPGRADE_ENDING_H
#define SLOTGATE_GATEWAY_UPGRADE_ENDING_H

#include "gateway/request.h"

struct ending {
	enum outcome outcome;
	int64_t status;
	const char *reason, *tenant; /* NULL: none */
	enum client_phase phase;
	bool takes_slot;
	int64_t duration_us;
	int64_t first_byte_us, queue_wait_us, cold_start_wait_us; /* -1: it did not come to that */
	int64_t bytes_in, bytes_out;
};

void ending_describe(struct ending *, const struct request *, int64_t now_us);

/* Counts it here, or has it counted by the process that has taken over. */
void ending_book(struct backend *, const struct ending *);

#endif
