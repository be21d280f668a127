/* A job whose connection was upgraded: bytes both ways, for as long as they come. It is a
 * WebSocket; when the gateway goes away, both sides are told so between two frames, and
 * have a moment to answer. */

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/http/websocket.h"
#include "gateway/job_state.h"

static const int64_t GOODBYE_US = 2 * US_PER_S;

/* A side is told by what goes to it: so nothing more may come through from the other. */
struct tunnel {
	struct websocket from_pod, from_client;
	bool goes_away, client_is_told, pod_is_told;
};

enum { BUFFER_BYTES = 256 << 10 };

/* More than the client may run ahead of the pod: it is held at BUFFER_BYTES. */
static const struct spool_limits to_pod = {2 * BUFFER_BYTES, 2 * BUFFER_BYTES};

static void on_spool(void *owner)
{
	(void)owner; /* it fits into memory: nothing comes from the disk */
}

static void keep_alive(struct job *j)
{
	if (!j->tunnel->goes_away)
		job_set_timeout(j, j->backend->config->timeouts.tunnel_idle_us);
}

/* --- going away ------------------------------------------------------------------------------ */

static void to_client(struct job *j, const void *bytes, size_t len)
{
	if (len && j->request)
		request_answer_body(j->request, bytes, len);
}

static void to_pod_spool(struct job *j, const void *bytes, size_t len)
{
	if (len && j->body && spool_write(j->body, bytes, len))
		exchange_reset(j->request->exchange);
}

static void tell_client(struct job *j)
{
	struct tunnel *t = j->tunnel;
	uint8_t frame[WEBSOCKET_CLOSE_MAX];
	if (!t->goes_away || t->client_is_told || !websocket_is_between(&t->from_pod))
		return;
	t->client_is_told = true;
	if (!t->from_pod.has_closed)
		to_client(j, frame, websocket_close_frame(frame, WEBSOCKET_GOING_AWAY, false));
}

static void tell_pod(struct job *j)
{
	struct tunnel *t = j->tunnel;
	uint8_t frame[WEBSOCKET_CLOSE_MAX];
	if (!t->goes_away || t->pod_is_told || !websocket_is_between(&t->from_client))
		return;
	t->pod_is_told = true;
	if (!t->from_client.has_closed)
		to_pod_spool(j, frame, websocket_close_frame(frame, WEBSOCKET_GOING_AWAY, true));
}

/* Lets through what belongs to the frame under way; the rest is only looked at. */
static size_t see(struct job *j, struct websocket *w, bool other_is_told, const void *bytes,
		  size_t len)
{
	size_t passes = other_is_told ? 0 : len;
	if (j->tunnel->goes_away && !other_is_told)
		passes = websocket_is_between(w) ? 0 : websocket_see_frame(w, bytes, len);
	else if (!other_is_told)
		websocket_see(w, bytes, len);
	if (passes < len)
		websocket_see(w, (const char *)bytes + passes, len - passes);
	return passes;
}

/* True: both have said goodbye, and the job is no more. */
static bool end_if_said(struct job *j)
{
	const struct tunnel *t = j->tunnel;
	if (!t->goes_away || !t->from_pod.has_closed || !t->from_client.has_closed)
		return false;
	job_answered(j);
	return true;
}

void job_tunnel_go_away(struct job *j)
{
	if (j->tunnel->goes_away)
		return;
	j->tunnel->goes_away = true;
	job_set_timeout(j, GOODBYE_US);
	tell_client(j);
	tell_pod(j);
	job_send_more(j);
}

/* --- bytes ----------------------------------------------------------------------------------- */

void job_tunnel_open(struct job *j, const char *bytes, size_t len)
{
	gateway_give_parser(job_gateway(j), j->parser);
	j->parser = NULL;
	spool_free(j->body);
	j->body = spool_new(&job_gateway(j)->spool, to_pod, on_spool, j);
	j->tunnel = mem_zalloc(sizeof(*j->tunnel));
	if (!j->body || !j->tunnel) {
		spool_free(j->body);
		j->body = NULL;
		exchange_reset(j->request->exchange);
		return;
	}
	keep_alive(j);
	if (job_gateway(j)->tunnels_are_over)
		job_tunnel_go_away(j);
	if (len)
		job_tunnel_read(j, bytes, len);
}

void job_tunnel_read(struct job *j, const char *bytes, size_t len)
{
	struct tunnel *t = j->tunnel;
	if (!t) /* no memory: it is being reset */
		return;
	to_client(j, bytes, see(j, &t->from_pod, t->client_is_told, bytes, len));
	tell_client(j);
	if (!end_if_said(j))
		keep_alive(j);
}

static void hold_client(struct job *j, bool hold)
{
	if (j->client_is_held == hold)
		return;
	j->client_is_held = hold;
	exchange_hold_body(j->request->exchange, hold);
}

void job_tunnel_write(struct job *j, const char *bytes, size_t len)
{
	struct tunnel *t = j->tunnel;
	if (!t)
		return;
	to_pod_spool(j, bytes, see(j, &t->from_client, t->pod_is_told, bytes, len));
	tell_pod(j);
	if (end_if_said(j))
		return;
	keep_alive(j);
	job_send_more(j);
	if (j->upstream && j->request && spool_length(j->body) > BUFFER_BYTES)
		hold_client(j, true);
}

void job_tunnel_end(struct job *j)
{
	j->client_has_ended = true;
	job_send_more(j);
}

void job_tunnel_sent(struct job *j)
{
	if (j->request)
		hold_client(j, false);
	if (j->client_has_ended)
		stream_end(&j->upstream->stream);
}
