/* What a pod works on: its life, from the queue to its end. */
#include "gateway/job.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "activator/core/handover.h"
#include "base/http_client.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/job_state.h"
#include "gateway/tracing/traced.h"
#include "gateway/upgrade/upgrade.h"

enum { INTERRUPT_ANSWER_BYTES = 4096 };

void job_move(struct job *j, enum job_state to)
{
	static const char *const names[] = {"uploading", "queued",    "connecting", "sending",
					    "waiting",	 "answering", "tunnel",	    "done"};
	log_debug("job %llx: %s -> %s", (unsigned long long)j->id, names[j->state], names[to]);
	j->state = to;
}

void job_set_timeout(struct job *j, int64_t after_us)
{
	timer_set(&j->upstream->timer, job_now(j) + after_us);
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_task(void *owner)
{
	struct job *j = owner;
	if (j->state != JOB_DONE) {
		job_read_more(j);
		return;
	}
	struct backend *b = j->backend;
	spool_free(j->body);
	str_release(&j->head);
	mem_free(j->tunnel);
	budget_hold(&b->gateway->memory, &j->held_bytes, 0);
	mem_free(j);
	backend_drop(b);
}

static void on_spool(void *owner)
{
	struct job *j = owner;
	if (job_reads(j))
		job_send_more(j);
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
	j->relay_fd = -1;
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
		gateway_give_parser(job_gateway(j), j->parser);
	j->parser = NULL;
	if (!u)
		return;
	if (can_be_reused)
		upstream_give(u);
	else
		upstream_close(u);
}

static void tell_ledger(struct job *j, enum job_end how, const char *kind)
{
	switch (how) {
	case JOB_ANSWERED:
		grant_tell(j->backend, j->grant, GRANT_FINISHED, NULL, NULL);
		break;
	case JOB_NEVER_GRANTED:
		service_cancel(job_service(j), &j->ticket, job_now(j));
		activator_changed(j->backend->activator);
		break;
	case JOB_ABANDONED:
		grant_tell(j->backend, j->grant, GRANT_UNSENT_STALE, NULL, NULL);
		break;
	case JOB_DROPPED:
		grant_tell(j->backend, j->grant, GRANT_DROPPED, kind, NULL);
		break;
	case JOB_BROKE:
		grant_tell(j->backend, j->grant, GRANT_BROKE, kind, NULL);
		break;
	case JOB_FORGOTTEN:
		break;
	}
}

void job_finish(struct job *j, enum job_end how, const char *kind)
{
	struct gateway *gw = job_gateway(j);
	assert(!j->request && j->state != JOB_DONE);
	drop_upstream(j, how == JOB_ANSWERED && j->has_sent && j->answer_keeps_alive);
	if (j->interrupt && how != JOB_FORGOTTEN) {
		j->end = how; /* on_interrupted goes on */
		j->end_kind = kind;
		return;
	}
	http_client_cancel(j->interrupt);
	j->interrupt = NULL;
	if (j->relay_fd >= 0)
		close(j->relay_fd);
	j->relay_fd = -1;
	traced_work_end(j, how, kind);
	tell_ledger(j, how, kind);
	table_remove(&gw->jobs, j->id);
	list_remove(&j->link);
	job_move(j, JOB_DONE);
	task_cancel(&j->task);
	loop_defer(gw->loop, &j->task);
	if (gw->draining)
		gateway_drain_on(gw);
}

/* --- before a slot --------------------------------------------------------------------------- */

void job_account(struct job *j)
{
	int64_t bytes = (int64_t)(sizeof(*j) + sizeof(*j->request) + j->head.capacity);
	budget_hold(&job_gateway(j)->memory, &j->held_bytes, bytes);
}

enum spool_error job_add_body(struct job *j, const char *bytes, size_t len)
{
	const struct body_config *c = &j->backend->config->body;
	if (!j->body) {
		bool is_known = j->content_length >= 0;
		struct spool_limits limits = {c->memory_bytes,
					      is_known ? j->content_length : c->max_bytes};
		j->body = spool_new(&job_gateway(j)->spool, limits, on_spool, j);
	}
	if (!j->body)
		return SPOOL_NO_MEMORY;
	j->body_bytes += (int64_t)len;
	return spool_write(j->body, bytes, len);
}

void job_enqueue(struct job *j)
{
	struct service *s = job_service(j);
	if (upgrade_is_over(job_gateway(j))) {
		job_relay(j);
		return;
	}
	if (j->state != JOB_QUEUED)
		job_move(j, JOB_QUEUED);
	if (j->ticket.is_awaited)
		service_arrived(s, &j->ticket, job_now(j));
	else
		service_enqueue(s, &j->ticket, job_now(j));
	activator_changed(j->backend->activator);
}

struct job *job_await(struct backend *b, enum ticket_kind kind, uint64_t tenant, uint64_t order,
		      int64_t enqueued_us)
{
	struct job *j = job_new(b, NULL, kind);
	if (!j)
		return NULL;
	j->ticket.tenant = tenant;
	job_move(j, JOB_QUEUED);
	service_keep_place(job_service(j), &j->ticket, order, enqueued_us, job_now(j));
	activator_changed(b->activator);
	return j;
}

void job_relay(struct job *j)
{
	int fd = j->relay_fd;
	j->relay_fd = -1;
	service_cancel(job_service(j), &j->ticket, job_now(j));
	j->grant = 0;
	j->is_relayed = true;
	j->head_sent = 0;
	j->has_sent = false;
	job_move(j, JOB_CONNECTING);
	if (fd < 0)
		fd = upgrade_relay(job_gateway(j), j);
	if (fd < 0) {
		job_disappoint(j, OUTCOME_REFUSED, 503, "closing",
			       "the gateway was upgraded, and the new process cannot be reached");
		job_finish(j, JOB_FORGOTTEN, NULL);
		return;
	}
	j->request->is_relayed = true;
	traced_work_begin(j);
	job_connected(j, upstream_adopt(j->backend, fd, job_on_upstream, j));
}

void job_granted(struct job *j, uint64_t grant, uint64_t pod)
{
	j->grant = grant;
	j->pod = pod;
	job_move(j, JOB_CONNECTING);
	if (request_has_left(j->request))
		return; /* and the slot is free again */
	request_granted(j->request, service_pod(job_service(j), pod));
	traced_work_begin(j);
	job_connect(j);
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

void job_unsent(struct job *j, enum unsent how)
{
	struct service_stats *stats = &j->backend->stats;
	struct metrics_counter *const retries[] = {
		[UNSENT_STALE] = stats->retries_stale,
		[UNSENT_REFUSED] = stats->retries_refused,
		[UNSENT_TIMEOUT] = stats->retries_timeout,
		[UNSENT_SAFE] = stats->retries_safe,
		[UNSENT_NOT_SECURE] = stats->retries_not_secure,
	};
	struct ticket *t = j->request ? &j->ticket : NULL;
	drop_upstream(j, false);
	traced_work_unsent(j, how);
	grant_tell(j->backend, j->grant, grant_unsent(how), NULL, t);
	j->grant = 0;
	if (!j->request) {
		job_finish(j, JOB_FORGOTTEN, NULL);
		return;
	}
	metrics_count(retries[how]);
	j->has_sent = false;
	j->head_sent = 0;
	j->must_be_new = how == UNSENT_STALE;
	job_move(j, JOB_QUEUED);
	request_requeued(j->request);
	if (upgrade_is_over(job_gateway(j))) {
		job_relay(j);
		return;
	}
	service_requeue(job_service(j), &j->ticket, job_now(j));
}

/* --- ends ------------------------------------------------------------------------------------ */

void job_disappoint(struct job *j, enum outcome outcome, int status, const char *reason,
		    const char *detail)
{
	struct request *r = j->request;
	j->request = NULL;
	if (r)
		request_failed(r, outcome, status, reason, detail);
}

/* An idempotent request beside the slots that has seen no byte of an answer may be sent again. */
static bool may_send_again(const struct job *j)
{
	return job_is_pass(j) && !j->is_relayed && j->is_safe && j->request &&
	       !j->answer_has_begun && !j->body && !j->interims &&
	       !(j->parser && http_parser_has_begun(j->parser));
}

/* To the same pod if that may only have closed a kept connection in this moment, else to another.
 * Where there is no other one it does not wait for one: that could take as long as it likes. */
static bool send_again(struct job *j)
{
	bool was_kept = j->upstream && j->upstream->is_reused;
	if (!may_send_again(j))
		return false;
	if (was_kept)
		job_unsent(j, UNSENT_STALE);
	else if (service_has_another(job_service(j), &j->ticket, j->pod))
		job_unsent(j, UNSENT_SAFE);
	else
		return false;
	return true;
}

void job_broke(struct job *j, const char *kind, const char *detail)
{
	if (send_again(j))
		return;
	if (j->is_relayed) {
		detail = "the process that took over in an upgrade broke off";
		if (j->request)
			j->request->is_relayed = false; /* that one cannot log it any more */
	}
	log_info("%s: a pod failed a job (%s): %s", j->backend->name, kind, detail);
	job_disappoint(j, OUTCOME_POD_FAILED, 502, "pod_failed", detail);
	job_finish(j, JOB_BROKE, kind);
}

void job_answered(struct job *j)
{
	struct gateway *gw = job_gateway(j);
	struct request *r = j->request;
	struct http_parser *answer = j->parser;
	j->request = NULL;
	j->parser = NULL;
	if (!r)
		metrics_count(j->backend->stats.discarded);
	job_finish(j, JOB_ANSWERED, NULL);
	if (r && !job_is_pass(j))
		activator_settle(j->backend->activator); /* the pod has its next job first */
	job_hand_on(j, r, answer);
	if (r)
		request_answer_end(r);
	if (answer)
		gateway_give_parser(gw, answer);
}

void job_leave(struct job *j)
{
	j->request = NULL;
	traced_work_left(j);
	switch (j->state) {
	case JOB_UPLOADING:
	case JOB_QUEUED:
		job_finish(j, JOB_NEVER_GRANTED, NULL);
		break;
	case JOB_CONNECTING:
		job_finish(j, JOB_ABANDONED, NULL);
		break;
	case JOB_TUNNEL:
		job_finish(j, JOB_DROPPED, NULL);
		break;
	case JOB_SENDING:
	case JOB_WAITING:
	case JOB_ANSWERING:
		if (job_is_pass(j) || j->is_relayed) {
			/* It holds no slot: closing the connection is all it takes. */
			job_finish(j, JOB_DROPPED, NULL);
			break;
		}
		grant_tell(j->backend, j->grant, GRANT_CLIENT_LEFT, NULL, NULL);
		job_interrupt(j);
		break;
	case JOB_DONE:
		break;
	}
}

void job_forget(struct job *j)
{
	if (!j->request && j->state != JOB_DONE) /* else its answer may still come */
		job_finish(j, JOB_FORGOTTEN, NULL);
}

void jobs_close_tunnels(struct gateway *gw)
{
	gw->tunnels_are_over = true;
	LIST_EACH(j, &gw->job_list, struct job, link)
		if (j->state == JOB_TUNNEL && j->tunnel)
			job_tunnel_go_away(j);
}

void jobs_abort(struct gateway *gw)
{
	LIST_EACH(j, &gw->job_list, struct job, link)
		job_forget(j);
	LIST_EACH(j, &gw->overdue, struct job, link)
		job_forget(j);
}

/* --- interrupts ------------------------------------------------------------------------------ */

static void on_interrupted(void *owner, const struct http_client_result *result)
{
	struct job *j = owner;
	bool is_over = result->error == HTTP_CLIENT_OK;
	j->interrupt = NULL;
	grant_tell(j->backend, j->grant, GRANT_INTERRUPTED, NULL, NULL);
	if (j->upstream)
		return; /* the answer is still to come */
	/* If the call did not come through, it may still wait at the pod and stop the next job:
	 * only the idle check can say when that is over. */
	if (!is_over && j->backend->config->idle.kind != CHECK_NONE)
		job_finish(j, JOB_BROKE, "interrupt");
	else
		job_finish(j, j->end, j->end_kind);
}

/* Nobody wants the image. The call stops whatever runs at the pod, so it is made only while that
 * can be nothing else, and the slot is not given on before it is over. */
void job_interrupt(struct job *j)
{
	const struct service_config *c = j->backend->config;
	const struct net_address *address = activator_pod_address(j->backend->activator, j->pod);
	const struct pod *p = service_pod(job_service(j), j->pod);
	if (!c->interrupt_path || !address || !p || p->capacity != 1 || p->used != 1 ||
	    j->interrupt || job_is_pass(j))
		return;
	struct http_client_request request = {
		.method = "POST",
		.address = address,
		.path = c->interrupt_path,
		.headers = config_own_headers(c),
		.tls = c->pod_tls.context,
		.timeout_us = c->idle.timeout_us,
		.max_body_bytes = INTERRUPT_ANSWER_BYTES,
		.cut_body = true,
	};
	j->interrupt =
		http_client_start(job_gateway(j)->providers.http, &request, on_interrupted, j);
	if (j->interrupt)
		grant_tell(j->backend, j->grant, GRANT_INTERRUPTING, NULL, NULL);
}
