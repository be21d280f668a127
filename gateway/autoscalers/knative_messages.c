/* Knative's messages, by protobuf-c. */
#include "gateway/autoscalers/knative_messages.h"

#include <autoscaler.pb-c.h>

enum { STAT_BYTES = 1024 };

/* protobuf-c does not write to what it packs. */
static char *as_text(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* Lists of one that stand behind each other are one list. */
void knative_add_stat(struct str *to, const struct knative_stat *s)
{
	Knative__Stat stat = KNATIVE__STAT__INIT;
	Knative__WireStatMessage one = KNATIVE__WIRE_STAT_MESSAGE__INIT, *list[] = {&one};
	Knative__WireStatMessages all = KNATIVE__WIRE_STAT_MESSAGES__INIT;
	uint8_t bytes[STAT_BYTES];
	stat.pod_name = as_text(s->pod);
	stat.average_concurrent_requests = s->concurrency;
	stat.request_count = s->requests;
	one.namespace_ = as_text(s->name_space);
	one.name = as_text(s->revision);
	one.stat = &stat;
	all.n_messages = 1;
	all.messages = list;
	if (knative__wire_stat_messages__get_packed_size(&all) > sizeof(bytes))
		to->failed = true; /* no name is so long */
	else
		str_add(to, bytes, knative__wire_stat_messages__pack(&all, bytes));
}
