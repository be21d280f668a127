/*
 * The process: what its parts share, and how they are wired. The data plane, from the socket in:
 *
 *   listener    accepts connections
 *   connection  speaks HTTP/1 with a client and makes exchanges
 *   exchange    one request and its answer, whatever the protocol
 *   router      finds the service, and what of it the request takes
 *   request     the client's exchange: its one exit is request_finish
 *   job         what a pod works on and what holds the slot: its one exit is job_finish
 *   upstream    connections to pods
 *
 * A request attaches to a job and may leave it; the job goes on until the pod has stopped.
 */
#ifndef SLOTGATE_GATEWAY_GATEWAY_H
#define SLOTGATE_GATEWAY_GATEWAY_H

#include "activator/providers/provider.h"
#include "base/budget.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/spool.h"
#include "base/table.h"
#include "config/config.h"
#include "gateway/admin/pages.h"
#include "gateway/autoscalers/keda.h"
#include "gateway/fleet.h"
#include "gateway/http/http.h"
#include "gateway/upgrade/inherited.h"
#include "metrics/metrics.h"

enum { READ_BYTES = 64 << 10, READS_PER_TURN = 16, BROUGHT_PIECES = 16 };

/* What one read, into the gateway's buffer, has brought of an answer's body. */
struct brought {
	struct slice pieces[BROUGHT_PIECES];
	int count;
};

struct gateway {
	struct loop *loop;
	struct config *config; /* the newest; requests hold the one they began with */
	const char *config_path;
	struct worker *worker;
	struct budget memory;	  /* that clients make the process hold */
	struct spool_space spool; /* a part of it, and the disk */
	int64_t next_shed_us;
	char *spool_directory;
	struct provider_host providers;
	struct metrics_registry *metrics;
	struct tracing *tracing;
	struct knative *knative;
	struct fleet_walk sampled; /* how far a scrape has come */
	struct pages pages;	   /* of the admin and the metrics API, being rendered */
	struct keda keda;
	struct front_proxy *front_proxy; /* NULL: there is no metrics API */
	struct list listeners;
	struct inherited inherited; /* while it starts */
	struct list backends;
	uint64_t last_backend;
	struct table jobs;
	struct list job_list; /* jobs that have not ended, */
	struct list overdue;  /* and those of them that took too long: see lets_go */
	struct list requests; /* all that have not finished */
	struct list connections;
	int64_t connection_count;
	struct map clients;  /* how many of them each address has: see clients.h */
	int64_t descriptors; /* that the process may have; the last ones are not for clients: */
	int64_t client_descriptors;
	int64_t told_connections; /* the limits.maxConnections that was looked at last */
	bool accept_paused;	  /* no descriptors are left */

	const char *program;	  /* what this process was started as */
	struct upgrade *upgrade;  /* by a process that comes after this one; NULL: none may */
	struct list predecessors; /* processes that handed over to this one, and still drain */
	struct predecessor *taking_over_from;
	struct listener
		*relay_listener; /* of the connections that come from those; NULL: none yet */

	bool draining, drain_is_over;
	bool told_to_stop; /* by a signal */
	bool lets_go;	   /* also clients who only keep a connection, and overdue jobs */
	bool tunnels_are_over;
	struct timer drain_timer, tunnel_timer;
	struct task drain_task;
	int shutting_down;	  /* parts that have not ended: pods, spans; 0: not begun */
	struct timer watch_timer; /* of the configuration's files */
	uint64_t files_seen;	  /* their stamp when they were last read */

	char *buffer; /* READ_BYTES that everybody reads into and nobody keeps */
	struct brought brought;
	struct http_parser *spare_parsers[16];
	int spare_parser_count;
};

struct gateway_start {
	const char *config_path;
	const char *program; /* that an upgrade starts anew */
	bool take_over;	     /* from the slotgate that runs */
};

/* Runs until it has drained; the process's exit status. */
int gateway_run(const struct gateway_start *);

/* Another process serves from now on: this one finishes what it has. */
void gateway_step_down(struct gateway *);

/* And is not to wait for those who have nothing under way, nor for pods that are overdue. */
void gateway_let_go(struct gateway *);

/* A connection or a job has ended while draining. */
void gateway_drain_on(struct gateway *);

/* Parsers are kept for the next who reads a head: only those that read one need one. */
struct http_parser *gateway_take_parser(struct gateway *);
void gateway_give_parser(struct gateway *, struct http_parser *);

struct http_limits gateway_http_limits(const struct gateway *);

/* limits.maxConnections, or fewer if there are not the descriptors for so many. */
int64_t gateway_max_connections(const struct gateway *);

#endif
