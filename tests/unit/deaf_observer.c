/* Hears nothing. */
#include "tests/unit/deaf_observer.h"

static void on_pod_moved(void *arg, struct pod *p, enum pod_state from)
{
	(void)arg, (void)p, (void)from;
}

static void on_pod_freed(void *arg, struct pod *p)
{
	(void)arg, (void)p;
}

static void on_pod_failed(void *arg, const struct pod *p, const char *kind)
{
	(void)arg, (void)p, (void)kind;
}

static void on_slot_moved(void *arg, const struct slot *slot, enum slot_state from)
{
	(void)arg, (void)slot, (void)from;
}

static void on_slot_freed(void *arg, const struct slot *slot, int64_t at_us)
{
	(void)arg, (void)slot, (void)at_us;
}

static void on_scaling_failed(void *arg, const char *reason)
{
	(void)arg, (void)reason;
}

const struct service_observer deaf_observer = {
	.pod_moved = on_pod_moved,
	.pod_freed = on_pod_freed,
	.pod_failed = on_pod_failed,
	.scaling_failed = on_scaling_failed,
	.slot_moved = on_slot_moved,
	.slot_freed = on_slot_freed,
};
