/* exchange: one request on its way through the pod. */
#include "exchange.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define STREAM_INTERVAL_US 20000
#define CRASH_STATUS	   139

void exchange_detail(struct exchange *x, int status, const char *detail)
{
	buf_clear(&x->reply.body);
	x->reply.status = status;
	buf_puts(&x->reply.body, "{\"detail\":");
	json_quote(&x->reply.body, detail, strlen(detail));
	buf_puts(&x->reply.body, "}");
}

void exchange_error(struct exchange *x, int status, const char *type, const char *detail,
		    const char *errors)
{
	struct buf *out = &x->reply.body;

	buf_clear(out);
	x->reply.status = status;
	buf_puts(out, "{\"error\":");
	json_quote(out, type, strlen(type));
	buf_puts(out, ",\"detail\":");
	json_quote(out, detail, strlen(detail));
	buf_puts(out, ",\"body\":\"\",\"errors\":");
	json_quote(out, errors, strlen(errors));
	buf_puts(out, "}");
}

void exchange_invalid(struct exchange *x, const char *field, const char *message, const char *type)
{
	struct buf *out = &x->reply.body;

	buf_clear(out);
	x->reply.status = 422;
	buf_puts(out, "{\"detail\":[{\"loc\":[\"body\"");
	if (field)
		buf_printf(out, ",%s", field);
	buf_puts(out, "],\"msg\":");
	json_quote(out, message, strlen(message));
	buf_puts(out, ",\"type\":");
	json_quote(out, type, strlen(type));
	buf_puts(out, "}]}");
}

static bool breaks_connection(const struct fault *f)
{
	return f->kind >= FAULT_CLOSE_BEFORE_HEADERS && f->kind <= FAULT_GARBAGE;
}

/* Something of which half can be sent, before there is a real answer. */
static void strike(struct exchange *x)
{
	buf_clear(&x->reply.body);
	buf_puts(&x->reply.body, "{\"images\":[\"");
	buf_reserve(&x->reply.body, 65536);
	memset(x->reply.body.data + x->reply.body.len, 'A', 65536);
	x->reply.body.len += 65536;
	fault_strike(&x->fault, x->conn, x->request, &x->reply);
	buf_clear(&x->reply.body);
}

/* The fault stream=N: the answer goes out while the job computes. */
static void stream_while_computing(struct exchange *x)
{
	struct buf text;

	x->reply.framing = x->request->minor ? HTTP_CHUNKED : HTTP_UNTIL_CLOSE;
	x->reply.content_type = "text/event-stream; charset=utf-8";
	buf_init(&text);
	http_format_head(&text, x->request, &x->reply);
	http_write(x->conn, text.data, text.len);
	for (uint64_t i = 0; i < x->fault.stream_chunks; i++) {
		if (!gpu_compute(&x->pod->gpu, &x->gpu_job, (i + 1) * STREAM_INTERVAL_US))
			break;
		buf_clear(&text);
		buf_printf(&text, "data: {\"step\":%lu}\n\n", (unsigned long)i + 1);
		if (x->reply.framing == HTTP_CHUNKED)
			http_write_chunk(x->conn, text.data, text.len);
		else
			http_write(x->conn, text.data, text.len);
	}
	buf_release(&text);
}

static void compute_on_gpu(struct exchange *x)
{
	struct gpu *gpu = &x->pod->gpu;
	struct gpu_job *job = &x->gpu_job;
	struct generation *g = &x->generation;

	gpu_begin(gpu, job);
	audit_started(&x->pod->audit, &x->audit_job, true);
	/* Only now: a job ahead in the queue may have changed the model. */
	if (g->changes_model && gpu_model(gpu) != g->model)
		gpu_lengthen(gpu, job, x->pod->options.model_load_us * (g->restores_model ? 2 : 1));
	if (breaks_connection(&x->fault) || x->fault.kind == FAULT_CRASH) {
		uint64_t after = x->fault.after_us;

		gpu_compute(gpu, job, after < job->duration_us ? after : job->duration_us);
		strike(x);
	}
	if (x->fault.stream_chunks)
		stream_while_computing(x);
	else if (x->fault.kind == FAULT_HANG)
		gpu_compute(gpu, job, GPU_FOREVER_US);
	else
		gpu_compute(gpu, job, job->duration_us);
	x->clarity = gpu_done(gpu, job);
	if (g->changes_model && !g->restores_model)
		gpu_set_model(gpu, g->model);
	audit_computed(&x->pod->audit, &x->audit_job, job->interrupted);
	gpu_end(gpu, job);
}

/* For routes that do not use the GPU's lock. */
static void compute_elsewhere(struct exchange *x, uint64_t us)
{
	uint64_t before = 0;

	if (breaks_connection(&x->fault) || x->fault.kind == FAULT_CRASH) {
		before = x->fault.after_us < us ? x->fault.after_us : us;
		clock_sleep_us(before);
		strike(x);
	}
	clock_sleep_us(us - before);
}

static void end_audit(void *arg)
{
	struct exchange *x = arg;
	enum audit_outcome outcome = AUDIT_SERVED;

	if (breaks_connection(&x->fault) || x->fault.kind == FAULT_NO_ANSWER)
		outcome = AUDIT_BROKEN;
	else if (http_peer_gone(x->conn))
		outcome = AUDIT_ABORTED;
	audit_ended(&x->pod->audit, &x->audit_job, outcome);
}

static bool is_counted(const struct exchange *x)
{
	return x->audit_job.state != AUDIT_NONE;
}

/* Writes the reply as the fault headers shape it. */
static void deliver(struct exchange *x)
{
	bool ok;

	snprintf(x->process_time, sizeof(x->process_time), "x-process-time: %.4f\r\n",
		 (double)(clock_mono_us() - x->began_us) / 1e6);
	x->reply.extra_headers = x->process_time;
	if (x->fault.status && x->reply.status == 200) {
		x->reply.content_type = "application/json";
		exchange_error(x, x->fault.status, "DemoFault", "", "asked for by X-Demo-Fault");
	}
	x->reply.framing = x->fault.framing;
	if (x->reply.framing == HTTP_CHUNKED && !x->request->minor)
		x->reply.framing = HTTP_UNTIL_CLOSE;
	if (x->reply.framing == HTTP_UNTIL_CLOSE)
		x->request->keep_alive = false;
	x->reply.bytes_per_second = x->fault.bytes_per_second;
	if (is_counted(x)) {
		x->reply.before_end = end_audit;
		x->reply.before_end_arg = x;
	}
	ok = http_send_reply(x->conn, x->request, &x->reply);
	if (is_counted(x) && !ok)
		audit_amend_aborted(&x->pod->audit, &x->audit_job);
}

/* After a stream has computed: only what completes it is left to write. */
static void finish_stream(struct exchange *x)
{
	end_audit(x);
	if (x->reply.framing == HTTP_CHUNKED && !http_write(x->conn, "0\r\n\r\n", 5))
		audit_amend_aborted(&x->pod->audit, &x->audit_job);
}

/* The answer is ready, or there is to be none. */
static void finish(struct exchange *x)
{
	bool silent =
		x->fault.kind == FAULT_NO_ANSWER || (x->fault.kind == FAULT_HANG && !is_counted(x));

	if (is_counted(x) && x->fault.stream_chunks && x->fault.kind != FAULT_EARLY_RESPONSE) {
		finish_stream(x);
		return;
	}
	/* uvicorn drops the answer, too, when it has seen the client go. */
	if (x->conn->broken || silent || (is_counted(x) && http_peer_gone(x->conn))) {
		if (is_counted(x))
			end_audit(x);
		if (silent)
			http_wait_gone(x->conn);
		http_close(x->conn);
		return;
	}
	deliver(x);
}

static void run(struct exchange *x)
{
	struct pod *pod = x->pod;
	bool early = x->fault.kind == FAULT_EARLY_RESPONSE;

	if (x->kind == ROUTE_GPU || x->kind == ROUTE_UNLOCKED)
		audit_arrived(&pod->audit, &x->audit_job, http_header(x->request, "x-request-id"),
			      x->request->path);
	else
		audit_other_request(&pod->audit);
	if (x->kind == ROUTE_UNLOCKED) /* they move weights */
		x->gpu_job.duration_us = pod->options.model_load_us;
	if (x->fault.has_time)
		x->gpu_job.duration_us = x->fault.time_us;
	if (x->fault.stream_chunks)
		x->gpu_job.duration_us = x->fault.stream_chunks * STREAM_INTERVAL_US;
	if (x->kind != ROUTE_ASYNC)
		gate_enter(&pod->handlers);
	if (early) {
		x->clarity = 1;
	} else if (x->kind == ROUTE_GPU) {
		compute_on_gpu(x);
	} else if (x->kind == ROUTE_UNLOCKED) {
		audit_started(&pod->audit, &x->audit_job, false);
		compute_elsewhere(x, x->gpu_job.duration_us);
		audit_computed(&pod->audit, &x->audit_job, false);
	} else {
		compute_elsewhere(x, x->fault.has_time ? x->fault.time_us : 0);
	}
	if (x->route->answer && !x->conn->broken)
		x->route->answer(x);
	else if (x->route->text)
		buf_puts(&x->reply.body, x->route->text);
	if (x->kind != ROUTE_ASYNC)
		gate_leave(&pod->handlers);
	finish(x);
}

/* Finds the route and checks the body; false = the reply says what is wrong. */
static bool prepare(struct exchange *x)
{
	struct http_request *r = x->request;
	size_t fault_at;
	int status;

	x->route = routes_find(r->method, r->path, &status);
	if (!atomic_load(&x->pod->api_up) && strncmp(r->path, "/sdapi/", 7) == 0)
		x->route = NULL, status = 404;
	if (!x->route) {
		exchange_detail(x, status, http_reason(status));
		return false;
	}
	x->kind = x->route->kind;
	if (!x->route->plan)
		return true;
	if (x->fault.kind == FAULT_EARLY_RESPONSE) {
		x->body = (struct json){"{}", 2}; /* the real one is not read: all defaults */
	} else if (!r->body.len) {
		exchange_invalid(x, NULL, "field required", "value_error.missing");
		return false;
	} else if (!json_parse(r->body.data, r->body.len, &x->body, &fault_at)) {
		char where[24];

		snprintf(where, sizeof(where), "%zu", fault_at);
		exchange_invalid(x, where, "Expecting value", "value_error.jsondecode");
		return false;
	} else if (!json_is_object(x->body)) {
		exchange_invalid(x, NULL, "value is not a valid dict", "type_error.dict");
		return false;
	}
	return x->route->plan(x);
}

/* Reads the body unless the answer is to come before it; false = the exchange is over. */
static bool receive_body(struct exchange *x)
{
	int status;
	enum http_result result;

	if (x->fault.kind == FAULT_EARLY_RESPONSE) {
		x->request->keep_alive = false;
		x->conn->linger = true;
		return true;
	}
	result = http_read_body(x->conn, x->request, &status);
	if (result == HTTP_BAD) {
		x->request->keep_alive = false;
		exchange_detail(x, status, http_reason(status));
		deliver(x);
	}
	return result == HTTP_OK;
}

static void serve(struct exchange *x)
{
	struct buf problem;

	buf_init(&problem);
	if (!fault_parse(&x->fault, x->request, &problem)) {
		x->fault = (struct fault){0};
		x->request->keep_alive = false;
		x->conn->linger = true;
		exchange_detail(x, 400, problem.data);
		deliver(x);
	} else if (receive_body(x)) {
		if (!prepare(x)) {
			audit_other_request(&x->pod->audit);
			deliver(x);
		} else if (x->kind == ROUTE_UPGRADE) {
			audit_other_request(&x->pod->audit);
			x->route->answer(x);
		} else {
			run(x);
		}
	}
	buf_release(&problem);
}

bool exchange_serve(struct pod *pod, struct http_conn *conn, struct http_request *request)
{
	struct exchange x = {.pod = pod,
			     .conn = conn,
			     .request = request,
			     .began_us = clock_mono_us(),
			     .reply = {.status = 200, .content_type = "application/json"}};

	serve(&x);
	buf_release(&x.reply.body);
	if (is_counted(&x) && pod->options.crash_after &&
	    audit_served(&pod->audit) >= pod->options.crash_after)
		_exit(CRASH_STATUS);
	return request->keep_alive && !conn->broken;
}
