/*
 * audit: counts what the pod works on, so that a test can catch a gateway that overbooks it.
 *
 * A GPU request is ARRIVED (its head and body are read; it waits inside the pod), STARTED (it
 * computes, or its answer is being written), ENDED. It counts as simultaneous from its arrival to
 * its end, because the lock inside the pod would otherwise hide an overbooking. It ends just
 * before the byte that completes its answer is written; with a broken connection, when its
 * computing ends.
 */
#ifndef DEMO_POD_AUDIT_H
#define DEMO_POD_AUDIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

#define AUDIT_RECORDS 1000

enum audit_outcome {
	AUDIT_SERVED,  /* the answer was written in whole */
	AUDIT_ABORTED, /* the client was gone before its answer was written */
	AUDIT_BROKEN,  /* the pod itself broke the connection, as a fault header asked */
};

enum audit_state { AUDIT_NONE, AUDIT_ARRIVED, AUDIT_STARTED, AUDIT_ENDED };

struct audit_record {
	uint64_t number; /* 0 = an unused place */
	char id[80];	 /* the X-Request-Id, cut to fit */
	char path[80];
	uint64_t arrived_us, started_us, ended_us; /* monotonic; 0 = not yet */
	enum audit_outcome outcome;
	bool interrupted;
};

/* The audit's view of one GPU request; lives in the exchange that serves it. */
struct audit_job {
	uint64_t number;
	enum audit_state state;
	enum audit_outcome outcome; /* once ENDED */
	bool holding;
};

struct audit {
	pthread_mutex_t mutex;
	pthread_mutex_t file_mutex; /* one writer of the file at a time, each with a newer state */
	const char *file;	    /* NULL = none */

	uint64_t last_number;
	uint64_t working, waiting, holding; /* as of now; a reset leaves them */
	uint64_t arrived, started, interrupted;
	uint64_t ended[AUDIT_BROKEN + 1]; /* by outcome */
	uint64_t highest_simultaneous, highest_holding;
	uint64_t connections;	 /* accepted on the main port */
	uint64_t other_requests; /* on the main port, outside the GPU routes */
	uint64_t first_request_us, first_request_wall_us;
	uint64_t ready_us, ready_wall_us;
	struct audit_record records[AUDIT_RECORDS]; /* a ring: number % AUDIT_RECORDS */
};

void audit_init(struct audit *a, const char *file);
void audit_ready(struct audit *a);
void audit_connection(struct audit *a);
void audit_other_request(struct audit *a);

void audit_arrived(struct audit *a, struct audit_job *job, const char *id, const char *path);
/* `holds`: it computes under the GPU lock (all but the routes that A1111 does not lock). */
void audit_started(struct audit *a, struct audit_job *job, bool holds);
void audit_computed(struct audit *a, struct audit_job *job, bool interrupted);
/* Ends the job (once: a second call changes nothing) and writes the file. */
void audit_ended(struct audit *a, struct audit_job *job, enum audit_outcome outcome);
/* The last byte of an answer that had counted as served could not be written after all. */
void audit_amend_aborted(struct audit *a, struct audit_job *job);

uint64_t audit_served(struct audit *a);
void audit_reset(struct audit *a);
void audit_json(struct audit *a, struct buf *out);
void audit_write_file(struct audit *a);

#endif
