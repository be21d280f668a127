/*
 * Single values of the Kubernetes API's objects, bounded: shared by those that read them.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_VALUES_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KUBERNETES_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

/* A text that fits whole, or "": half a name would be another's. Names stand in paths and logs. False:
 * it is empty, or none. */
bool kube_copy_name(const struct json *, char *to, size_t size);

/* A text for people: cut where it is too long, without control characters. */
void kube_copy_words(const char *text, char *to, size_t size);

int64_t kube_whole(const struct json *, int64_t fallback); /* from 0 to INT32_MAX */
int kube_port_number(const struct json *);		   /* 0: it is none */
bool kube_is_text(const struct json *, const char *text);
bool kube_flag(const struct json *, bool fallback);
const struct json *kube_items(const struct json *list); /* NULL: it is no list */

/* Of an init container: it starts before the others, and goes on beside them. */
bool kube_is_sidecar(const struct json *init_container);

#endif
