/*
 * One question to a pod: is it ready? is it idle? The answer comes once, at the end of a turn of
 * the loop, within the check's timeout, unless the probe is cancelled first.
 *
 *   connect ---refused---------------------------------> ANSWER_REFUSED
 *      |----not within the time, any other fault-------> ANSWER_NO
 *      +-> connected --(tcpSocket)---------------------> ANSWER_YES
 *              +--(httpGet)--> GET over this connection -> ANSWER_YES or ANSWER_NO
 *
 * While pods start, nearly all questions end at the refused connect, which costs a handful of
 * system calls and no HTTP. Each probe makes its own connection and closes it: it is what a new
 * client would see, and it does not occupy a pod that serves one connection at a time.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_PROBE_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_PROBE_H

#include "activator/core/service.h"
#include "base/http_client.h"
#include "base/loop.h"
#include "base/net.h"
#include "config/config.h"

struct probe;

/* The loop and the HTTP client outlive every probe. */
struct probe_client {
	struct loop *loop;
	struct http_client *http;
	struct tls_context *tls;    /* how an HTTP check is made; NULL: plain */
	const char *const *headers; /* of one, as for http_client; they outlive every probe */
	/* The pod's port has taken the connection; the answer comes later. NULL: nobody asks. */
	void (*connected)(void *owner);
};

typedef void probe_fn(void *owner, enum pod_answer);

/* The address and the config are copied. NULL: no memory, and there will be no answer. */
struct probe *probe_readiness(const struct probe_client *, const struct net_address *,
			      const struct readiness_config *, probe_fn *, void *owner);

/* Without a jsonPath any 2xx means idle; with one, a 200 whose JSON has the number there. A service
 * that names no idle check gets ANSWER_YES: its pods are trusted. */
struct probe *probe_idle(const struct probe_client *, const struct net_address *,
			 const struct idle_config *, probe_fn *, void *owner);

/* No answer any more; NULL is harmless. Not after the answer: that ends the probe. */
void probe_cancel(struct probe *);

#endif
