/* Turns away work, and ends connections, when memory becomes short. */
#include "gateway/shed.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/connection.h"
#include "gateway/gateway.h"

/* Between two rounds of ending idle connections, and how many one round ends. */
static const int64_t ROUND_US = 100 * US_PER_MS;
enum { IDLE_A_ROUND = 100 };

enum { AHEAD_BYTES = 1 << 20, TIGHT_AHEAD_BYTES = 64 << 10 };

static struct metrics_counter *counter(struct gateway *gw, enum shed what)
{
	static const char *const names[SHEDS] = {
		[SHED_REQUEST] = "request", [SHED_CONNECTION] = "connection",
		[SHED_IDLE] = "idle",	    [SHED_AHEAD] = "ahead",
		[SHED_HEAD] = "head",
	};
	return metrics_counter(gw->metrics, METRIC_SHEDS, &names[what]);
}

void shed_configure(struct gateway *gw)
{
	for (int i = 0; i < SHEDS; i++)
		counter(gw, (enum shed)i); /* so that the first one is seen as an increase */
	int64_t bytes = gw->config->limits.memory_bytes;
	gw->memory.limit_bytes = bytes ? bytes : budget_machine_bytes() / 2;
}

void shed_count(struct gateway *gw, enum shed what)
{
	metrics_count(counter(gw, what));
}

static void end_idle(struct gateway *gw)
{
	int ended = connections_end_idle(gw, LISTENER_CLIENTS, IDLE_A_ROUND);
	for (int i = 0; i < ended; i++)
		shed_count(gw, SHED_IDLE);
	log_warn("limits.memory: clients hold %lld of %lld bytes: new requests are refused, %d "
		 "idle connections ended",
		 (long long)gw->memory.used_bytes, (long long)gw->memory.limit_bytes, ended);
}

bool shed_is_due(struct gateway *gw)
{
	int64_t now_us = loop_now_us(gw->loop);
	if (!budget_is_tight(&gw->memory))
		return false;
	if (now_us >= gw->next_shed_us) {
		gw->next_shed_us = now_us + ROUND_US;
		end_idle(gw);
	}
	return true;
}

size_t shed_read_ahead_bytes(const struct gateway *gw)
{
	return budget_is_tight(&gw->memory) ? TIGHT_AHEAD_BYTES : AHEAD_BYTES;
}
