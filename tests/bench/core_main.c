/*
 * bench-core: the ledger alone, without any I/O.
 *
 *	bench-core cycle PODS WAITING CYCLES	arrival, grant to whoever is first, completion
 *	bench-core tick SERVICES TICKS		the autoscaler's decisions, one pod each
 *
 * Says the time of one as a line of JSON. Run under callgrind with two numbers of CYCLES, the
 * difference of the counts is what one cycle takes, exactly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "activator/core/service.h"
#include "base/clock.h"
#include "tests/bench/message.h"
#include "tests/unit/deaf_observer.h"

enum { BATCH = 1000 };

static struct {
	struct service_config config;
	int64_t now_us;
	struct ticket *tickets;
	uint64_t *grants; /* of the jobs at work, a ring */
	size_t first_grant, grant_count, granted;
	int64_t decisions;
} bench;

static void die(const char *what)
{
	fprintf(stderr, "bench-core: %s\n", what);
	exit(1);
}

static void configure(int64_t waiting)
{
	bench.now_us = 1000 * US_PER_S;
	bench.config = (struct service_config){
		.name = (char[]){"bench"},
		.container_concurrency = 1,
		.queue = {waiting + 10, 3600 * US_PER_S, 3600 * US_PER_S, 3},
		.pass_through = {100, true, NULL},
		.readiness = {CHECK_NONE, NULL, US_PER_S, 4 * US_PER_MS, US_PER_S},
		.ejection = {3, US_PER_S, 60 * US_PER_S},
		.autoscaling = {.max_scale = 1000000,
				.activation_scale = 1,
				.target_utilization = 1,
				.stable_window_us = 60 * US_PER_S,
				.panic_window_percentage = 10,
				.panic_threshold_percentage = 200,
				.max_scale_up_rate = 1000,
				.max_scale_down_rate = 2,
				.tick_us = 2 * US_PER_S},
	};
}

static void settle(struct service *s)
{
	struct decision d;
	while (service_next(s, bench.now_us, &d)) {
		bench.decisions++;
		if (d.kind == DECIDE_GRANT) {
			service_started(s, d.grant, bench.now_us);
			bench.grants[bench.granted++ % bench.grant_count] = d.grant;
		} else if (d.kind == DECIDE_REFUSE) {
			die("a ticket was refused");
		} else if (d.kind == DECIDE_PROBE) {
			service_pod_answered(s, d.pod, d.question, ANSWER_YES, bench.now_us);
		}
	}
}

static struct service *service_with_pods(long pods)
{
	struct service *s = service_new(&bench.config, false, &deaf_observer, NULL, bench.now_us);
	if (!s)
		die("no memory");
	for (long i = 0; i < pods; i++) {
		char name[32];
		snprintf(name, sizeof(name), "pod-%ld", i);
		if (!service_pod_add(s, name, true, NULL, bench.now_us))
			die("no memory");
	}
	service_tick(s, bench.now_us); /* asks whether they are ready, */
	settle(s);		       /* and they are */
	return s;
}

static void arrive(struct service *s, struct ticket *t)
{
	static uint64_t owner;
	ticket_init(t, TICKET_SLOT);
	t->owner = ++owner;
	if (!service_admit(s, t, bench.now_us))
		die("a ticket was not admitted");
	service_enqueue(s, t, bench.now_us);
	settle(s);
}

/* The oldest job ends; the first of those that wait takes its place. */
static void complete(struct service *s)
{
	service_finished(s, bench.grants[bench.first_grant++ % bench.grant_count], bench.now_us);
	settle(s);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* All pods work and `waiting` wait; each cycle one more arrives and one job ends. */
static void cycle(long pods, long waiting, long cycles)
{
	size_t tickets = (size_t)(pods + waiting + 1), at = 0;
	configure(waiting);
	bench.grant_count = (size_t)pods;
	bench.grants = calloc(bench.grant_count, sizeof(*bench.grants));
	bench.tickets = calloc(tickets, sizeof(*bench.tickets));
	double *batches = calloc((size_t)(cycles / BATCH + 1), sizeof(*batches));
	if (!bench.grants || !bench.tickets || !batches)
		die("no memory");
	struct service *s = service_with_pods(pods);
	for (; at < tickets - 1; at++)
		arrive(s, &bench.tickets[at]);
	size_t count = 0;
	for (long done = 0; done < cycles; count++) {
		int64_t began_ns = bench_now_ns();
		long until = done + BATCH < cycles ? done + BATCH : cycles, n = until - done;
		for (; done < until; done++) {
			bench.now_us += 5;
			arrive(s, &bench.tickets[at++ % tickets]);
			complete(s);
		}
		batches[count] = (double)(bench_now_ns() - began_ns) / (double)n;
	}
	if (bench.granted != (size_t)(pods + cycles))
		die("not every cycle granted one");
	qsort(batches, count, sizeof(*batches), by_value);
	printf("{\"pods\": %ld, \"waiting\": %ld, \"median_ns\": %.1f, \"worst_ns\": %.1f}\n", pods,
	       waiting, batches[count / 2], batches[count - 1]);
}

/* Each service has a pod and a request at work; the time of a turn over all of them. */
static void tick(long services, long ticks)
{
	configure(10);
	bench.grant_count = (size_t)services;
	bench.grants = calloc(bench.grant_count, sizeof(*bench.grants));
	bench.tickets = calloc((size_t)services, sizeof(*bench.tickets));
	struct service **all = calloc((size_t)services, sizeof(struct service *));
	double *turns = calloc((size_t)ticks, sizeof(*turns));
	if (!bench.grants || !bench.tickets || !all || !turns)
		die("no memory");
	for (long i = 0; i < services; i++) {
		all[i] = service_with_pods(1);
		arrive(all[i], &bench.tickets[i]);
	}
	for (long turn = 0; turn < ticks; turn++) {
		bench.now_us += bench.config.autoscaling.tick_us;
		int64_t began_ns = bench_now_ns();
		for (long i = 0; i < services; i++) {
			service_tick(all[i], bench.now_us);
			settle(all[i]);
		}
		turns[turn] = (double)(bench_now_ns() - began_ns);
	}
	qsort(turns, (size_t)ticks, sizeof(*turns), by_value);
	printf("{\"services\": %ld, \"median_us\": %.1f, \"worst_us\": %.1f}\n", services,
	       turns[ticks / 2] / 1e3, turns[ticks - 1] / 1e3);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "cycle") == 0)
		cycle(atol(argv[2]), atol(argv[3]), atol(argv[4]));
	else if (argc == 4 && strcmp(argv[1], "tick") == 0)
		tick(atol(argv[2]), atol(argv[3]));
	else
		die("usage: bench-core cycle PODS WAITING CYCLES | tick SERVICES TICKS");
	return 0;
}
