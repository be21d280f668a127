/* An upgrade, seen from the new process: it asks, takes over, and hears the old one out. */
#include "gateway/upgrade/upgrade.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "activator/providers/supervisor.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/packet.h"
#include "gateway/job.h"
#include "gateway/listener.h"
#include "gateway/upgrade/relay.h"
#include "gateway/upgrade/upgrade_record.h"
#include "gateway/upgrade/upgrade_wire.h"

/* For the running process to answer. */
static const int64_t ANSWER_US = 15 * US_PER_S;

/* A process that this one has taken over from, and that still has clients. */
struct predecessor {
	struct list link; /* on the gateway's, once it has handed over */
	struct gateway *gateway;
	int fd; /* until it has: spoken over without the loop; then -1 */
	pid_t pid;
	struct channel channel;
	struct list adopted; /* its grants, */
	struct map by_key;   /* and again, by the names that it has for them */
	struct task reap;
	struct str packet;
};

/* --- its grants ------------------------------------------------------------------------------ */

static void adopted_free(struct predecessor *p, struct adopted *a)
{
	map_remove(&p->by_key, a->key);
	list_remove(&a->link);
	backend_drop(a->backend);
	mem_free(a);
}

/* The end of a grant: nothing more will be told of it. */
static bool is_last(enum grant_event e)
{
	return e == GRANT_BROKE || e == GRANT_DROPPED || e == GRANT_FINISHED ||
	       e >= GRANT_UNSENT_STALE;
}

static void take_told(struct predecessor *p, const struct message *m)
{
	char key[sizeof(((struct adopted *)0)->key)];
	enum grant_event e = grant_event_by_name(message_text(m, "event"));
	adopted_key(key, sizeof(key), message_id(m, "backend"), message_id(m, "grant"));
	struct adopted *a = map_get(&p->by_key, key);
	if (!a || e == GRANT_EVENTS)
		return;
	const char *kind = *message_text(m, "kind") ? message_text(m, "kind") : NULL;
	grant_tell(a->backend, a->grant, e, grant_failure_kind(kind), NULL);
	if (is_last(e))
		adopted_free(p, a);
}

/* Nobody knows what became of those that it has not told the end of. */
static void lose_adopted(struct predecessor *p)
{
	size_t lost = 0;
	while (!list_is_empty(&p->adopted)) {
		struct adopted *a = LIST_FIRST(&p->adopted, struct adopted, link);
		enum grant_event e = a->is_pass ? GRANT_DROPPED : GRANT_BROKE;
		/* The idle check, or the pod's end, may have said it meanwhile. */
		lost += !a->is_pass && service_grant_is_open(backend_service(a->backend), a->grant);
		grant_tell(a->backend, a->grant, e, a->is_pass ? NULL : "upgrade", NULL);
		adopted_free(p, a);
	}
	if (lost)
		log_warn("process %d has ended with %zu jobs whose end it has not told",
			 (int)p->pid, lost);
}

static void take_ended(struct predecessor *p, const struct message *m)
{
	struct ending e;
	struct backend *b = backend_by_name(p->gateway, message_text(m, "service"));
	if (b && heard_ending(m, &e))
		ending_book(b, &e);
}

/* --- its requests ---------------------------------------------------------------------------- */

/* The place in the queue that it had there. */
static uint64_t keep_place(struct gateway *gw, const struct message *m, const struct relay *facts)
{
	int64_t kind = message_int(m, "kind", -1);
	uint64_t order = message_id(m, "order");
	struct backend *b = backend_by_name(gw, facts->service);
	if (!b || !order || kind < TICKET_SLOT || kind > TICKET_PASS)
		return 0;
	uint64_t tenant = service_tenant_named(backend_service(b), facts->tenant);
	const struct job *j = job_await(b, (enum ticket_kind)kind, tenant, order,
					message_int(m, "enqueuedUs", loop_now_us(gw->loop)));
	return j ? j->id : 0;
}

static bool take_request(struct predecessor *p, struct message *m)
{
	struct gateway *gw = p->gateway;
	struct relay facts = {.begun_us = message_int(m, "begunUs", loop_now_us(gw->loop))};
	if (upgrade_pass_on(gw, m))
		return true;
	if (m->fd < 0 || net_parse(message_text(m, "peer"), &facts.peer))
		return false;
	strncpy(facts.service, message_text(m, "service"), sizeof(facts.service) - 1);
	strncpy(facts.tenant, message_text(m, "tenant"), sizeof(facts.tenant) - 1);
	strncpy(facts.tls, message_text(m, "tls"), sizeof(facts.tls) - 1);
	strncpy(facts.cipher, message_text(m, "cipher"), sizeof(facts.cipher) - 1);
	facts.job = keep_place(gw, m, &facts);
	/* Without memory its client is told there that this process broke off. */
	if (!relay_begin(gw, &facts, message_take_fd(m)))
		log_error("no memory for a request of process %d", (int)p->pid);
	return true;
}

/* --- while it drains ------------------------------------------------------------------------- */

static void predecessor_free(struct predecessor *p)
{
	lose_adopted(p);
	list_remove(&p->link);
	channel_close(&p->channel);
	if (p->fd >= 0)
		close(p->fd);
	task_cancel(&p->reap);
	map_release(&p->by_key);
	str_release(&p->packet);
	mem_free(p);
}

static void on_reap(void *owner)
{
	struct predecessor *p = owner;
	struct gateway *gw = p->gateway;
	log_info("process %d, before this one, has ended", (int)p->pid);
	predecessor_free(p);
	if (gw->draining)
		gateway_drain_on(gw);
}

static void end_soon(struct predecessor *p)
{
	channel_close(&p->channel);
	loop_defer(p->gateway->loop, &p->reap);
}

static bool take(struct predecessor *p, struct message *m)
{
	if (message_is(m, "told"))
		take_told(p, m);
	else if (message_is(m, "ended"))
		take_ended(p, m);
	else if (message_is(m, "request"))
		return take_request(p, m);
	return true; /* what a newer one may say besides is no matter here */
}

static void on_channel(void *owner, unsigned what)
{
	struct predecessor *p = owner;
	if (what & IO_WRITE && !channel_flush(&p->channel)) {
		end_soon(p);
		return;
	}
	while (channel_is_open(&p->channel)) {
		struct message m;
		enum heard heard = message_receive(p->channel.io.fd, &m);
		if (heard == HEARD_NOTHING)
			return;
		if (heard != HEARD || !take(p, &m))
			end_soon(p);
		message_clear(&m);
	}
}

void upgrade_drain_predecessors(struct gateway *gw)
{
	LIST_EACH(p, &gw->predecessors, struct predecessor, link) {
		say_begin(&p->packet, "drain");
		say_end(&p->packet);
		channel_say(&p->channel, &p->packet, -1);
	}
}

void upgrade_forget_predecessors(struct gateway *gw)
{
	LIST_EACH(p, &gw->predecessors, struct predecessor, link)
		predecessor_free(p);
	if (gw->taking_over_from)
		predecessor_free(gw->taking_over_from);
	gw->taking_over_from = NULL;
}

/* --- asking: before the loop runs, one packet at a time --------------------------------------- */

static bool fail(const char *why)
{
	log_error("cannot take over: %s; the running slotgate goes on", why);
	return false;
}

static bool hear(struct predecessor *p, struct message *m)
{
	if (!packet_wait(p->fd, false, ANSWER_US))
		return fail("it does not answer");
	switch (message_receive(p->fd, m)) {
	case HEARD:
		break;
	case HEARD_NONSENSE:
		return fail("it does not keep to the protocol");
	default:
		return fail("it has closed the connection; its log says why");
	}
	if (!message_is(m, "no"))
		return true;
	fail(message_text(m, "why"));
	message_clear(m);
	return false;
}

static bool say(struct predecessor *p)
{
	say_end(&p->packet);
	while (!packet_send(p->fd, p->packet.at, p->packet.len, -1))
		if (errno != EAGAIN || !packet_wait(p->fd, true, ANSWER_US))
			return fail("it is gone");
	return true;
}

static bool take_listeners(struct predecessor *p)
{
	struct message m;
	for (bool more = true; more;) {
		if (!hear(p, &m))
			return false;
		more = message_is(&m, "listener");
		bool is_end = message_is(&m, "listening");
		if (more && m.fd >= 0 &&
		    !inherited_add(&p->gateway->inherited, message_take_fd(&m),
				   message_text(&m, "address"), message_listener_kind(&m)))
			log_warn("a listening socket of the running slotgate is not usable");
		message_clear(&m);
		if (!more && !is_end)
			return fail("it does not keep to the protocol");
	}
	return true;
}

bool upgrade_ask(struct gateway *gw)
{
	const char *path = gw->config->upgrade_socket;
	uid_t uid;
	if (!path)
		return fail("the configuration names no \"upgradeSocket\"");
	struct predecessor *p = gw->taking_over_from = mem_must_zalloc(sizeof(*p));
	p->gateway = gw;
	p->channel.io.fd = -1;
	list_init(&p->link);
	list_init(&p->adopted);
	map_init(&p->by_key);
	str_init(&p->packet);
	task_init(&p->reap, on_reap, p);
	p->fd = packet_connect(path);
	if (p->fd < 0) {
		log_error("cannot take over: no slotgate answers at upgradeSocket %s: %s", path,
			  strerror(errno));
		return false;
	}
	if (!packet_peer(p->fd, &p->pid, &uid) || (uid != geteuid() && geteuid() != 0))
		return fail("it runs as another user");
	say_begin(&p->packet, "hello");
	say_int(&p->packet, "protocol", UPGRADE_PROTOCOL);
	say_int(&p->packet, "pid", getpid());
	return say(p) && take_listeners(p);
}

/* --- taking over ----------------------------------------------------------------------------- */

static bool take_supervisor(struct predecessor *p, struct message *m)
{
	struct supervisor_state s = {
		.fd = message_take_fd(m),
		.pid = (pid_t)message_int(m, "pid", 0),
		.last_id = message_id(m, "lastId"),
	};
	return s.fd >= 0 && s.pid > 0 && supervisor_adopt(p->gateway->providers.supervisor, &s);
}

static bool take_state(struct predecessor *p)
{
	struct restoring r = {.gateway = p->gateway, .adopted = &p->adopted};
	struct message m;
	for (;;) {
		bool ok;
		if (!hear(p, &m))
			return false;
		if (message_is(&m, "state"))
			break;
		if (message_is(&m, "supervisor"))
			ok = take_supervisor(p, &m);
		else if (message_is(&m, "request"))
			ok = take_request(p, &m);
		else
			ok = restore(&r, &m);
		if (!ok)
			log_error("it says what makes no sense here: %s %s", m.say,
				  message_text(&m, "name"));
		message_clear(&m);
		if (!ok)
			return fail("its state cannot be taken in");
	}
	message_clear(&m);
	LIST_EACH(a, &p->adopted, struct adopted, link)
		if (!map_put(&p->by_key, a->key, a))
			return fail("out of memory");
	return true;
}

/* What it has told meanwhile comes before its last word. */
static bool wait_for_yours(struct predecessor *p)
{
	struct message m;
	for (bool more = true; more;) {
		if (!hear(p, &m))
			return false;
		more = !message_is(&m, "yours");
		if (more)
			take(p, &m);
		message_clear(&m);
	}
	return true;
}

bool upgrade_take(struct gateway *gw)
{
	struct predecessor *p = gw->taking_over_from;
	LIST_EACH(l, &gw->listeners, struct listener, link) {
		if (!l->is_kept)
			continue;
		say_listener(&p->packet, "kept", l);
		if (!say(p))
			return false;
	}
	say_begin(&p->packet, "ready");
	if (!say(p) || !take_state(p))
		return false;
	say_begin(&p->packet, "taken");
	if (!say(p) || !wait_for_yours(p))
		return false;
	int fd = p->fd;
	p->fd = -1;
	gw->taking_over_from = NULL;
	list_push_back(&gw->predecessors, &p->link);
	log_info("process %d has handed over to this one (%d)", (int)p->pid, (int)getpid());
	if (!channel_open(&p->channel, gw->loop, fd, on_channel, p))
		end_soon(p);
	if (!upgrade_listen(gw))
		log_error("the next upgrade will need a restart");
	return true;
}
