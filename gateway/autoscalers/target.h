/*
 * The parts of a request's target, percent-decoded: "/v1/services/NAME?since=5".
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_TARGET_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_TARGET_H

#include "base/str.h"

/* Without the query. */
struct slice target_path(struct slice target);

/* Takes the next segment off a path. False: there is none, it is empty,
 * holds a NUL or does not fit. */
bool target_next_segment(struct slice *path, char *segment, size_t size);

/* The first value of this name in the query. */
enum target_answer { TARGET_ABSENT, TARGET_FOUND, TARGET_BAD /* holds a NUL, or does not fit */ };
enum target_answer target_query(struct slice target, const char *name, char *value, size_t size);

#endif
