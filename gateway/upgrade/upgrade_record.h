/*
 * Inside an upgrade: a service's ledger and its provider's pods as packets, and back.
 *
 *   service (name, provider, ...), then for each pod: pod, slot..., podEnd; then process...,
 *   coldStart..., coldStartOrder...
 */
#ifndef SLOTGATE_GATEWAY_UPGRADE_UPGRADE_RECORD_H
#define SLOTGATE_GATEWAY_UPGRADE_UPGRADE_RECORD_H

#include "activator/core/handover.h"
#include "gateway/backend.h"
#include "gateway/upgrade/ending.h"
#include "gateway/upgrade/upgrade_wire.h"

/* The old process's grant, and what it is here. */
struct adopted {
	struct list link;
	char key[40]; /* BACKEND/GRANT, as the old process calls them */
	struct backend *backend;
	uint64_t grant;
	bool is_pass;
};

/* What has been read of the state so far. */
struct restoring {
	struct gateway *gateway;
	struct list *adopted; /* of struct adopted: where they go */
	struct backend *backend;
	uint64_t number; /* of the old process's backend */
	bool is_back;	 /* it was out of the configuration there: others may have used its pods */
	uint64_t pod;
	char name[400]; /* of that pod */
	struct pod_record record;
};

/* False: the other end is gone, or memory is. */
bool record_backend(struct channel *, struct str *packet, struct backend *);

void adopted_key(char *key, size_t size, uint64_t backend, uint64_t grant);

/* How a request ended, in a packet of its own; its texts last as long as the message.
 * False: it makes no sense. */
void record_ending(struct str *packet, const char *service, const struct ending *);
bool heard_ending(const struct message *, struct ending *);

/* Takes in one of those packets. False: it is none of them, or makes no sense. */
bool restore(struct restoring *, struct message *);

#endif
