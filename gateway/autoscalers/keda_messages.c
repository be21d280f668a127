/* KEDA's messages, by protobuf-c. */
#include "gateway/autoscalers/keda_messages.h"

#include <externalscaler.pb-c.h>
#include <math.h>

#include "base/mem.h"
#include "gateway/autoscalers/grpc.h"

typedef Externalscaler__ScaledObjectRef Ref;
typedef Externalscaler__GetMetricsRequest Request;

/* --- memory ---------------------------------------------------------------------------------- */

static void *take(void *failed, size_t size)
{
	void *p = mem_alloc(size);
	if (!p)
		*(bool *)failed = true;
	return p;
}

static void give_back(void *failed, void *p)
{
	(void)failed;
	mem_free(p);
}

/* Notes that memory was short, which protobuf-c does not tell from a malformed message. */
static ProtobufCAllocator allocator(bool *failed)
{
	return (ProtobufCAllocator){take, give_back, failed};
}

/* --- questions ------------------------------------------------------------------------------- */

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static bool list_metadata(struct keda_question *q, const Ref *ref)
{
	q->count = ref->n_scalermetadata;
	q->metadata = mem_alloc((q->count + 1) * sizeof(*q->metadata));
	for (size_t i = 0; q->metadata && i < q->count; i++)
		q->metadata[i] = (struct keda_pair){text_of(ref->scalermetadata[i]->key),
						    text_of(ref->scalermetadata[i]->value)};
	return q->metadata != NULL;
}

static bool fill(struct keda_question *q, const Ref *ref, const char *metric)
{
	static const Ref nothing = EXTERNALSCALER__SCALED_OBJECT_REF__INIT;
	if (!ref)
		ref = &nothing;
	q->name = text_of(ref->name);
	q->name_space = text_of(ref->namespace_);
	q->metric = text_of(metric);
	return list_metadata(q, ref);
}

enum keda_read keda_question_read(struct keda_question *q, const char *message, size_t len,
				  bool is_of_metric)
{
	bool failed = false;
	ProtobufCAllocator memory = allocator(&failed);
	const ProtobufCMessageDescriptor *kind =
		is_of_metric ? &externalscaler__get_metrics_request__descriptor
			     : &externalscaler__scaled_object_ref__descriptor;
	*q = (struct keda_question){0};
	ProtobufCMessage *m =
		protobuf_c_message_unpack(kind, &memory, len, (const uint8_t *)message);
	if (!m)
		return failed ? KEDA_NO_MEMORY : KEDA_MALFORMED;
	q->decoded = m;
	const Request *request = is_of_metric ? (const Request *)(const void *)m : NULL;
	const Ref *ref = request ? request->scaledobjectref : (const Ref *)(const void *)m;
	if (fill(q, ref, request ? request->metricname : NULL))
		return KEDA_READ;
	keda_question_release(q);
	return KEDA_NO_MEMORY;
}

void keda_question_release(struct keda_question *q)
{
	bool failed;
	ProtobufCAllocator memory = allocator(&failed);
	mem_free(q->metadata);
	protobuf_c_message_free_unpacked(q->decoded, &memory);
	*q = (struct keda_question){0};
}

/* --- answers --------------------------------------------------------------------------------- */

enum { ANSWER_BYTES = 256 };

static void add(struct str *out, const ProtobufCMessage *m)
{
	uint8_t bytes[ANSWER_BYTES];
	if (protobuf_c_message_get_packed_size(m) > sizeof(bytes)) {
		out->failed = true; /* no service has such a name */
		return;
	}
	size_t len = protobuf_c_message_pack(m, bytes);
	grpc_add_message(out, (const char *)bytes, len);
}

/* protobuf-c does not write to what it packs. */
static char *as_text(const char *text)
{
	return (char *)(uintptr_t)text;
}

void keda_add_active(struct str *out, bool is_active)
{
	Externalscaler__IsActiveResponse m = EXTERNALSCALER__IS_ACTIVE_RESPONSE__INIT;
	m.result = is_active;
	add(out, &m.base);
}

void keda_add_spec(struct str *out, const char *metric, double target)
{
	Externalscaler__MetricSpec spec = EXTERNALSCALER__METRIC_SPEC__INIT, *specs[] = {&spec};
	Externalscaler__GetMetricSpecResponse m = EXTERNALSCALER__GET_METRIC_SPEC_RESPONSE__INIT;
	spec.metricname = as_text(metric);
	spec.targetsize = (int64_t)fmax(1, floor(target));
	spec.targetsizefloat = target;
	m.n_metricspecs = 1;
	m.metricspecs = specs;
	add(out, &m.base);
}

void keda_add_value(struct str *out, const char *metric, double value)
{
	Externalscaler__MetricValue one = EXTERNALSCALER__METRIC_VALUE__INIT, *values[] = {&one};
	Externalscaler__GetMetricsResponse m = EXTERNALSCALER__GET_METRICS_RESPONSE__INIT;
	one.metricname = as_text(metric);
	one.metricvalue = (int64_t)ceil(value);
	one.metricvaluefloat = value;
	m.n_metricvalues = 1;
	m.metricvalues = values;
	add(out, &m.base);
}
