/*
 * Who may ask the metrics API: Kubernetes' API server, which has checked who its own client is and
 * what that one may do. It proves itself by the client certificate of its front proxy (the
 * aggregation layer), and names its client in X-Remote-User.
 *
 * The certificate's authority and names are configured, or read from the cluster and once more each
 * minute: ConfigMap kube-system/extension-apiserver-authentication.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_FRONT_PROXY_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_FRONT_PROXY_H

#include <stdbool.h>

#include "base/str.h"

struct gateway;
struct listener;
struct tls;
struct front_proxy;

/* Looks after whom this listener's TLS trusts. Start-up: NULL: no memory. */
struct front_proxy *front_proxy_new(struct gateway *, struct listener *);
void front_proxy_free(struct front_proxy *); /* NULL is harmless */

/* The listener has been configured anew. */
void front_proxy_configure(struct front_proxy *);

/* Whether this is a client's connection of it; else adds why not, for people. `is_known`:
 * it is known whom to trust. */
bool front_proxy_is(const struct front_proxy *, const struct tls *, struct str *why,
		    bool *is_known);

#endif
