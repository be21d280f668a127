/* Configurations: either one, or faults that say why not; never both, never neither. */
#include <string.h>

#include "config/config.h"
#include "tests/fuzz/fuzz.h"

static struct config *parse(const uint8_t *data, size_t size, struct str *faults)
{
	str_init(faults);
	struct config *c = config_parse("fuzz.json", (const char *)data, size, faults);
	FUZZ_CHECK((c == NULL) == (faults->len > 0), c != NULL, faults->len);
	FUZZ_CHECK(!faults->failed, 0, 0);
	return c;
}

/* A line for each, and nothing in them that could forge another. */
static void check_faults(const struct str *faults)
{
	size_t start = 0;
	FUZZ_CHECK(faults->at[faults->len - 1] == '\n', 0, 0);
	for (size_t i = 0; i < faults->len; i++) {
		unsigned char c = (unsigned char)faults->at[i];
		FUZZ_CHECK(c == '\n' || (c >= 0x20 && c != 0x7f), c, i);
		if (c != '\n')
			continue;
		FUZZ_CHECK(i > start, i, start);
		start = i + 1;
	}
}

static void check_config(const struct config *c)
{
	FUZZ_CHECK(c->references == 1, c->references, 0);
	FUZZ_CHECK(c->listener_count > 0 && c->service_count > 0, c->listener_count,
		   c->service_count);
	for (size_t i = 0; i < c->service_count; i++) {
		const struct service_config *s = &c->services[i];
		FUZZ_CHECK(s->name && s->container_concurrency >= 0, i, s->container_concurrency);
		FUZZ_CHECK(s->queue.max_requests > 0, i, s->queue.max_requests);
		FUZZ_CHECK(s->queue.max_wait_us > 0, i, s->queue.max_wait_us);
		FUZZ_CHECK(s->autoscaling.tick_us > 0, i, s->autoscaling.tick_us);
		FUZZ_CHECK(s->idle.kind == CHECK_NONE || s->idle.path, i, s->idle.kind);
		bool has_pods = s->provider == PROVIDER_STATIC	  ? s->static_pods.count > 0
				: s->provider == PROVIDER_PROCESS ? s->process.command[0] != NULL
								  : s->kubernetes.service != NULL;
		FUZZ_CHECK(has_pods, i, s->provider);
		for (size_t k = 0; k < s->slot_count; k++)
			FUZZ_CHECK(s->slots[k].method && s->slots[k].path, i, k);
		slot_pattern_match(s->slots, s->slot_count, SLICE("POST"),
				   SLICE("/sdapi/v1/txt2img"));
	}
}

int fuzz_config(const uint8_t *data, size_t size)
{
	struct str faults, again, lines;
	struct config *c = parse(data, size, &faults);
	struct config *same = parse(data, size, &again);
	FUZZ_CHECK(faults.len == again.len, faults.len, again.len);
	if (c) {
		check_config(c);
		str_init(&lines);
		config_unreloadable(c, same, &lines);
		FUZZ_CHECK(lines.len == 0, lines.len, 0);
		str_release(&lines);
		config_hold(c);
		config_drop(c);
	} else {
		check_faults(&faults);
	}
	config_drop(c);
	config_drop(same);
	str_release(&faults);
	str_release(&again);
	return 0;
}
