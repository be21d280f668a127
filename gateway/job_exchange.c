/* A job's exchange with its pod: connect, send, read the answer. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/log.h"
#include "gateway/http/forward.h"
#include "gateway/job_state.h"
#include "gateway/tracing/traced.h"

enum { PIECES = 16, INTERIMS_MAX = 1000 };

/* --- the answer ------------------------------------------------------------------------------ */

/* Both sides agree: the client has asked for a WebSocket, and the pod says that this is one. */
static bool is_switch(const struct job *j, const struct http_head *head)
{
	struct slice to = http_find(head, HEADER_UPGRADE);
	return head->status == 101 && j->wants_upgrade && to.at && slice_is_nocase(to, "websocket");
}

/* Another 101 is none: on_end refuses it. */
static bool is_interim(const struct job *j, const struct http_head *head)
{
	return head->status < 200 && !is_switch(j, head);
}

/* They go on to the client (RFC 9110, 15.2), but for the one to continue:
 * it has been told already. */
static void on_interim(struct job *j, const struct http_head *head)
{
	j->interims++;
	if (head->status > 101 && j->request && !j->has_timed_out && j->interims <= INTERIMS_MAX)
		request_answer_interim(j->request, head);
}

static void on_answer_head(struct job *j, const struct http_head *head)
{
	if (is_interim(j, head)) {
		on_interim(j, head);
		return;
	}
	j->answer_has_begun = true;
	traced_work_answered(j, head->status);
	if (!job_is_pass(j))
		service_pod_speaks(job_service(j), j->pod, job_now(j));
	j->answer_keeps_alive = head->keep_alive && head->minor == 1 && head->status != 101;
	if (j->has_timed_out)
		return;
	job_move(j, head->status == 101 ? JOB_TUNNEL : JOB_ANSWERING);
	j->holds_head = true;
}

void job_hand_on(struct job *j, struct request *r, const struct http_parser *answer)
{
	struct brought *b = &job_gateway(j)->brought;
	if (j->holds_head && r)
		request_answer_head(r, http_parser_head(answer));
	j->holds_head = false;
	for (int i = 0; r && i < b->count; i++)
		request_answer_body(r, b->pieces[i].at, b->pieces[i].len);
	b->count = 0;
}

static void hand_on(struct job *j)
{
	job_hand_on(j, j->request, j->parser);
}

static void on_answer_body(void *owner, const char *bytes, size_t len)
{
	struct job *j = owner;
	struct brought *b = &job_gateway(j)->brought;
	if (b->count == BROUGHT_PIECES)
		hand_on(j);
	b->pieces[b->count++] = (struct slice){bytes, len};
}

static void begin_answer(struct job *j)
{
	struct http_limits limits = gateway_http_limits(job_gateway(j));
	if (limits.headers > FORWARD_HEADERS_MAX)
		limits.headers = FORWARD_HEADERS_MAX;
	http_parser_begin(j->parser, HTTP_IS_RESPONSE, limits, on_answer_body, j);
	if (j->is_head)
		http_parser_answers_head(j->parser);
}

/* A message has ended before these bytes; whether another one of this answer follows. */
static bool on_end(struct job *j, const char *bytes, size_t len)
{
	const struct http_head *head = http_parser_head(j->parser);
	if (head->status == 101 && !is_switch(j, head)) {
		job_broke(j, "garbage", "the pod switches to a protocol that nobody has asked for");
		return false;
	}
	if (is_interim(j, head) && j->interims > INTERIMS_MAX) {
		job_broke(j, "garbage", "the pod sends interim answers without end");
		return false;
	}
	if (is_interim(j, head)) {
		begin_answer(j);
		return true;
	}
	if (j->state == JOB_TUNNEL) {
		hand_on(j);
		job_tunnel_open(j, bytes, len);
		return false;
	}
	if (len)
		j->answer_keeps_alive = false; /* bytes behind the end: nobody asked for them */
	job_answered(j);
	return false;
}

/* What was read: to the parser, and what it brings of the answer to the request. */
static void understand(struct job *j, const char *bytes, size_t len)
{
	size_t at = 0, used;
	if (j->state == JOB_TUNNEL) {
		job_tunnel_read(j, bytes, len);
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
			job_broke(j, "garbage", http_fault(j->parser));
			return;
		} else if (!on_end(j, bytes + at, len - at)) {
			return;
		}
	}
	if (job_gateway(j)->brought.count)
		hand_on(j);
	if (j->state == JOB_ANSWERING && !j->has_timed_out && !j->is_relayed)
		job_set_timeout(j, j->backend->config->timeouts.stream_idle_us);
}

static void take(struct job *j, const char *bytes, size_t len)
{
	understand(j, bytes, len);
	job_gateway(j)->brought.count = 0; /* of a broken answer, nobody gets the rest */
}

static void on_eof(struct job *j)
{
	if (j->state == JOB_TUNNEL) {
		job_answered(j);
		return;
	}
	if (http_parser_has_begun(j->parser) && http_parser_finish(j->parser) == HTTP_END) {
		j->answer_keeps_alive = false;
		job_answered(j);
		return;
	}
	job_broke(j, "broken",
		  j->answer_has_begun ? "the pod closed amid its answer"
				      : "the pod closed without an answer");
}

static void on_read_error(struct job *j, int error)
{
	if (j->state == JOB_TUNNEL)
		job_answered(j);
	else
		job_broke(j, "broken",
			  error == ECONNABORTED ? "the pod's connection ended without TLS's close"
						: strerror(error));
}

bool job_reads(const struct job *j)
{
	bool is_sent = j->state == JOB_SENDING || j->state == JOB_WAITING ||
		       j->state == JOB_ANSWERING || j->state == JOB_TUNNEL;
	return is_sent && j->upstream;
}

void job_read_more(struct job *j)
{
	struct gateway *gw = job_gateway(j);
	for (int i = 0; i < READS_PER_TURN; i++) {
		if (!job_reads(j))
			return;
		ssize_t n = stream_read(&j->upstream->stream, gw->buffer, READ_BYTES);
		if (n > 0) {
			j->upstream->is_dry = n < READ_BYTES;
			take(j, gw->buffer, (size_t)n);
		} else if (n == 0) {
			on_eof(j);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			hand_on(j);
			return;
		} else {
			on_read_error(j, errno);
			return;
		}
	}
	hand_on(j);
	loop_defer_to_next_turn(gw->loop, &j->task);
}

/* --- sending --------------------------------------------------------------------------------- */

static bool has_more_to_send(const struct job *j)
{
	return j->head_sent < j->head.len || (j->body && spool_length(j->body));
}

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
		job_move(j, JOB_WAITING);
	if (j->state == JOB_TUNNEL)
		job_tunnel_sent(j);
}

static void send_failed(struct job *j)
{
	bool nothing_sent = j->head_sent == 0 && j->state == JOB_SENDING;
	if (nothing_sent && j->upstream->is_reused) {
		metrics_count(j->backend->stats.connections_stale);
		job_unsent(j, UNSENT_STALE);
		return;
	}
	/* The pod may have answered without reading all of the request: that answer counts. It is
	 * read later: in the buffer may be another's, in whose place this job was granted. */
	j->has_sent = false;
	loop_defer(job_gateway(j)->loop, &j->task);
}

/* Our disk's fault. If the pod has a part of the request, nobody knows what it makes of it. */
static void body_failed(struct job *j)
{
	log_error("%s: a request's body: %s", j->backend->name,
		  spool_error_text(spool_error(j->body)));
	job_disappoint(j, OUTCOME_REFUSED, 503, "spool",
		       "the request's body could not be read back from the disk");
	job_finish(j, j->head_sent ? JOB_BROKE : JOB_ABANDONED, "spool");
}

void job_send_more(struct job *j)
{
	struct iovec iov[PIECES];
	while (has_more_to_send(j)) {
		int n = pieces_to_send(j, iov);
		if (j->body && spool_error(j->body)) {
			body_failed(j);
			return;
		}
		if (!n)
			return; /* it comes from the disk: on_spool */
		ssize_t sent = stream_write(&j->upstream->stream, iov, n);
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

/* --- the connection -------------------------------------------------------------------------- */

/* We lack what it takes to reach a pod (memory, descriptors); that is no fault of the pod's. */
static void abandon(struct job *j, int error)
{
	log_error("%s: cannot reach a pod: %s", j->backend->name, strerror(error));
	job_disappoint(j, OUTCOME_REFUSED, 503, "no_resources",
		       "the gateway is out of memory or file descriptors");
	job_finish(j, JOB_ABANDONED, NULL);
}

static void start_sending(struct job *j)
{
	job_move(j, JOB_SENDING);
	j->parser = gateway_take_parser(job_gateway(j));
	if (!j->parser) {
		abandon(j, ENOMEM);
		return;
	}
	begin_answer(j);
	grant_tell(j->backend, j->grant, GRANT_STARTED, NULL, NULL);
	if (!j->is_relayed) /* it waits there, too: the other process keeps the times */
		job_set_timeout(j, j->backend->config->timeouts.response_us);
	job_send_more(j);
}

static void on_timeout(struct job *j)
{
	bool amid = j->state == JOB_ANSWERING;
	const char *detail = amid ? "the pod stopped amid its answer for timeouts.streamIdle"
				  : "the pod did not answer within timeouts.response";
	if (j->state == JOB_CONNECTING) {
		job_unsent(j, UNSENT_TIMEOUT);
		return;
	}
	if (j->state == JOB_TUNNEL) {
		job_answered(j);
		return;
	}
	bool is_gone = !service_grant_owner(job_service(j), j->grant);
	if (job_is_pass(j) || is_gone) {
		job_disappoint(j, OUTCOME_TIMEOUT, 504, "response_timeout", detail);
		job_finish(j, is_gone ? JOB_FORGOTTEN : JOB_DROPPED, "response_timeout");
		return;
	}
	/* The request ends here, the job does not: its answer is read when it comes. */
	j->has_timed_out = true;
	list_remove(&j->link);
	list_push_back(&job_gateway(j)->overdue, &j->link);
	grant_tell(j->backend, j->grant, GRANT_TIMED_OUT, NULL, NULL);
	job_disappoint(j, OUTCOME_TIMEOUT, 504, "response_timeout", detail);
	job_interrupt(j);
}

void job_on_upstream(void *owner, enum upstream_event event, unsigned what)
{
	struct job *j = owner;
	switch (event) {
	case UPSTREAM_CONNECTED:
		start_sending(j);
		break;
	case UPSTREAM_REFUSED:
		job_unsent(j, UNSENT_REFUSED);
		break;
	case UPSTREAM_CONNECT_FAILED:
		job_unsent(j, UNSENT_TIMEOUT);
		break;
	case UPSTREAM_NOT_SECURE:
		job_unsent(j, UNSENT_NOT_SECURE);
		break;
	case UPSTREAM_TIMER:
		on_timeout(j);
		break;
	case UPSTREAM_READY:
		if (what & (IO_READ | IO_HANGUP))
			job_read_more(j);
		if ((what & IO_WRITE) && job_reads(j) && has_more_to_send(j))
			job_send_more(j);
		break;
	}
}

static bool is_network_error(int error)
{
	return error == ENETUNREACH || error == EHOSTUNREACH || error == ETIMEDOUT ||
	       error == ENETDOWN || error == EADDRNOTAVAIL;
}

void job_connected(struct job *j, struct upstream *u)
{
	j->upstream = u;
	if (u)
		start_sending(j);
	else
		abandon(j, ENOMEM);
}

void job_connect(struct job *j)
{
	struct upstream_pool *pool = backend_pool(j->backend, j->pod);
	errno = ENOMEM;
	j->upstream = pool ? upstream_take(pool, j->must_be_new, job_on_upstream, j) : NULL;
	if (j->upstream && j->upstream->state == UPSTREAM_BUSY)
		start_sending(j);
	else if (!j->upstream && errno == ECONNREFUSED)
		job_unsent(j, UNSENT_REFUSED);
	else if (!j->upstream && is_network_error(errno))
		job_unsent(j, UNSENT_TIMEOUT);
	else if (!j->upstream)
		abandon(j, errno);
}
