/*
 * Where cold starts go: of each pod that comes up, when what happened, from the demand for it to
 * the first byte of its first answer. Plain structs without I/O and without a clock; all times are
 * of the caller's one clock.
 *
 *	c = coldstarts_begin(s, key, pod, COLDSTART_OF_PROCESS, now);	// or the one under way
 *	coldstarts_take(s, c, now);					// what it was ordered for
 *	coldstart_set(c, COLDSTART_STARTED, now, COLDSTART_OWN);
 *	coldstarts_mark(s, id, COLDSTART_READY, now);			// the ledger's, by id
 *	...
 *	coldstarts_end(s, c);						// its pod is gone
 *
 *   STARTING --ready--> READY --answered, and settled--> ENDED	   any but ENDED --gone--> ENDED
 *
 * Marks are told by several: by slotgate, which sees some happen, and by others, whose clocks name
 * a second each and may disagree. coldstart_read puts them in order; one that does not fit is
 * unknown. What lies between two known marks is a span: of one phase, or of several of which nobody
 * knows the border. So the spans of a cold start always add up to the whole of it.
 */
#ifndef SLOTGATE_ACTIVATOR_CORE_COLDSTART_H
#define SLOTGATE_ACTIVATOR_CORE_COLDSTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/table.h"

/* In the order in which they happen. */
enum coldstart_mark {
	COLDSTART_DEMANDED,  /* there was more to do than the pods before it could serve */
	COLDSTART_ORDERED,   /* replicas were written; a process: its start was decided */
	COLDSTART_CREATED,   /* the pod exists; a static one: it is configured */
	COLDSTART_TRIGGERED, /* a node was asked for */
	COLDSTART_SCHEDULED, /* a node has it */
	COLDSTART_PREPARED,  /* volumes, network and init containers are done */
	COLDSTART_PULLING,   /* its image */
	COLDSTART_PULLED,    /* the image is there */
	COLDSTART_STARTED,   /* its container, or its process */
	COLDSTART_LISTENING, /* its port takes connections */
	COLDSTART_READY,     /* its API answers */
	COLDSTART_CHECKED,   /* its idle check has passed */
	COLDSTART_REQUESTED, /* the first request that takes a slot went to it */
	COLDSTART_ANSWERED,  /* the first byte of an answer came back */
	COLDSTART_MARKS
};

/* "scheduled"; and of the phase that ends with this mark: "schedule". There is no phase that ends
 * with the first one; COLDSTART_MARKS: "unknown", several of which nobody knows the border. */
const char *coldstart_mark_name(enum coldstart_mark);
const char *coldstart_phase_name(enum coldstart_mark);

#define COLDSTART_UNKNOWN INT64_MIN

/* A stamp names a second, and clocks differ a little: marks of others may be so far off. */
#define COLDSTART_SLACK_US INT64_C(1000000)

/* What pods can have, by where they come from. */
enum {
	COLDSTART_OF_KUBERNETES = (1 << COLDSTART_MARKS) - 1,
	COLDSTART_OF_STATIC = 1 << COLDSTART_CREATED | 1 << COLDSTART_LISTENING |
			      1 << COLDSTART_READY | 1 << COLDSTART_CHECKED |
			      1 << COLDSTART_REQUESTED | 1 << COLDSTART_ANSWERED,
	COLDSTART_OF_PROCESS = COLDSTART_OF_STATIC | 1 << COLDSTART_DEMANDED |
			       1 << COLDSTART_ORDERED | 1 << COLDSTART_STARTED,
};

/* Whose word it is, the best first. */
enum coldstart_rank {
	COLDSTART_OWN,	 /* slotgate saw it */
	COLDSTART_EXACT, /* another's clock, finer than seconds */
	COLDSTART_STAMP, /* another's clock, in whole seconds */
	COLDSTART_HINT,	 /* a condition: it may have been written down later */
	COLDSTART_RANKS
};

enum coldstart_state { COLDSTART_STARTING, COLDSTART_IS_READY, COLDSTART_ENDED, COLDSTART_STATES };

enum {
	COLDSTART_NAME_BYTES = 128,
	COLDSTART_WHY_BYTES = 120,
	COLDSTARTS_OPEN = 1024, /* under way at once; of more nothing is remembered */
	COLDSTARTS_KEPT = 64,	/* that have ended */
	COLDSTART_ORDERS = 256,
};

struct coldstart {
	struct list link;
	enum coldstart_state state;
	uint64_t id;			/* while it is under way */
	uint64_t holder;		/* the pod, as the ledger knows it; 0: not yet */
	uint64_t number;		/* in order of beginning, from 1 */
	char key[COLDSTART_NAME_BYTES]; /* by which its provider knows it */
	char pod[COLDSTART_NAME_BYTES]; /* for people */
	char node[COLDSTART_NAME_BYTES];
	char why[COLDSTART_WHY_BYTES]; /* what was in its way last; "": nothing */
	unsigned possible;	       /* marks that it can have: 1 << mark */
	int64_t at_us[COLDSTART_MARKS];
	unsigned char ranks[COLDSTART_MARKS];
	int64_t image_bytes; /* 0: not said */
	int64_t restarts;    /* of its container, before it was ready */
	int64_t began_us; /* when slotgate first heard of it; COLDSTART_UNKNOWN: of a file's nobody did */
	bool image_was_there;
	bool is_gone;		     /* its pod ended before the last mark */
	enum coldstart_mark counted; /* up to here its spans have been told as spent */
};

/* A pod that was ordered and has not come yet. */
struct coldstart_order {
	int64_t demanded_us, decided_us, ordered_us;
};

struct coldstarts {
	struct list states[COLDSTART_STATES];
	size_t counts[COLDSTART_STATES];
	struct map keys;  /* of those under way */
	struct table ids; /* the same */
	uint64_t last_number;
	struct coldstart_order orders[COLDSTART_ORDERS]; /* the oldest first */
	size_t order_count;
	int64_t recalled; /* orders that pods had taken when they were recalled */
	/* A pod that became ready spent so long in a phase. NULL: nobody wants to know. */
	void (*spent)(void *arg, enum coldstart_mark phase, int64_t us);
	void *arg;
};

void coldstarts_init(struct coldstarts *);
void coldstarts_release(struct coldstarts *);

/* --- orders ---------------------------------------------------------------------------------- */

/* A pod more is wanted: since when there is demand for it, and since now by decision. */
void coldstarts_order(struct coldstarts *, int64_t demanded_us, int64_t now_us);
/* So many of them, the oldest, have been handed to whoever makes pods. */
void coldstarts_ordered(struct coldstarts *, int64_t count, int64_t now_us);
void coldstarts_recall(struct coldstarts *, int64_t count); /* so many fewer are wanted */
void coldstarts_filled(struct coldstarts *,
		       int64_t count);		/* so many, the oldest, had come already */
void coldstarts_fulfilled(struct coldstarts *); /* nothing that is wanted is missing */

/* --- one cold start -------------------------------------------------------------------------- */

/* The one under way by this key, or a new one. NULL: no memory, too
 * many, or the key is too long. */
struct coldstart *coldstarts_begin(struct coldstarts *, const char *key, const char *pod,
				   unsigned possible, int64_t now_us);
struct coldstart *coldstarts_by_key(const struct coldstarts *, const char *key);
struct coldstart *coldstarts_get(const struct coldstarts *, uint64_t id); /* NULL: it has ended */

/* It came for the oldest order that was there before it, if there is one. */
void coldstarts_take(struct coldstarts *, struct coldstart *, int64_t created_us);

/* The better word stands, and of equal ones the first. A mark that it cannot have is ignored. */
void coldstart_set(struct coldstart *, enum coldstart_mark, int64_t at_us, enum coldstart_rank);

/* The same where it happens in several steps: of equal words the last stands. */
void coldstart_set_last(struct coldstart *, enum coldstart_mark, int64_t at_us,
			enum coldstart_rank);

/* Its container was started anew, for the n-th time: what came of the
 * start before does not count. */
void coldstart_restarted(struct coldstart *, int64_t restarts);

/* What slotgate itself sees of it; harmless once it has ended. */
void coldstarts_mark(struct coldstarts *, uint64_t id, enum coldstart_mark, int64_t now_us);

/* Its mark is set: it waits for nothing but its first request. */
void coldstarts_became_ready(struct coldstarts *, struct coldstart *);

/* Its pod has ended, or nothing more will be heard of it. NULL is harmless. An order that it was
 * not ready in time for is open again. */
void coldstarts_end(struct coldstarts *, struct coldstart *);

/* Its first answer went unseen: nothing more will be heard of it, though its pod is well. */
void coldstarts_lose(struct coldstarts *, struct coldstart *);

/* It was none: nothing of it is kept. */
void coldstarts_forget(struct coldstarts *, struct coldstart *);

/* Now and then: late words have had their time. */
void coldstarts_tick(struct coldstarts *, int64_t now_us);

/* --- looking --------------------------------------------------------------------------------- */

/* The latest that began before number N; NULL: there is none. */
const struct coldstart *coldstarts_before(const struct coldstarts *, uint64_t number);

/* Its marks in order: each no earlier than those before it, or COLDSTART_UNKNOWN. */
void coldstart_read(const struct coldstart *, int64_t at_us[COLDSTART_MARKS]);

struct coldstart_span {
	enum coldstart_mark from, to;
	unsigned phases; /* 1 << mark for each that it consists of */
	int64_t from_us, us;
};

/* The first span that begins with mark `from` or later. False: there are no more. */
bool coldstart_next_span(const struct coldstart *, const int64_t at_us[COLDSTART_MARKS],
			 enum coldstart_mark from, struct coldstart_span *);

/* The phase that it is, or COLDSTART_MARKS for several. */
enum coldstart_mark coldstart_span_phase(const struct coldstart_span *);

/* --- handing over: another process goes on with it ------------------------------------------- */

/* Takes in a copy of another's. One that was waiting for an answer is over: that may have come
 * there. False: no memory, or it makes no sense. */
bool coldstarts_restore(struct coldstarts *, const struct coldstart *);
bool coldstarts_restore_order(struct coldstarts *, const struct coldstart_order *);

#endif
