/* Requests that another process has handed on. */
#include "gateway/upgrade/relay.h"

#include <unistd.h>

#include "base/mem.h"
#include "gateway/connection.h"
#include "gateway/listener.h"
#include "gateway/request.h"

static struct job *job_of(struct gateway *gw, const struct relay *r)
{
	struct job *j = r->job ? table_get(&gw->jobs, r->job) : NULL;
	return j && !j->request && j->ticket.is_awaited ? j : NULL;
}

static void give_up_place(struct gateway *gw, struct relay *r)
{
	struct job *j = job_of(gw, r);
	r->job = 0;
	if (j)
		job_leave(j);
}

void relay_free(struct gateway *gw, struct relay *r)
{
	if (!r)
		return;
	give_up_place(gw, r);
	mem_free(r);
}

bool relay_begin(struct gateway *gw, const struct relay *facts, int fd)
{
	struct relay *r = mem_copy(facts, sizeof(*facts));
	if (!gw->relay_listener)
		gw->relay_listener = listener_private(gw, "upgrade", &request_handler);
	struct connection *c =
		r ? connection_start(gw, gw->relay_listener, fd, &facts->peer) : NULL;
	if (!r)
		close(fd);
	if (c)
		c->relay = r;
	else
		mem_free(r);
	return c != NULL;
}

struct job *relay_awaited(struct exchange *x, struct backend *b, enum ticket_kind kind)
{
	struct job *j = x->relay ? job_of(x->gateway, x->relay) : NULL;
	if (!j)
		return NULL;
	if (j->backend != b || j->ticket.kind != kind) {
		give_up_place(x->gateway, x->relay);
		return NULL;
	}
	x->relay->job = 0;
	return j;
}
