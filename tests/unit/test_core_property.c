/*
 * The core against a simulated world (core_model.h): four million random events, and after each one
 * every promise is recomputed naively from what the machines really do.
 *
 *	test_core_property [SEED [WORLDS]]	both may also come from
 *						SLOTGATE_TEST_SEED and SLOTGATE_TEST_WORLDS
 *
 * A failure prints the seed of its world: running with that and one world replays it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/core_model.h"

enum { EVENTS = 1000, WORLDS = 4000 };

static uint64_t first_seed = 1;
static uint64_t worlds = WORLDS;

/* A config in which everything happens within seconds; the seed says which kind. */
static struct service_config config_for(uint64_t kind)
{
	struct service_config c = {
		.name = (char[]){"world"},
		.container_concurrency = (int64_t)(kind % 7 == 6 ? 0 : 1 + kind % 3),
		.queue = {12, 20 * US_PER_S, 40 * US_PER_S, 3},
		.pass_through = {.max_requests = 8,
				 .max_requests_per_pod = 2,
				 .wait_when_cold = kind % 4 != 3},
		.readiness = {.kind = CHECK_TCP_SOCKET,
			      .period_us = US_PER_S,
			      .cold_period_us = 4 * US_PER_MS},
		.idle = {.kind = kind % 3 ? CHECK_HTTP_GET : CHECK_NONE,
			 .period_us = 500 * US_PER_MS,
			 .success_threshold = 2},
		.ejection = {3, US_PER_S, 8 * US_PER_S},
		.quarantine = {kind % 2 ? 15 * US_PER_S : 0},
		.autoscaling = {.max_scale = 4,
				.min_scale = kind % 11 == 10,
				.initial_scale = (int64_t)(kind % 3),
				.activation_scale = 1,
				.target_utilization = 1,
				.stable_window_us = 6 * US_PER_S,
				.panic_window_percentage = 10,
				.panic_threshold_percentage = 200,
				.max_scale_up_rate = 1000,
				.max_scale_down_rate = 2,
				.scale_to_zero_grace_us = 3 * US_PER_S,
				.scale_down_delay_us = kind % 5 == 4 ? 5 * US_PER_S : 0,
				.tick_us = 2 * US_PER_S},
	};
	return c;
}

static void run_world(uint64_t seed)
{
	static struct model m;
	struct service_config c = config_for(seed / 2);
	model_start(&m, &c, seed % 2 == 0, seed);
	for (int i = 0; i < EVENTS; i++)
		model_step(&m);
	model_drain(&m);
	check_all(&m);
	model_finish(&m);
}

static void keeps_its_promises(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < worlds; i++)
		run_world(first_seed + i);
}

int main(int argc, char **argv)
{
	const char *seed = argc > 1 ? argv[1] : getenv("SLOTGATE_TEST_SEED");
	const char *count = argc > 2 ? argv[2] : getenv("SLOTGATE_TEST_WORLDS");
	if (seed)
		first_seed = strtoull(seed, NULL, 0);
	if (count)
		worlds = strtoull(count, NULL, 0);
	const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_its_promises)};
	return cmocka_run_group_tests_name("core, against a simulated world", tests, NULL, NULL);
}
