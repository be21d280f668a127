/* How much an Accept header (RFC 9110, 12.5.1) likes a media type. */
#ifndef SLOTGATE_METRICS_ACCEPT_H
#define SLOTGATE_METRICS_ACCEPT_H

#include "base/str.h"

/* In thousandths: the quality of the most specific range that matches; 0: not acceptable.
 * A range with another `version` does not match. An empty header accepts everything. */
int accept_quality(struct slice accept, const char *type, const char *version);

/* The same, but only of ranges that name the type: wildcards and an empty header do not count. */
int accept_quality_by_name(struct slice accept, const char *type, const char *version);

#endif
