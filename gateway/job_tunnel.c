/* A job whose connection was upgraded: bytes both ways, for as long as they come. */

#include "gateway/job_state.h"

enum { BUFFER_BYTES = 256 << 10 };

/* More than the client may run ahead of the pod: it is held at BUFFER_BYTES. */
static const struct spool_limits to_pod = {2 * BUFFER_BYTES, 2 * BUFFER_BYTES};

static void on_spool(void *owner)
{
	(void)owner; /* it fits into memory: nothing comes from the disk */
}

static void keep_alive(struct job *j)
{
	job_set_timeout(j, j->backend->config->timeouts.tunnel_idle_us);
}

void job_tunnel_open(struct job *j, const char *bytes, size_t len)
{
	gateway_give_parser(job_gateway(j), j->parser);
	j->parser = NULL;
	spool_free(j->body);
	j->body = spool_new(&job_gateway(j)->spool, to_pod, on_spool, j);
	keep_alive(j);
	if (!j->body)
		exchange_reset(j->request->exchange);
	else if (len)
		request_answer_body(j->request, bytes, len);
}

void job_tunnel_read(struct job *j, const char *bytes, size_t len)
{
	request_answer_body(j->request, bytes, len);
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
	if (!j->body || spool_write(j->body, bytes, len)) {
		exchange_reset(j->request->exchange);
		return;
	}
	keep_alive(j);
	job_send_more(j);
	if (j->upstream && spool_length(j->body) > BUFFER_BYTES)
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
