/* Durations and sizes as they are written in a configuration: a number and a unit. */
#ifndef SLOTGATE_CONFIG_UNITS_H
#define SLOTGATE_CONFIG_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* "1500ms", "0.5s", "300s", "2m", "1h" -> microseconds; false: it is not of that form. */
bool units_parse_duration(const char *text, double *us);

/* "65536", "64KiB", "1MiB", "2GiB" -> bytes. */
bool units_parse_size(const char *text, double *bytes);

/* Whether a double is a whole number, and small enough to be exactly that one. */
bool units_is_whole(double);

/* In the largest unit that divides the value. */
void units_add_duration(struct str *, double us);
void units_add_size(struct str *, double bytes);

#endif
