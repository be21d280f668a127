/*
 * A label's value as it stands between quotes in both formats. Backslash, quote and newline are
 * escaped; bytes that are not UTF-8 become U+FFFD, since one of them would make a scraper reject
 * the whole page.
 */
#ifndef SLOTGATE_METRICS_LABEL_H
#define SLOTGATE_METRICS_LABEL_H

#include "base/str.h"

void label_escape(struct str *, const char *value);

#endif
