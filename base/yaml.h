/*
 * YAML, as far as files need it that others write for us (a kubeconfig): one document of mappings,
 * lists and scalars, rewritten as JSON. Plain scalars are texts, but for true, false and null; what
 * is JSON already stays what it says. Anchors, aliases and tags are refused.
 */
#ifndef SLOTGATE_BASE_YAML_H
#define SLOTGATE_BASE_YAML_H

#include <stddef.h>

#include "base/str.h"

struct yaml_error {
	const char *message; /* as long as the program runs */
	size_t line;	     /* from 1; 0: not about a place */
};

/* Adds the JSON. False: the error says why. */
bool yaml_to_json(const char *text, size_t len, struct str *json, struct yaml_error *);

#endif
