/*
 * A job: what a pod works on and what holds the slot. It has a request while its client is there,
 * and goes on without it until the pod is known to have stopped.
 *
 *   UPLOADING -> QUEUED -> CONNECTING -> SENDING -> WAITING -> ANSWERING -> (finish)
 *                  ^-- provably unsent --'                 `-> TUNNEL ---'
 *
 * job_finish is its only exit: it gives the slot back, keeps or closes the connection, and frees.
 */
#ifndef SLOTGATE_GATEWAY_JOB_H
#define SLOTGATE_GATEWAY_JOB_H

#include "activator/core/ticket.h"
#include "base/spool.h"
#include "gateway/backend.h"
#include "gateway/http/http.h"
#include "gateway/upstream.h"

struct gateway;
struct request;

enum job_state {
	JOB_UPLOADING, /* its body is being read; no ticket waits */
	JOB_QUEUED,
	JOB_CONNECTING,
	JOB_SENDING,
	JOB_WAITING, /* sent; no answer yet */
	JOB_ANSWERING,
	JOB_TUNNEL,
	JOB_DONE,
};

/* What became of a job at its pod, and what that means for its slot. */
enum job_end {
	JOB_ANSWERED,	   /* the answer has ended */
	JOB_NEVER_GRANTED, /* it left the queue without a slot */
	JOB_ABANDONED,	   /* nothing was sent, and nothing will be */
	JOB_DROPPED,	   /* beside the slots: given up, its connection is closed */
	JOB_BROKE,	   /* the connection broke, or its answer was no HTTP: who knows */
	JOB_FORGOTTEN,	   /* its slot has been freed without it */
};

struct job {
	struct list link; /* on the gateway's list of those that have not ended */
	uint64_t id;
	struct backend *backend;
	struct request *request; /* NULL: its client has left */
	struct ticket ticket;

	enum job_state state;
	bool is_head, is_safe, wants_upgrade;
	bool has_sent;	  /* all of it has been */
	bool must_be_new; /* a kept connection failed it: the next is a new one */
	bool answer_keeps_alive, answer_has_begun;
	bool holds_head; /* of the answer; within a turn, until something follows or nothing does */
	bool has_timed_out;
	bool client_has_ended; /* a tunnel's client has closed its side */
	bool client_is_held;   /* a tunnel's client runs ahead of the pod */
	/* After an upgrade its "pod" is the process that has taken over, which does the job. */
	bool is_relayed;
	int relay_fd;	  /* prepared for that; -1: not */
	int interims;	  /* answers of 1xx that have come */
	enum job_end end; /* how it ended, while the interrupt is under way */

	struct str head;    /* as it goes to the pod */
	int64_t held_bytes; /* of memory, without the body, as reported to the gateway's budget */
	struct spool *body; /* NULL: none */
	int64_t content_length; /* of the body, as announced; -1: it was not */
	int64_t body_bytes;

	uint64_t grant, pod; /* while it has a slot */
	struct upstream *upstream;
	struct http_parser *parser;
	size_t head_sent;
	struct tunnel *tunnel;		 /* in JOB_TUNNEL */
	struct http_exchange *interrupt; /* the runtime is being told to stop */
	const char *end_kind;
	struct work_span *span; /* of this attempt; NULL: it is not recorded */
	struct task task;	/* goes on reading in the next turn; frees when done */
};

/* NULL: no memory. */
struct job *job_new(struct backend *, struct request *, enum ticket_kind);

/* Its head has been written: says what it holds. */
void job_account(struct job *);

/* A piece of the body. An error: it cannot be kept. */
enum spool_error job_add_body(struct job *, const char *bytes, size_t len);

/* A place in the queue for a request that the process before this one
 * still holds. NULL: no memory. */
struct job *job_await(struct backend *, enum ticket_kind, uint64_t tenant, uint64_t order,
		      int64_t enqueued_us);

/* Body and head are complete: it joins the queue. */
void job_enqueue(struct job *);

/* The core's decisions about it. */
void job_granted(struct job *, uint64_t grant, uint64_t pod);
void job_refused(struct job *);
void job_forget(struct job *); /* nothing is known by its answer that is not known already */

/* Another process has the ledger now: it does this job, which has no slot here. */
void job_relay(struct job *);

/* Ends all that work for nobody, when the gateway ends. */
void jobs_abort(struct gateway *);

/* Its client has left, or has been answered without it. */
void job_leave(struct job *);

/* In JOB_TUNNEL: the client's bytes, and its end. */
void job_tunnel_write(struct job *, const char *bytes, size_t len);
void job_tunnel_end(struct job *);

/* The gateway ends, or another process has taken over: tells both sides to leave (1001). */
void job_tunnel_go_away(struct job *);
void jobs_close_tunnels(struct gateway *);

#endif
