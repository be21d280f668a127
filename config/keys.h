/*
 * A file of API keys: who may come in, and how much of them. A JSON object of its own, so that it
 * can be kept apart from the configuration and rotated; it never holds a key, only SHA-256 digests:
 *
 *	{"keys": [{"sha256": "<64 hex digits>", "tenant": "acme", "maxWorking": 2}]}
 *
 * The tenant's limits may stand at any of its keys, which share them. No fault quotes a digest: it
 * may be a key that was put there by mistake.
 */
#ifndef SLOTGATE_CONFIG_KEYS_H
#define SLOTGATE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/map.h"
#include "base/str.h"

enum {
	KEYS_MAX = 10000,
	KEYS_FILE_MAX_BYTES = 8 << 20,
	KEY_MAX_BYTES = 512, /* a longer one is unknown without being looked at */
	TENANT_NAME_BYTES = 64,
};

struct key_tenant {
	char *name;
	double requests_per_second; /* 0: no limit, of these three */
	int64_t max_queued, max_working;
	int64_t burst;	/* 0: what comes in a second */
	bool is_served; /* by the service that the file was read for */
};

struct api_key {
	char digest[CRYPTO_SHA256_DIGITS + 1]; /* lower case */
	size_t tenant;
	bool disabled;
	bool is_elsewhere; /* for other services only */
};

struct api_keys {
	struct api_key *keys;
	size_t count;
	struct key_tenant *tenants;
	size_t tenant_count;
	struct map by_digest;
};

/* Reads a file, or a text that is called `name` in messages, as the keys of this service, into
 * zeroed memory. False: `faults` has a line for each fault; release it all the same. */
bool api_keys_load(struct api_keys *, const char *path, const char *service, struct str *faults);
bool api_keys_parse(struct api_keys *, const char *name, const char *text, size_t len,
		    const char *service, struct str *faults);
void api_keys_release(struct api_keys *);

/* The key that a client presents. Only its digest is compared, so the time tells nothing of how
 * much of a key was right. NULL: unknown. */
const struct api_key *api_keys_find(const struct api_keys *, struct slice key);

/* What is wrong with a tenant's name, or NULL. */
const char *form_tenant(const char *text);

#endif
