/*
 * The world around one service, simulated for the property test: clients that come and leave,
 * machines that really compute, a provider, and what a gateway would tell the core of all this.
 *
 * It keeps the truth by itself, in plain arrays that are scanned: a machine works on a job from the
 * moment its first byte is sent until the job really ends, whatever its client and its connection
 * do. What the core believes is only ever compared with that.
 *
 *   core_model.c   the world, and what the core is told about it
 *   core_check.c   the promises, recomputed naively after each event
 *   core_event.c   the events, drawn at random
 */
#ifndef SLOTGATE_TESTS_UNIT_CORE_MODEL_H
#define SLOTGATE_TESTS_UNIT_CORE_MODEL_H

#include "activator/core/service.h"

enum {
	TENANTS = 4, /* the first has no caps: nobody */
	MACHINES = 6,
	WORKS = 48,
	QUESTIONS = 24,
	ENDED = 16,
	NOTES = 40,
	NOBODY = -1
};

enum phase {
	AT_REST,  /* its ticket is nowhere; it may be taken for a new client once its job is over */
	RETURNED, /* its job never reached the pod: it may be requeued */
	ADMITTED,
	WAITING,
	HELD, /* granted */
};

/* A client's request, and the job that it becomes. */
struct work {
	struct ticket ticket;
	enum phase phase;
	uint64_t owner;
	uint64_t order; /* of arrival */
	int64_t enqueued_us;
	int attempts;
	int tenant; /* 0: nobody */
	struct stint {
		int machine, number;
		uint64_t pod;
	} failed_at[TICKET_SKIPS_MAX];

	/* The job. */
	uint64_t grant;
	int machine;
	bool has_slot; /* until the core says that it is freed */
	bool started;
	bool runs;	/* really */
	bool connected; /* more may be heard of it */
	bool crashed;	/* its machine did: its connection can only break */
	bool timed_out;
	bool ending;	 /* the call under way ends it, so that nobody need be told */
	bool forget_due; /* freed without its answer: somebody must be told */
};

/* What is behind a name: it outlives the core's pods. */
struct machine {
	char name[16];
	bool up;      /* there is a process */
	bool listens; /* that takes connections */
	bool discovered;
	bool stopping;	      /* the provider was told to stop it */
	bool has_foreign_job; /* from before the core knew it */

	/* As the observer was told. */
	uint64_t pod;
	enum pod_state state; /* POD_STATES: the core does not know it */
	int64_t since_us;
	int stint;	 /* counts its returns to where it may be granted */
	int64_t allowed; /* jobs at once: more than the concurrency only after a reload */
};

/* Whose the works are. */
struct model_tenant {
	char name[16];
	uint64_t id; /* 0: nobody, or never set */
	struct tenant_caps caps;
	bool is_dropped;
	int64_t allowed; /* jobs at once: more than its cap only after a reload */
};

struct question {
	uint64_t pod, id;
	int machine;
	bool is_check;
	enum pod_answer early; /* the truth when it was asked */
};

struct note {
	const char *what;
	int64_t a, b;
};

struct model {
	struct service *service;
	struct service_config configs[2]; /* the one in force and the one before */
	struct service_config *config;
	bool scalable, closed;
	bool is_deaf; /* to a ledger that has been handed over */
	int64_t now_us;
	bool is_timed; /* the pods' time of this service is known, as of the last check: */
	int64_t uses[POD_USES], use_us[POD_USES], uses_since_us;
	uint64_t random;
	uint64_t seed;
	int64_t steps;
	int64_t scaling_fails_until_us;
	int64_t replicas;

	struct machine machines[MACHINES];
	struct model_tenant tenants[TENANTS];
	struct work works[WORKS];
	struct question questions[QUESTIONS];
	int question_count;
	uint64_t ended[ENDED]; /* grants that have ended */
	unsigned ended_count;
	uint64_t serial, last_order;
	int open_pods;
	const struct work *reserving; /* that a pod ran empty for before this decision */
	int64_t warm_us;

	struct note notes[NOTES]; /* the last events, for the message */
	int64_t note_count;
};

/* core_model.c */
uint64_t model_random(struct model *, uint64_t below);
bool model_chance(struct model *, int percent);
void model_note(struct model *, const char *what, int64_t a, int64_t b);
void model_fail(struct model *, const char *what, int64_t a, int64_t b) __attribute__((noreturn));
#define MODEL_CHECK(m, true_is, a, b)                                                              \
	do {                                                                                       \
		if (!(true_is))                                                                    \
			model_fail(m, #true_is, (int64_t)(a), (int64_t)(b));                       \
	} while (0)

void model_start(struct model *, const struct service_config *, bool scalable, uint64_t seed);
void model_drain(struct model *);  /* carries out every decision */
void model_renew(struct model *);  /* another ledger, with nothing in it */
void model_finish(struct model *); /* lets all end, and sees that nothing is left */

int64_t model_jobs(const struct model *, int machine, bool really); /* with slots, or running */
bool model_has_exclusive(const struct model *, int machine, bool really);
int64_t model_passes(const struct model *, int machine);
int64_t model_all_passes(const struct model *); /* uploading and waiting ones, too */
int64_t model_tenant_jobs(const struct model *, int tenant, bool really);
int64_t model_tenant_room(const struct model *, int tenant);
bool model_is_working(const struct model *, int machine);
int model_index(const struct model *, const struct work *);

void model_come(struct model *, int machine, bool past_is_known);
void model_crash(struct model *, int machine);
void model_gone(struct model *, int machine);
enum pod_answer model_truth(const struct model *, int machine, bool is_check);
void model_answer(struct model *, int question, enum pod_answer);
void model_start_job(struct model *, struct work *);
void model_finish_job(struct model *, struct work *);
void model_break(struct model *, struct work *);
void model_return(struct model *, struct work *, enum unsent, bool wants_more);
void model_cancel(struct model *, struct work *);
void model_reload(struct model *, const struct service_config *);
void model_set_tenant(struct model *, int tenant, struct tenant_caps);
void model_drop_tenant(struct model *, int tenant);

/* core_check.c */
const struct work *check_reserving(const struct model *);
void check_grant(struct model *, const struct work *, const struct decision *);
void check_refusal(struct model *, const struct work *);
void check_removal(struct model *, const struct machine *);
void check_truth(struct model *, int machine);
void check_all(struct model *);
void check_uses(struct model *); /* after each event */

/* core_handover.c */
void model_hand_over(struct model *);

/* core_event.c */
void model_step(struct model *);

#endif
