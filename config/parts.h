/* What the files that read a configuration share; nobody else includes it. */
#ifndef SLOTGATE_CONFIG_PARTS_H
#define SLOTGATE_CONFIG_PARTS_H

#include "config/config.h"
#include "config/fault.h"
#include "config/forms.h"

/* A key of a file of keys, as its row of the table says. */
struct key_config {
	char *sha256, *tenant;
	double requests_per_second;
	int64_t burst, max_queued, max_working;
	bool disabled;
};

/* config.c: parses an address that has passed form_address, and rewrites its text in the one way
 * that all spellings of it share. */
void config_parse_address(char **text, struct net_address *);

/* config.c: a file that is read for the configuration; to be called before it is read. */
void config_add_file(struct config *, const char *path);

/* config.c: a secret in one line of a file; empty without a file. */
void config_read_secret(struct config *, const char *file, struct str *to, const struct place *,
			struct str *faults);

/* tracing.c: what the table does not read of "tracing" (NULL: nothing is traced). */
void tracing_read(struct config *, const struct json *, struct str *faults);
void tracing_release(struct tracing_config *);

/* tls.c: reads a listener's "tls" (NULL: it is plain), and its files. */
void server_tls_read(struct config *, struct server_tls_config *, const struct json *tls,
		     const struct place *, struct str *faults);
void server_tls_release(struct server_tls_config *);

/* The same of a service's "podTls". */
void pod_tls_read(struct config *, struct pod_tls_config *, const struct json *tls,
		  const struct place *, struct str *faults);
void pod_tls_release(struct pod_tls_config *);

/* service.c: reads one service into zeroed memory. */
void service_read(struct config *, struct service_config *, const struct json *,
		  const struct place *, struct str *faults);

/* service.c: the texts of a list that have a form, and NULL behind them. */
char **config_read_texts(const struct json *list, form_check *, const struct place *,
			 struct str *faults, size_t *count);
void config_free_texts(char **texts); /* NULL is harmless */

/* slots.c: reads the lists of patterns, or their defaults. */
void slots_read(struct service_config *, const struct json *service, const struct place *,
		struct str *faults);
void slots_release(struct slot_pattern *, size_t count);

/* check.c: what contradicts itself within a service, and between services and listeners. A key
 * that is given but faulty is no reason for a second fault. */
void check_service(const struct service_config *, const struct json *, const struct place *,
		   struct str *faults);
void check_config(const struct config *, struct str *faults);

/* addresses.c: what check_config finds wrong with listeners' and static pods' addresses. */
void check_addresses(const struct config *, struct str *faults);

/* patterns.c: what is wrong with a path to match, or NULL. */
const char *pattern_fault(const char *path);

#endif
