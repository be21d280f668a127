/*
 * How the API server is reached: from inside the cluster by the pod's service account, or by a
 * kubeconfig (server, authority, namespace; a client certificate, a token or a file with one). A
 * token in a file is read again when the file changes: tokens rotate.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_ACCESS_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_ACCESS_H

#include "base/http_client.h"
#include "base/str.h"

#define KUBE_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

enum { KUBE_WHY_BYTES = 400 };

struct kube_access {
	struct str origin; /* where all this was read: a kubeconfig, or the account's directory */
	struct str server; /* "https://10.0.0.1:443", without a "/" behind it */
	struct str name_space;
	struct str ca, certificate, key; /* PEM */
	struct str token;		 /* "": none */
	struct str token_file, ca_file;	 /* to read again; "": none */
	uint64_t token_stamp, ca_stamp;
	bool trusts_anybody;
};

void kube_access_init(struct kube_access *);
void kube_access_release(struct kube_access *);

/* Both take one that was just initialised. False: `why` names the file and the remedy. */
bool kube_access_in_cluster(struct kube_access *, const char *directory, char why[KUBE_WHY_BYTES]);
bool kube_access_read(struct kube_access *, const char *kubeconfig, const char *context,
		      char why[KUBE_WHY_BYTES]);

/* One of either kind in place of what it was: of the kubeconfig, or without one, of the cluster. */
bool kube_access_renew(struct kube_access *, const char *kubeconfig, const char *context,
		       char why[KUBE_WHY_BYTES]);

/* Reads again what has changed. What cannot be read stays as it was. */
void kube_access_refresh(struct kube_access *);

struct http_client_trust kube_access_trust(const struct kube_access *);

#endif
