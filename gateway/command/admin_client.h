/*
 * How a command asks an admin address: --admin ADDR and --token-file FILE of its words, and then
 * pages as JSON.
 */
#ifndef SLOTGATE_GATEWAY_COMMAND_ADMIN_CLIENT_H
#define SLOTGATE_GATEWAY_COMMAND_ADMIN_CLIENT_H

#include <stdbool.h>

#include "base/http_client.h"
#include "base/json.h"

enum {
	ADMIN_CLIENT_URL_BYTES = 512,
	ADMIN_CLIENT_HEADER_BYTES = 4200,
	ADMIN_CLIENT_WHY_BYTES = 256,
	USAGE_STATUS = 2, /* of a process that was told nonsense */
};

struct admin_client {
	const char *verb; /* for its faults: "top" */
	struct http_client *http;
	char base[ADMIN_CLIENT_URL_BYTES];
	char authorization[ADMIN_CLIENT_HEADER_BYTES];
};

void admin_client_init(struct admin_client *, const char *verb); /* 127.0.0.1:9090 */

/* Whether the word at *at is one of its own; then *at is at its value. False with *is_wrong: it is,
 * but it makes no sense, which has been told. */
bool admin_client_word(struct admin_client *, int argc, char **argv, int *at, bool *is_wrong);

/* Tells what is wrong with a word; gives USAGE_STATUS. */
int admin_client_misused(const struct admin_client *, const char *word, const char *why);

/* NULL: no memory. */
struct http_exchange *admin_client_ask(struct admin_client *, const char *path, http_client_fn *,
				       void *owner);

/* The answer as JSON; NULL: `why` says what it was instead. */
struct json *admin_client_read(const struct http_client_result *, char why[ADMIN_CLIENT_WHY_BYTES]);

/* The same on stderr, with the remedy. */
void admin_client_tell(const struct admin_client *, const char *path, const char *why);

#endif
