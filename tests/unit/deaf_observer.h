/* An observer of a ledger that does nothing, for tests that look at something else. */
#ifndef SLOTGATE_TESTS_UNIT_DEAF_OBSERVER_H
#define SLOTGATE_TESTS_UNIT_DEAF_OBSERVER_H

#include "activator/core/service.h"

extern const struct service_observer deaf_observer;

#endif
