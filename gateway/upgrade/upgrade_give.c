/* An upgrade, seen from the old process: it offers, hands over, and
 * serves what it has to its end. */
#include "gateway/upgrade/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "activator/providers/supervisor.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "gateway/connection.h"
#include "gateway/job.h"
#include "gateway/listener.h"
#include "gateway/request.h"
#include "gateway/upgrade/upgrade_record.h"
#include "gateway/upgrade/upgrade_wire.h"

/* For the new process to start; and then, while nothing is granted, to take what it is given. */
static const int64_t START_US = 60 * US_PER_S, TAKE_US = 10 * US_PER_S;
static const int64_t SOON_US = 5 * US_PER_MS, LAST_WORDS_US = US_PER_S;

enum stage {
	ALONE,	 /* nobody asks */
	GREETED, /* somebody is connected */
	OFFERED, /* and has our listening sockets */
	FROZEN,	 /* and is ready; our ledgers stand still */
	OVER,	 /* it has them */
};

struct upgrade {
	struct gateway *gateway;
	struct io listener;
	ino_t inode; /* of the path's socket: somebody else's is not ours to remove */
	enum stage stage;
	struct channel channel;
	struct timer timer, soon;
	pid_t child; /* that was started for it; 0: none */
	pid_t peer;
	struct str packet;
};

static void move(struct upgrade *u, enum stage to)
{
	static const char *const names[] = {"alone", "greeted", "offered", "frozen", "over"};
	log_debug("upgrade: %s -> %s", names[u->stage], names[to]);
	u->stage = to;
}

bool upgrade_is_over(const struct gateway *gw)
{
	return gw->upgrade && gw->upgrade->stage == OVER;
}

bool upgrade_is_frozen(const struct gateway *gw)
{
	return gw->upgrade && gw->upgrade->stage == FROZEN;
}

/* --- taking it back -------------------------------------------------------------------------- */

static void thaw(struct upgrade *u)
{
	struct gateway *gw = u->gateway;
	supervisor_go_on(gw->providers.supervisor);
	LIST_EACH(b, &gw->backends, struct backend, link)
		activator_thaw(b->activator);
	LIST_EACH(j, &gw->job_list, struct job, link) {
		if (j->relay_fd >= 0)
			close(j->relay_fd);
		j->relay_fd = -1;
	}
}

static void give_up(struct upgrade *u, const char *why)
{
	if (u->stage == OVER) {
		log_error("the process that took over (%d) is gone: what it worked on for clients "
			  "of this one is lost",
			  (int)u->peer);
		channel_close(&u->channel);
		return;
	}
	log_error("no upgrade: %s; this process goes on as before", why);
	say_begin(&u->packet, "no");
	say_text(&u->packet, "why", why);
	say_end(&u->packet);
	channel_say(&u->channel, &u->packet, -1);
	channel_close(&u->channel);
	timer_clear(&u->timer);
	timer_clear(&u->soon);
	if (u->stage == FROZEN)
		thaw(u);
	move(u, ALONE);
}

void upgrade_refuse(struct gateway *gw)
{
	struct upgrade *u = gw->upgrade;
	if (u && u->stage != ALONE && u->stage != OVER)
		give_up(u, "slotgate was told to stop");
}

static bool say(struct upgrade *u, int fd)
{
	say_end(&u->packet);
	return channel_say(&u->channel, &u->packet, fd);
}

/* --- offering -------------------------------------------------------------------------------- */

static void offer(struct upgrade *u, const struct message *m)
{
	struct gateway *gw = u->gateway;
	int64_t protocol = message_int(m, "protocol", 0);
	bool said = true;
	if (protocol != UPGRADE_PROTOCOL) {
		give_up(u, "the new program speaks another version of the upgrade's protocol: "
			   "restart slotgate instead");
		return;
	}
	LIST_EACH(l, &gw->listeners, struct listener, link) {
		l->is_kept = false;
		say_listener(&u->packet, "listener", l);
		said = said && say(u, l->io.fd);
	}
	say_begin(&u->packet, "listening");
	if (!said || !say(u, -1))
		give_up(u, "the listening sockets could not be sent");
	else
		move(u, OFFERED);
}

static void keep(struct upgrade *u, const struct message *m)
{
	LIST_EACH(l, &u->gateway->listeners, struct listener, link) {
		if (l->is_kept || (int)l->kind != message_listener_kind(m) ||
		    strcmp(l->address, message_text(m, "address")) != 0)
			continue;
		l->is_kept = true;
		return;
	}
}

/* --- handing over ---------------------------------------------------------------------------- */

static bool say_supervisor(struct upgrade *u, const struct supervisor_state *s)
{
	if (s->fd < 0)
		return true;
	say_begin(&u->packet, "supervisor");
	say_int(&u->packet, "pid", s->pid);
	say_id(&u->packet, "lastId", s->last_id);
	return say(u, s->fd);
}

static void say_text_if(struct upgrade *u, const char *key, const char *text)
{
	if (text)
		say_text(&u->packet, key, text);
}

static void say_facts(struct upgrade *u, const struct job *j)
{
	const struct request *r = j->request;
	char peer[NET_TEXT_BYTES] = "127.0.0.1:0";
	if (r)
		net_format(r->exchange->peer, peer);
	say_begin(&u->packet, "request");
	say_text(&u->packet, "service", j->backend->name);
	say_text(&u->packet, "peer", peer);
	say_text_if(u, "tenant", r ? r->tenant : NULL);
	say_text_if(u, "tls", r ? exchange_tls(r->exchange) : NULL);
	say_text_if(u, "cipher", r ? exchange_cipher(r->exchange) : NULL);
	say_int(&u->packet, "begunUs", r ? r->begun_us : loop_now_us(u->gateway->loop));
}

/* A stream for a request that waits, so that it can keep its place. */
static bool say_waiting(struct upgrade *u, struct job *j)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	say_facts(u, j);
	say_int(&u->packet, "kind", j->ticket.kind);
	say_id(&u->packet, "order", j->ticket.order);
	say_int(&u->packet, "enqueuedUs", j->ticket.enqueued_us);
	j->relay_fd = ends[0];
	bool said = say(u, ends[1]);
	close(ends[1]);
	return said;
}

static bool say_all(struct upgrade *u, const struct supervisor_state *supervisor)
{
	struct gateway *gw = u->gateway;
	bool said = say_supervisor(u, supervisor);
	LIST_EACH(b, &gw->backends, struct backend, link)
		said = said && record_backend(&u->channel, &u->packet, b);
	LIST_EACH(j, &gw->job_list, struct job, link)
		if (said && j->ticket.state == TICKET_WAITING)
			said = say_waiting(u, j);
	say_begin(&u->packet, "state");
	return said && say(u, -1);
}

/* From here on nothing is decided, neither here nor there. */
static void freeze(struct upgrade *u)
{
	struct gateway *gw = u->gateway;
	struct supervisor_state supervisor;
	if (!supervisor_pause(gw->providers.supervisor, &supervisor)) {
		timer_set(&u->soon, loop_now_us(gw->loop) + SOON_US);
		return;
	}
	LIST_EACH(b, &gw->backends, struct backend, link)
		activator_settle(b->activator);
	LIST_EACH(b, &gw->backends, struct backend, link)
		activator_freeze(b->activator);
	move(u, FROZEN);
	timer_set(&u->timer, loop_now_us(gw->loop) + TAKE_US);
	if (!say_all(u, &supervisor))
		give_up(u, "its state could not be sent");
}

static void on_soon(void *owner)
{
	freeze(owner);
}

/* The listeners that it does not want are closed here, but for those who have connected already. */
static void close_listeners(struct gateway *gw)
{
	LIST_EACH(l, &gw->listeners, struct listener, link) {
		if (l->is_kept || l->kind != LISTENER_CLIENTS)
			listener_let_go(l);
		else
			listener_close(l);
	}
}

static void close_path(struct upgrade *u, bool remove)
{
	struct stat st;
	const char *path = u->gateway->config->upgrade_socket;
	if (u->listener.fd < 0 || !u->listener.loop)
		return;
	io_close(&u->listener);
	if (remove && stat(path, &st) == 0 && st.st_ino == u->inode)
		unlink(path);
}

/* It has taken all: from here on this process only finishes what it has. */
static void hand_over(struct upgrade *u)
{
	struct gateway *gw = u->gateway;
	say_begin(&u->packet, "yours");
	if (!say(u, -1)) {
		give_up(u, "the new process is gone");
		return;
	}
	move(u, OVER);
	timer_clear(&u->timer);
	log_info("process %d has taken over; this one finishes %zu jobs and %lld connections",
		 (int)u->peer, gw->jobs.count, (long long)gw->connection_count);
	close_path(u, false);
	LIST_EACH(b, &gw->backends, struct backend, link)
		activator_let_go(b->activator);
	supervisor_let_go(gw->providers.supervisor);
	close_listeners(gw);
	LIST_EACH(j, &gw->job_list, struct job, link)
		if (j->state == JOB_QUEUED && j->request && !j->ticket.is_awaited)
			job_relay(j);
	gateway_step_down(gw);
}

/* --- the channel ----------------------------------------------------------------------------- */

static void take(struct upgrade *u, const struct message *m)
{
	if (u->stage == GREETED && message_is(m, "hello"))
		offer(u, m);
	else if (u->stage == OFFERED && message_is(m, "kept"))
		keep(u, m);
	else if (u->stage == OFFERED && message_is(m, "ready"))
		freeze(u);
	else if (u->stage == FROZEN && message_is(m, "taken"))
		hand_over(u);
	else if (u->stage == OVER && message_is(m, "drain"))
		gateway_let_go(u->gateway);
	else if (message_is(m, "no"))
		give_up(u, message_text(m, "why"));
	else
		give_up(u, "the new process does not keep to the protocol");
}

static void on_channel(void *owner, unsigned what)
{
	struct upgrade *u = owner;
	if (what & IO_WRITE && !channel_flush(&u->channel)) {
		give_up(u, "the new process is gone");
		return;
	}
	while (channel_is_open(&u->channel)) {
		struct message m;
		enum heard heard = message_receive(u->channel.io.fd, &m);
		if (heard == HEARD_NOTHING)
			return;
		if (heard == HEARD)
			take(u, &m);
		else
			give_up(u, heard == HEARD_END ? "the new process ended"
						      : "the new process sent nonsense");
		message_clear(&m);
	}
}

static void on_timeout(void *owner)
{
	struct upgrade *u = owner;
	give_up(u, u->stage == FROZEN ? "the new process took too long to take over"
				      : "the new process took too long to start");
}

static void on_connection(void *owner, unsigned what)
{
	struct upgrade *u = owner;
	uid_t uid;
	(void)what;
	int fd = packet_accept(u->listener.fd);
	if (fd < 0)
		return;
	bool is_ours = packet_peer(fd, &u->peer, &uid) && (uid == geteuid() || uid == 0);
	if (!is_ours || u->stage != ALONE || u->gateway->draining) {
		log_warn("no upgrade: %s", !is_ours ? "another user's process asks for it"
						    : "one is under way, or slotgate is stopping");
		close(fd);
		return;
	}
	if (!channel_open(&u->channel, u->gateway->loop, fd, on_channel, u))
		return;
	move(u, GREETED);
	timer_set(&u->timer, loop_now_us(u->gateway->loop) + START_US);
}

/* --- what is told afterwards ----------------------------------------------------------------- */

void upgrade_tell(struct backend *b, uint64_t grant, enum grant_event e, const char *kind)
{
	struct upgrade *u = b->gateway->upgrade;
	/* Frozen too: it is in the state that was sent, and is read after that. */
	if (!u || u->stage < FROZEN || !channel_is_open(&u->channel))
		return;
	say_begin(&u->packet, "told");
	say_id(&u->packet, "backend", b->number);
	say_id(&u->packet, "grant", grant);
	say_text(&u->packet, "event", grant_event_name(e));
	if (kind)
		say_text(&u->packet, "kind", kind);
	if (!say(u, -1))
		give_up(u, "what became of a job could not be told");
}

bool upgrade_tell_ending(struct backend *b, const struct ending *e)
{
	struct upgrade *u = b->gateway->upgrade;
	if (!upgrade_is_over(b->gateway) || !channel_is_open(&u->channel))
		return false;
	record_ending(&u->packet, b->name, e);
	if (!say(u, -1))
		give_up(u, "how a request ended could not be told");
	return true;
}

int upgrade_relay(struct gateway *gw, struct job *j)
{
	struct upgrade *u = gw->upgrade;
	int ends[2];
	if (!channel_is_open(&u->channel) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	say_facts(u, j);
	bool said = say(u, ends[1]);
	close(ends[1]);
	if (said)
		return ends[0];
	close(ends[0]);
	return -1;
}

bool upgrade_pass_on(struct gateway *gw, struct message *m)
{
	struct upgrade *u = gw->upgrade;
	if (!upgrade_is_over(gw))
		return false;
	int fd = message_take_fd(m);
	say_begin(&u->packet, "request");
	say_text(&u->packet, "service", message_text(m, "service"));
	say_text(&u->packet, "peer", message_text(m, "peer"));
	say_text(&u->packet, "tenant", message_text(m, "tenant"));
	say_text(&u->packet, "tls", message_text(m, "tls"));
	say_text(&u->packet, "cipher", message_text(m, "cipher"));
	say_int(&u->packet, "begunUs", message_int(m, "begunUs", 0));
	say(u, fd);
	if (fd >= 0)
		close(fd);
	return true;
}

/* --- starting the new one -------------------------------------------------------------------- */

void upgrade_start(struct gateway *gw)
{
	struct upgrade *u = gw->upgrade;
	if (!u || !gw->config->upgrade_socket) {
		log_error("no upgrade: the configuration names no \"upgradeSocket\"");
		return;
	}
	if (u->child || u->stage != ALONE || gw->draining) {
		log_warn("no upgrade: one is under way, or slotgate is stopping");
		return;
	}
	char serve[] = "serve", option[] = "-c", take_over[] = "--take-over";
	char *program = (char *)(uintptr_t)gw->program, *path = (char *)(uintptr_t)gw->config_path;
	char *argv[] = {program, serve, option, path, take_over, NULL};
	sigset_t none, defaults;
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_t attributes;
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	int error = posix_spawnp(&u->child, program, NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		u->child = 0;
		log_error("no upgrade: cannot start %s: %s", program, strerror(error));
		return;
	}
	log_info("upgrade: started %s as process %d", program, (int)u->child);
}

void upgrade_child_ended(struct gateway *gw)
{
	struct upgrade *u = gw->upgrade;
	int status;
	if (!u || !u->child || waitpid(u->child, &status, WNOHANG) != u->child)
		return;
	if (u->stage < OVER)
		log_error("no upgrade: the new process %d %s %d; see its lines above",
			  (int)u->child, WIFEXITED(status) ? "exited with" : "was ended by signal",
			  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	u->child = 0;
}

/* --- life ------------------------------------------------------------------------------------ */

/* Who can write to the directory can put another socket there. */
static bool is_safe(const char *path)
{
	char directory[PACKET_PATH_MAX + 1] = "/";
	const char *slash = strrchr(path, '/');
	struct stat st;
	if (slash != path)
		memcpy(directory, path, (size_t)(slash - path));
	directory[slash == path ? 1 : slash - path] = '\0';
	if (stat(directory, &st) != 0) {
		log_error("upgradeSocket: %s: %s", directory, strerror(errno));
		return false;
	}
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		log_error("upgradeSocket: others can write to %s: give it a directory of its own "
			  "(owner: slotgate's user, mode 0700)",
			  directory);
		return false;
	}
	char in_the_way[PACKET_PATH_BYTES];
	if (packet_path_is_free(path, geteuid(), in_the_way))
		return true;
	log_error("upgradeSocket: %s is there and no socket of slotgate's user: remove it, or name "
		  "a path that is free",
		  in_the_way);
	return false;
}

bool upgrade_listen(struct gateway *gw)
{
	const char *path = gw->config->upgrade_socket;
	struct stat st;
	if (!path)
		return true;
	if (!is_safe(path))
		return false;
	struct upgrade *u = gw->upgrade = mem_must_zalloc(sizeof(*u));
	u->gateway = gw;
	u->channel.io.fd = u->listener.fd = -1;
	str_init(&u->packet);
	int fd = packet_listen(path);
	if (fd < 0 || stat(path, &st) != 0 ||
	    !io_open_level(&u->listener, gw->loop, fd, IO_READ, on_connection, u) ||
	    !timer_init(&u->timer, gw->loop, on_timeout, u) ||
	    !timer_init(&u->soon, gw->loop, on_soon, u)) {
		log_error("upgradeSocket: cannot listen on %s: %s", path, strerror(errno));
		return false;
	}
	u->inode = st.st_ino;
	return true;
}

void upgrade_end(struct gateway *gw)
{
	struct upgrade *u = gw->upgrade;
	if (!u)
		return;
	if (u->stage == OVER)
		channel_finish(&u->channel, LAST_WORDS_US);
	channel_close(&u->channel);
	close_path(u, u->stage != OVER);
	timer_release(&u->timer);
	timer_release(&u->soon);
	str_release(&u->packet);
	mem_free(u);
	gw->upgrade = NULL;
}
