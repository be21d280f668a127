/*
 * Configurations as texts, for tests: with ' for ", and made of good parts to which a test adds its
 * own. To be included behind cmocka.h.
 */
#ifndef SLOTGATE_TESTS_UNIT_CONFIG_TEXT_H
#define SLOTGATE_TESTS_UNIT_CONFIG_TEXT_H

#include <string.h>

#include "base/mem.h"
#include "config/config.h"

/* A configuration of one good service and listener, and with more keys in the one or the other. */
#define LISTENERS	       "'listeners': [{'address': ':8080'}]"
#define PODS		       "'pods': {'static': ['127.0.0.1:7860']}"
#define NAMED(name, more)      "{'name': '" name "', " PODS more "}"
#define ONE_SERVICE	       "'services': [" NAMED("a", "") "]"
#define SERVICES(services)     "{" LISTENERS ", 'services': [" services "]}"
#define SERVICE(more)	       SERVICES(NAMED("a", ", " more))
#define TOP(more)	       "{" LISTENERS ", " ONE_SERVICE ", " more "}"
#define PROCESS_OF(pods, more) SERVICES("{'name': 'a', 'pods': {'process': {" pods "}}" more "}")
#define COMMAND		       "'command': ['pod', '--port={port}']"
#define SCALE		       ", 'autoscaling': {'maxScale': 4}"
#define PROCESS(more)	       PROCESS_OF(COMMAND ", " more, SCALE)

static inline struct config *parse(const char *text, struct str *faults)
{
	char *json = mem_must_strdup(text);
	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	struct config *c = config_parse("test.json", json, strlen(json), faults);
	mem_free(json);
	return c;
}

static inline struct config *parse_good(const char *text)
{
	struct str faults;
	str_init(&faults);
	struct config *c = parse(text, &faults);
	if (!c || faults.len)
		fail_msg("%s\n%s", text, faults.at ? faults.at : "");
	str_release(&faults);
	return c;
}

#endif
