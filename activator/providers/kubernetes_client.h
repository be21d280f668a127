/* Requests to the API server: base/http_client with an access, and what its answers say. */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_CLIENT_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_CLIENT_H

#include "activator/providers/kubernetes_access.h"
#include "activator/providers/kubernetes_model.h"

struct kube_client {
	struct http_client *http;
	struct kube_access access;
	uint64_t requests, failures; /* that were sent; that got no answer, or 5xx, 401 or 403 */
};

struct kube_request {
	const char *method; /* NULL: GET */
	const char *path;   /* with its query */
	struct slice body;
	const char *content_type;
	int64_t timeout_us;
	http_client_piece_fn *piece; /* of a watch */
};

#define KUBE_JSON	 "application/json"
#define KUBE_MERGE_PATCH "application/merge-patch+json"

/* As http_client_start; NULL also while there is no server to ask. */
struct http_exchange *kube_client_send(struct kube_client *, const struct kube_request *,
				       http_client_fn *, void *owner);

struct kube_answer {
	int status;		  /* 0: there was none */
	struct json *document;	  /* NULL: there was none, or it is no JSON */
	char why[KUBE_WHY_BYTES]; /* what went wrong, for people; "" for 2xx */
};

/* Counts it, too. Its document is the caller's from then on. */
void kube_answer_read(struct kube_client *, const struct http_client_result *,
		      struct kube_answer *);
static inline bool kube_answer_is_good(const struct kube_answer *a)
{
	return a->status >= 200 && a->status < 300 && a->document;
}

/* The API says no, and will say it again until somebody changes something: a name, a right, a
 * token. (For a moment so does a server that has just started: ask how long it has lasted.) */
bool kube_answer_is_refusal(const struct kube_answer *);

/* Keeps since when it has been saying so; 0: it does not. */
void kube_answer_note_refusal(const struct kube_answer *, int64_t *since_us, int64_t now_us);
bool kube_is_refused(int64_t since_us, int64_t now_us); /* for long enough to be told */

/* Adds a value of a query, percent-encoded. */
void kube_add_encoded(struct str *, const char *value);

#endif
