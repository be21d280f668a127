/*
 * Who of several gateways writes replicas: the holder of a Lease. Each one's demand stands in an
 * annotation of the same Lease, so that the holder, and everybody else, can sum them.
 *
 * No clock is compared with another's: a lease, or a demand, that has not changed for its time by
 * our own clock is over. Its holder counts from when it asked, and the others from when they have
 * seen the answer, so it stops first. Who stands still for that long (paused, swapped out) finds
 * that it holds the lease no more before it writes; what it had under way fails by its
 * resourceVersion once the next one has written.
 *
 * Two of one identity would both be the holder. Each says in its demand which process it is: one
 * that finds another's words in the place of its own, more than once, goes on under a name of its
 * own.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_ELECTION_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_ELECTION_H

#include "activator/providers/kubernetes_client.h"
#include "base/loop.h"

enum { KUBE_IDENTITY_BYTES = 64, KUBE_GATEWAYS_MAX = 64, KUBE_DEMAND_BYTES = 64 };
enum { KUBE_NONCE_DIGITS = 8 };

/* What is known of another gateway. */
struct kube_gateway {
	char identity[KUBE_IDENTITY_BYTES];
	char value[KUBE_DEMAND_BYTES];
	int64_t pods;	 /* that it wants */
	int64_t seen_us; /* when its value last changed */
	bool is_named;	 /* by the lease as it is now */
	unsigned lease;	 /* which named it last: see below */
};

struct kube_election {
	struct kube_client *client;
	struct loop *loop;
	const char *label; /* for the log */
	char name[KUBE_NAME_BYTES], identity[KUBE_IDENTITY_BYTES];
	char nonce[KUBE_NONCE_DIGITS + 1]; /* this process's own */
	char foreign[KUBE_DEMAND_BYTES];   /* another's word that stood in the place of ours */
	int64_t duration_us;
	bool is_on, is_holder, is_leaving;
	bool has_read; /* an answer has come, if only to say no */
	int64_t demand;
	uint64_t beat;	      /* makes each of our values another one */
	int64_t published;    /* the demand that the lease has of us; -1: none */
	int64_t published_us; /* when it was written last; 0: never */
	int64_t asked_us,
		renewed_us; /* when the last renewal was asked for, and the last that was granted */
	char holder[KUBE_NAME_BYTES], holder_renewed[KUBE_VERSION_BYTES];
	int64_t holder_seen_us; /* when the holder's renewal last changed */
	int64_t transitions;
	char lease_uid[KUBE_UID_BYTES];
	unsigned lease; /* its number: one may be deleted, and made anew */
	struct kube_gateway others[KUBE_GATEWAYS_MAX];
	size_t other_count;
	struct http_exchange *exchange;
	bool takes; /* what is under way makes us the holder, or keeps us it */
	struct timer timer;
	struct task task;
	int64_t refused_us;	  /* the API says no to it since; 0: it does not */
	char why[KUBE_WHY_BYTES]; /* the last step failed; "": it did not */
	void (*changed)(void *owner);
	void *owner;
};

bool kube_election_init(struct kube_election *, struct loop *, struct kube_client *,
			const char *label, void (*changed)(void *owner), void *owner);
void kube_election_release(struct kube_election *);
void kube_election_start(struct kube_election *, const char *name, const char *identity,
			 int64_t duration_us);

/* Gives the lease back, so that nobody has to wait for its end; `changed` tells when that is done:
 * then it is off. */
void kube_election_leave(struct kube_election *);
void kube_election_stop(struct kube_election *);

/* Until when we are the holder, if nothing more comes of it; 0: we are not. */
int64_t kube_election_until_us(const struct kube_election *);

/* So many pods are wanted here. */
void kube_election_want(struct kube_election *, int64_t pods);

/* And so many by the others. */
int64_t kube_election_elsewhere(const struct kube_election *);
bool kube_election_has_others(const struct kube_election *);

/* Reads a lease, as it was answered: exposed for tests, and called with our clock's time. Returns
 * whether the lease is free to be taken, or ours. */
bool kube_election_read(struct kube_election *, const struct kube_lease *, int64_t now_us);

#endif
