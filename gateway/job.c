/* What a pod works on: from the queue to the end of its answer. */
#include "gateway/job.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/request.h"

enum { PIECES = 16, TUNNEL_BUFFER_BYTES = 256 << 10, INTERRUPT_ANSWER_BYTES = 4096 };

/* What became of a job at its pod. */
enum job_end {
	JOB_ANSWERED,	   /* the answer has ended */
	JOB_NEVER_GRANTED, /* it left the queue without a slot */
	JOB_ABANDONED,	   /* nothing was sent, and nothing will be */
	JOB_BROKE,	   /* the connection broke, or its answer was no HTTP: who knows */
	JOB_FORGOTTEN,	   /* its slot has been freed without it */
};

static void on_upstream(void *owner, enum upstream_event, unsigned what);
static void send_more(struct job *);
static void read_more(struct job *);

static struct gateway *gateway_of(const struct job *j)
{
	return j->backend->gateway;
}

static struct service *service_of(const struct job *j)
{
	return backend_service(j->backend);
}

static int64_t now_of(const struct job *j)
{
	return loop_now_us(gateway_of(j)->loop);
}

static void move(struct job *j, enum job_state to)
{
	static const char *const names[] = {"uploading", "queued",    "connecting", "sending",
					    "waiting",	 "answering", "tunnel",	    "done"};
	log_debug("job %llx: %s -> %s", (unsigned long long)j->id, names[j->state], names[to]);
	j->state = to;
}

static void set_timeout(struct job *j, int64_t after_us)
{
	timer_set(&j->upstream->timer, now_of(j) + after_us);
}

static bool is_pass(const struct job *j)
{
	return j->ticket.kind == TICKET_PASS;
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_task(void *owner)
{
	struct job *j = owner;
	if (j->state != JOB_DONE) {
		read_more(j);
		return;
	}
	struct backend *b = j->backend;
	spool_free(j->body);
	str_release(&j->head);
	mem_free(j);
	backend_drop(b);
}

static void on_spool(void *owner)
{
	struct job *j = owner;
	if (j->state == JOB_SENDING || j->state == JOB_WAITING || j->state == JOB_TUNNEL)
		send_more(j);
}

struct job *job_new(struct backend *b, struct request *r, enum ticket_kind kind)
{
	struct job *j = mem_zalloc(sizeof(*j));
	if (!j)
		return NULL;
	list_init(&j->link);
	j->id = table_add(&b->gateway->jobs, j);
	if (!j->id) {
		mem_free(j);
		return NULL;
	}
	j->backend = b;
	j->request = r;
	ticket_init(&j->ticket, kind);
	j->ticket.owner = j->id;
	task_init(&j->task, on_task, j);
	list_push_back(&b->gateway->job_list, &j->link);
	backend_hold(b);
	return j;
}

static void drop_upstream(struct job *j, bool can_be_reused)
{
	struct upstream *u = j->upstream;
	j->upstream = NULL;
	if (j->parser)
		gateway_give_parser(gateway_of(j), j->parser);
	j->parser = NULL;
	if (!u)
		return;
	if (can_be_reused)
		upstream_give(u);
	else
		upstream_close(u);
}

/* The only exit: the slot, the connection, the memory. */
static void job_finish(struct job *j, enum job_end how, const char *kind)
{
	int64_t now_us = now_of(j);
	assert(!j->request && j->state != JOB_DONE);
	switch (how) {
	case JOB_ANSWERED:
		service_finished(service_of(j), j->grant, now_us);
		break;
	case JOB_NEVER_GRANTED:
		service_cancel(service_of(j), &j->ticket, now_us);
		break;
	case JOB_ABANDONED:
		service_returned(service_of(j), j->grant, NULL, UNSENT_STALE, now_us);
		break;
	case JOB_BROKE:
		service_broken(service_of(j), j->grant, kind, now_us);
		break;
	case JOB_FORGOTTEN:
		break;
	}
	bool is_clean = how == JOB_ANSWERED && j->has_sent && j->answer_keeps_alive;
	drop_upstream(j, is_clean);
	if (j->interrupt)
		http_client_cancel(j->interrupt);
	j->interrupt = NULL;
	table_remove(&gateway_of(j)->jobs, j->id);
	list_remove(&j->link);
	move(j, JOB_DONE);
	activator_changed(j->backend->activator);
	task_cancel(&j->task);
	loop_defer(gateway_of(j)->loop, &j->task);
	if (gateway_of(j)->draining)
		gateway_drain_on(gateway_of(j));
}

void jobs_abort(struct gateway *gw)
{
	LIST_EACH(j, &gw->job_list, struct job, link)
		job_forget(j);
}

/* --- before a slot --------------------------------------------------------------------------- */

enum spool_error job_add_body(struct job *j, const char *bytes, size_t len)
{
	const struct body_config *c = &j->backend->config->body;
	if (!j->body) {
		struct spool_limits limits = {c->memory_bytes, c->max_bytes};
		j->body = spool_new(&gateway_of(j)->spool, limits, on_spool, j);
	}
	if (!j->body)
		return SPOOL_NO_MEMORY;
	j->body_bytes += (int64_t)len;
	return spool_write(j->body, bytes, len);
}

void job_enqueue(struct job *j)
{
	move(j, JOB_QUEUED);
	service_enqueue(service_of(j), &j->ticket, now_of(j));
	activator_changed(j->backend->activator);
}

void job_refused(struct job *j)
{
	struct request *r = j->request;
	enum refusal why = j->ticket.refusal;
	int64_t retry_after_us = j->ticket.retry_after_us;
	j->request = NULL;
	job_finish(j, JOB_NEVER_GRANTED, NULL);
	if (r)
		request_refused(r, why, retry_after_us);
}

/* --- the pod has provably got nothing -------------------------------------------------------- */

/* Gives the slot back and waits again; without a client it ends. */
static void unsent(struct job *j, enum unsent how)
{
	struct service_stats *stats = &j->backend->stats;
	drop_upstream(j, false);
	service_returned(service_of(j), j->grant, j->request ? &j->ticket : NULL, how, now_of(j));
	j->grant = 0;
	if (!j->request) {
		job_finish(j, JOB_FORGOTTEN, NULL);
		return;
	}
	struct metrics_counter *const retries[] = {
		[UNSENT_STALE] = stats->retries_stale,
		[UNSENT_REFUSED] = stats->retries_refused,
		[UNSENT_TIMEOUT] = stats->retries_timeout,
		[UNSENT_SAFE] = stats->retries_safe,
	};
	metrics_count(retries[how]);
	j->has_started = false;
	j->head_sent = 0;
	j->must_be_new = how == UNSENT_STALE;
	move(j, JOB_QUEUED);
	request_requeued(j->request);
	service_requeue(service_of(j), &j->ticket, now_of(j));
	activator_changed(j->backend->activator);
}

/* --- the pod has got it, or may have --------------------------------------------------------- */

/* Ends the request with an answer of our own; the job stays. */
static void disappoint(struct job *j, enum outcome outcome, int status, const char *reason,
		       const char *detail)
{
	struct request *r = j->request;
	j->request = NULL;
	if (r)
		request_failed(r, outcome, status, reason, detail);
}

/* We lack what it takes to reach a pod (memory, descriptors); that is no fault of the pod's. */
static void abandon(struct job *j)
{
	log_error("%s: cannot reach a pod: %s", j->backend->name, strerror(errno));
	disappoint(j, OUTCOME_REFUSED, 503, "no_resources",
		   "the gateway is out of memory or file descriptors");
	job_finish(j, JOB_ABANDONED, NULL);
}

/* An idempotent request beside the slots that has seen no byte of an answer may be sent again. */
static bool may_send_again(const struct job *j)
{
	return is_pass(j) && j->is_safe && j->request && !j->answer_has_begun && !j->body;
}

static void broke(struct job *j, const char *kind, const char *detail)
{
	if (may_send_again(j)) {
		unsent(j, UNSENT_SAFE);
		return;
	}
	log_info("%s: a pod failed a job (%s): %s", j->backend->name, kind, detail);
	disappoint(j, OUTCOME_POD_FAILED, 502, "pod_failed", detail);
	job_finish(j, JOB_BROKE, kind);
}

static void on_interrupted(void *owner, const struct http_client_result *result)
{
	struct job *j = owner;
	(void)result; /* it is lost or not: the slot is free when the answer has ended */
	j->interrupt = NULL;
	if (j->answer_has_ended)
		job_finish(j, JOB_ANSWERED, NULL);
}

/* Nobody wants the image: tell the runtime to stop. It stops whatever runs now, so this is done only
 * while the slot is ours, and the slot is not given on before the call is over. */
static void interrupt(struct job *j)
{
	const struct service_config *c = j->backend->config;
	const struct net_address *address = activator_pod_address(j->backend->activator, j->pod);
	if (!c->interrupt_path || c->container_concurrency != 1 || is_pass(j) || !address ||
	    j->interrupt || j->answer_has_ended)
		return;
	struct http_client_request request = {
		.method = "POST",
		.address = address,
		.path = c->interrupt_path,
		.timeout_us = c->idle.timeout_us,
		.max_body_bytes = INTERRUPT_ANSWER_BYTES,
		.cut_body = true,
	};
	j->interrupt =
		http_client_start(gateway_of(j)->providers.http, &request, on_interrupted, j);
}

void job_leave(struct job *j)
{
	j->request = NULL;
	switch (j->state) {
	case JOB_UPLOADING:
	case JOB_QUEUED:
		job_finish(j, JOB_NEVER_GRANTED, NULL);
		break;
	case JOB_CONNECTING:
		job_finish(j, JOB_ABANDONED, NULL);
		break;
	case JOB_SENDING:
	case JOB_WAITING:
	case JOB_ANSWERING:
		if (is_pass(j) || !j->has_started) {
			/* It holds no slot: closing the connection is all it takes. */
			j->answer_keeps_alive = false;
			job_finish(j, j->has_started ? JOB_ANSWERED : JOB_ABANDONED, NULL);
			break;
		}
		service_client_left(service_of(j), j->grant, now_of(j));
		activator_changed(j->backend->activator);
		interrupt(j);
		break;
	case JOB_TUNNEL:
		j->answer_keeps_alive = false;
		job_finish(j, JOB_ANSWERED, NULL);
		break;
	case JOB_DONE:
		break;
	}
}

void job_forget(struct job *j)
{
	if (j->request || j->state == JOB_DONE)
		return; /* its answer may still come */
	job_finish(j, JOB_FORGOTTEN, NULL);
}

/* --- the answer ------------------------------------------------------------------------------ */

/* A 101 that nobody asked for is none: on_end refuses it. */
static bool is_interim(const struct job *j, const struct http_head *head)
{
	return head->status < 200 && (head->status != 101 || !j->wants_upgrade);
}

static void on_answer_head(struct job *j, const struct http_head *head)
{
	if (is_interim(j, head))
		return; /* the client has been told to continue already */
	j->answer_has_begun = true;
	j->answer_keeps_alive = head->keep_alive && head->minor == 1 && head->status != 101;
	if (j->has_timed_out)
		return;
	move(j, head->status == 101 ? JOB_TUNNEL : JOB_ANSWERING);
	if (j->request)
		request_answer_head(j->request, head);
}

static void on_answer_body(void *owner, const char *bytes, size_t len)
{
	struct job *j = owner;
	if (j->request)
		request_answer_body(j->request, bytes, len);
}

static void begin_answer(struct job *j)
{
	http_parser_begin(j->parser, HTTP_IS_RESPONSE, gateway_http_limits(gateway_of(j)),
			  on_answer_body, j);
	if (j->is_head)
		http_parser_answers_head(j->parser);
}

/* The slot is free from here on, whatever the client still has to take. */
static void answered(struct job *j)
{
	struct request *r = j->request;
	j->request = NULL;
	if (!r)
		metrics_count(j->backend->stats.discarded);
	if (j->interrupt) {
		j->answer_has_ended = true; /* on_interrupted finishes it */
		timer_clear(&j->upstream->timer);
	} else {
		job_finish(j, JOB_ANSWERED, NULL);
	}
	if (r)
		request_answer_end(r);
}

/* The tunnel stands; the first bytes of it may have come with the head. */
static void open_tunnel(struct job *j, const char *bytes, size_t len)
{
	gateway_give_parser(gateway_of(j), j->parser);
	j->parser = NULL;
	set_timeout(j, j->backend->config->timeouts.tunnel_idle_us);
	if (len)
		request_answer_body(j->request, bytes, len);
}

/* A message has ended before these bytes; whether they belong to another one of this answer. */
static bool on_end(struct job *j, const char *bytes, size_t len)
{
	const struct http_head *head = http_parser_head(j->parser);
	if (head->status == 101 && !j->wants_upgrade) {
		broke(j, "garbage", "the pod switches protocols unasked");
		return false;
	}
	if (is_interim(j, head)) {
		begin_answer(j);
		return true;
	}
	if (j->state == JOB_TUNNEL) {
		open_tunnel(j, bytes, len);
		return false;
	}
	if (len)
		j->answer_keeps_alive = false; /* bytes behind the end: nobody asked for them */
	answered(j);
	return false;
}

/* What was read: to the parser, which passes it on to the request. */
static void take(struct job *j, const char *bytes, size_t len)
{
	size_t at = 0, used;
	if (j->state == JOB_TUNNEL) {
		request_answer_body(j->request, bytes, len);
		set_timeout(j, j->backend->config->timeouts.tunnel_idle_us);
		return;
	}
	for (;;) {
		enum http_result result = http_parser_feed(j->parser, bytes + at, len - at, &used);
		at += used;
		if (result == HTTP_MORE)
			break;
		if (result == HTTP_HEAD_END) {
			on_answer_head(j, http_parser_head(j->parser));
		} else if (result != HTTP_END) {
			broke(j, "garbage", http_fault(j->parser));
			return;
		} else if (!on_end(j, bytes + at, len - at)) {
			return;
		}
	}
	if (j->state == JOB_ANSWERING && !j->has_timed_out)
		set_timeout(j, j->backend->config->timeouts.stream_idle_us);
}

static void on_eof(struct job *j)
{
	if (j->state == JOB_TUNNEL) {
		answered(j);
		return;
	}
	if (http_parser_has_begun(j->parser) && http_parser_finish(j->parser) == HTTP_END) {
		j->answer_keeps_alive = false;
		answered(j);
		return;
	}
	broke(j, "broken",
	      j->answer_has_begun ? "the pod closed amid its answer"
				  : "the pod closed without an answer");
}

static void on_read_error(struct job *j, int error)
{
	if (j->state == JOB_TUNNEL)
		answered(j);
	else
		broke(j, "broken", strerror(error));
}

static bool reads(const struct job *j)
{
	return (j->state == JOB_SENDING || j->state == JOB_WAITING || j->state == JOB_ANSWERING ||
		j->state == JOB_TUNNEL) &&
	       j->upstream && !j->answer_has_ended;
}

static void read_more(struct job *j)
{
	struct gateway *gw = gateway_of(j);
	for (int i = 0; i < READS_PER_TURN; i++) {
		if (!reads(j))
			return;
		ssize_t n = recv(j->upstream->io.fd, gw->buffer, READ_BYTES, 0);
		if (n > 0) {
			take(j, gw->buffer, (size_t)n);
		} else if (n == 0) {
			on_eof(j);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (errno != EINTR) {
			on_read_error(j, errno);
			return;
		}
	}
	loop_defer_to_next_turn(gw->loop, &j->task);
}

/* --- sending --------------------------------------------------------------------------------- */

static int pieces_to_send(struct job *j, struct iovec *iov)
{
	int n = 0;
	if (j->head_sent < j->head.len)
		iov[n++] = (struct iovec){j->head.at + j->head_sent, j->head.len - j->head_sent};
	if (j->body)
		n += spool_peek(j->body, iov + n, PIECES - n);
	return n;
}

static void drop_sent(struct job *j, size_t sent)
{
	size_t head = j->head.len - j->head_sent;
	size_t of_head = sent < head ? sent : head;
	j->head_sent += of_head;
	if (sent > of_head)
		spool_consume(j->body, sent - of_head);
}

static void all_sent(struct job *j)
{
	j->has_sent = true;
	if (j->state == JOB_SENDING)
		move(j, JOB_WAITING);
	if (j->state == JOB_TUNNEL && j->request)
		exchange_hold_body(j->request->exchange, false);
	if (j->client_has_ended)
		shutdown(j->upstream->io.fd, SHUT_WR);
}

static bool has_more_to_send(const struct job *j)
{
	return j->head_sent < j->head.len || (j->body && spool_length(j->body));
}

static void send_failed(struct job *j)
{
	bool nothing_sent = j->head_sent == 0 && j->state == JOB_SENDING;
	if (nothing_sent && j->upstream->is_reused) {
		metrics_count(j->backend->stats.connections_stale);
		unsent(j, UNSENT_STALE);
		return;
	}
	/* The pod may have answered without reading all of the request: that answer counts. */
	j->has_sent = false;
	read_more(j);
}

static void send_more(struct job *j)
{
	struct iovec iov[PIECES];
	while (has_more_to_send(j)) {
		if (j->body && spool_error(j->body)) {
			broke(j, "broken",
			      "the request's body could not be read back from the disk");
			return;
		}
		struct msghdr message = {.msg_iov = iov,
					 .msg_iovlen = (size_t)pieces_to_send(j, iov)};
		if (!message.msg_iovlen)
			return; /* it comes from the disk: on_spool */
		ssize_t sent = sendmsg(j->upstream->io.fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (sent < 0) {
			send_failed(j);
			return;
		}
		drop_sent(j, (size_t)sent);
	}
	all_sent(j);
}

static void start_sending(struct job *j)
{
	move(j, JOB_SENDING);
	j->parser = gateway_take_parser(gateway_of(j));
	if (!j->parser) {
		abandon(j);
		return;
	}
	begin_answer(j);
	j->has_started = true;
	service_started(service_of(j), j->grant, now_of(j));
	set_timeout(j, j->backend->config->timeouts.response_us);
	send_more(j);
}

/* --- a slot ---------------------------------------------------------------------------------- */

static bool is_network_error(int error)
{
	return error == ENETUNREACH || error == EHOSTUNREACH || error == ETIMEDOUT ||
	       error == ENETDOWN || error == EADDRNOTAVAIL;
}

static void connect_to_pod(struct job *j)
{
	struct upstream_pool *pool = backend_pool(j->backend, j->pod);
	errno = ENOMEM;
	j->upstream = pool ? upstream_take(pool, j->must_be_new, on_upstream, j) : NULL;
	if (j->upstream && j->upstream->state == UPSTREAM_BUSY)
		start_sending(j);
	else if (!j->upstream && errno == ECONNREFUSED)
		unsent(j, UNSENT_REFUSED);
	else if (!j->upstream && is_network_error(errno))
		unsent(j, UNSENT_TIMEOUT);
	else if (!j->upstream)
		abandon(j);
}

void job_granted(struct job *j, uint64_t grant, uint64_t pod)
{
	j->grant = grant;
	j->pod = pod;
	j->granted_us = now_of(j);
	move(j, JOB_CONNECTING);
	request_granted(j->request, service_pod(service_of(j), pod));
	connect_to_pod(j);
}

/* --- the connection's events ----------------------------------------------------------------- */

static void on_timeout(struct job *j)
{
	static const char stalled[] = "the pod stopped amid its answer for timeouts.streamIdle";
	if (j->state == JOB_CONNECTING) {
		unsent(j, UNSENT_TIMEOUT);
		return;
	}
	if (j->state == JOB_TUNNEL) {
		answered(j);
		return;
	}
	bool amid = j->state == JOB_ANSWERING;
	if (is_pass(j)) {
		disappoint(j, OUTCOME_TIMEOUT, 504, "response_timeout",
			   amid ? stalled : "the pod did not answer within timeouts.response");
		j->answer_keeps_alive = false;
		job_finish(j, JOB_ANSWERED, NULL);
		return;
	}
	/* The request ends here, the job does not: its answer is read when it comes. */
	j->has_timed_out = true;
	service_timed_out(service_of(j), j->grant, now_of(j));
	activator_changed(j->backend->activator);
	disappoint(j, OUTCOME_TIMEOUT, 504, "response_timeout",
		   amid ? stalled : "the pod did not answer within timeouts.response");
	interrupt(j);
}

static void on_upstream(void *owner, enum upstream_event event, unsigned what)
{
	struct job *j = owner;
	switch (event) {
	case UPSTREAM_CONNECTED:
		start_sending(j);
		break;
	case UPSTREAM_REFUSED:
		unsent(j, UNSENT_REFUSED);
		break;
	case UPSTREAM_CONNECT_FAILED:
		unsent(j, UNSENT_TIMEOUT);
		break;
	case UPSTREAM_TIMER:
		on_timeout(j);
		break;
	case UPSTREAM_READY:
		if (what & (IO_READ | IO_HANGUP))
			read_more(j);
		if ((what & IO_WRITE) && reads(j) && has_more_to_send(j))
			send_more(j);
		break;
	}
}

/* --- tunnels --------------------------------------------------------------------------------- */

void job_tunnel_write(struct job *j, const char *bytes, size_t len)
{
	if (j->state != JOB_TUNNEL)
		return;
	if (job_add_body(j, bytes, len)) {
		exchange_reset(j->request->exchange);
		return;
	}
	set_timeout(j, j->backend->config->timeouts.tunnel_idle_us);
	send_more(j);
	if (j->upstream && j->body && spool_length(j->body) > TUNNEL_BUFFER_BYTES)
		exchange_hold_body(j->request->exchange, true);
}

void job_tunnel_end(struct job *j)
{
	if (j->state != JOB_TUNNEL)
		return;
	j->client_has_ended = true;
	send_more(j);
}
