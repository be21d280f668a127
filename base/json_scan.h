/*
 * Checks a text against JSON's grammar and finds the first fault. It stands before the library that
 * builds the values, which is lax (NUL, control characters, "01", garbage behind) and vague about
 * places: what passes here fails there only for want of memory.
 */
#ifndef SLOTGATE_BASE_JSON_SCAN_H
#define SLOTGATE_BASE_JSON_SCAN_H

#include <stddef.h>

/* NULL: it is JSON. Else what is wrong, and `*at` is where. */
const char *json_scan(const char *text, size_t len, int max_depth, const char **at);

#endif
