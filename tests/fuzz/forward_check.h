/* What goes on to the pod must say what came in and no more. */
#ifndef SLOTGATE_TESTS_FUZZ_FORWARD_CHECK_H
#define SLOTGATE_TESTS_FUZZ_FORWARD_CHECK_H

#include "gateway/http/http.h"

void check_forward(const struct http_head *);

#endif
