/*
 * Kubernetes' label selectors, such as "service=sd, tier in (a,b), !canary": whether what has
 * certain labels is selected. Read where they stand, without memory.
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_LABEL_SELECTOR_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_LABEL_SELECTOR_H

#include "base/str.h"

/* The value of a label; `at` is NULL: there is no such label. */
typedef struct slice label_find_fn(const void *arg, struct slice key);

enum label_selection { LABELS_DIFFER, LABELS_FIT, LABELS_UNCLEAR /* it is no selector */ };

/* An empty one selects everything. ("<" and ">", which only nodes know, are unclear.) */
enum label_selection label_selector_look(struct slice selector, label_find_fn *, const void *arg);

/* For those who know their labels as "app=sd,tier=gpu": arg is that text. */
label_find_fn label_find_in_text;

#endif
