/* What an upgrade's packets look like. */
#include "gateway/upgrade/upgrade_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/packet.h"

struct outgoing {
	struct list link;
	int fd; /* -1: none */
	size_t len;
	char packet[];
};

/* --- the channel ----------------------------------------------------------------------------- */

bool channel_open(struct channel *c, struct loop *loop, int fd, io_fn *fn, void *owner)
{
	list_init(&c->outgoing);
	return io_open_level(&c->io, loop, fd, IO_READ, fn, owner);
}

bool channel_is_open(const struct channel *c)
{
	return c->io.loop && c->io.fd >= 0;
}

static void drop(struct outgoing *o)
{
	list_remove(&o->link);
	if (o->fd >= 0)
		close(o->fd);
	mem_free(o);
}

void channel_close(struct channel *c)
{
	if (!channel_is_open(c))
		return;
	io_close(&c->io);
	while (!list_is_empty(&c->outgoing))
		drop(LIST_FIRST(&c->outgoing, struct outgoing, link));
}

/* Too many descriptors on their way (ETOOMANYREFS) is a lack of room, too. */
static bool is_full(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == ETOOMANYREFS || error == ENOBUFS;
}

bool channel_flush(struct channel *c)
{
	while (!list_is_empty(&c->outgoing)) {
		struct outgoing *o = LIST_FIRST(&c->outgoing, struct outgoing, link);
		if (!packet_send(c->io.fd, o->packet, o->len, o->fd))
			return is_full(errno);
		drop(o);
	}
	io_watch(&c->io, IO_READ);
	return true;
}

static bool keep(struct channel *c, const struct str *packet, int fd)
{
	struct outgoing *o = mem_alloc(sizeof(*o) + packet->len);
	if (!o)
		return false;
	*o = (struct outgoing){.fd = -1, .len = packet->len};
	list_init(&o->link);
	if (fd >= 0 && (o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
		mem_free(o);
		return false;
	}
	memcpy(o->packet, packet->at, packet->len);
	list_push_back(&c->outgoing, &o->link);
	io_watch(&c->io, IO_READ | IO_WRITE);
	return true;
}

bool channel_say(struct channel *c, struct str *packet, int fd)
{
	bool said = false, fits = !packet->failed && packet->len <= UPGRADE_PACKET_BYTES;
	if (channel_is_open(c) && fits) {
		errno = EAGAIN;
		said = list_is_empty(&c->outgoing) &&
		       packet_send(c->io.fd, packet->at, packet->len, fd);
		if (!said && is_full(errno))
			said = keep(c, packet, fd);
	}
	str_clear(packet);
	return said;
}

void channel_finish(struct channel *c, int64_t timeout_us)
{
	int64_t until_us = clock_now_us() + timeout_us, left_us;
	while (channel_is_open(c) && channel_flush(c) && !list_is_empty(&c->outgoing) &&
	       (left_us = until_us - clock_now_us()) > 0)
		packet_wait(c->io.fd, true, left_us);
}

/* --- saying ---------------------------------------------------------------------------------- */

void say_begin(struct str *s, const char *word)
{
	str_clear(s);
	str_printf(s, "{\"say\":\"%s\"", word);
}

void say_text(struct str *s, const char *key, const char *text)
{
	str_printf(s, ",\"%s\":", key);
	str_add_json(s, text, strlen(text));
}

void say_int(struct str *s, const char *key, int64_t n)
{
	str_printf(s, ",\"%s\":%lld", key, (long long)n);
}

void say_id(struct str *s, const char *key, uint64_t id)
{
	str_printf(s, ",\"%s\":\"%llx\"", key, (unsigned long long)id);
}

void say_bool(struct str *s, const char *key, bool yes)
{
	str_printf(s, ",\"%s\":%s", key, yes ? "true" : "false");
}

void say_end(struct str *s)
{
	str_add_char(s, '}');
}

/* Older processes know the admin's from all others. */
void say_listener(struct str *s, const char *word, const struct listener *l)
{
	say_begin(s, word);
	say_text(s, "address", l->address);
	say_bool(s, "isAdmin", l->kind == LISTENER_ADMIN);
	say_int(s, "kind", l->kind);
}

/* --- hearing --------------------------------------------------------------------------------- */

enum heard message_receive(int socket, struct message *m)
{
	static char packet[UPGRADE_PACKET_BYTES];
	struct json_error error;
	*m = (struct message){.fd = -1};
	ssize_t n = packet_receive(socket, packet, sizeof(packet), &m->fd);
	if (n == 0)
		return HEARD_END;
	if (n < 0 && errno != EBADMSG)
		return errno == EAGAIN || errno == EWOULDBLOCK ? HEARD_NOTHING : HEARD_END;
	m->json = n > 0 ? json_parse(packet, (size_t)n, &error) : NULL;
	m->say = json_text(json_get(m->json, "say"));
	if (m->say)
		return HEARD;
	message_clear(m);
	return HEARD_NONSENSE;
}

void message_clear(struct message *m)
{
	if (m->fd >= 0)
		close(m->fd);
	json_free(m->json);
	*m = (struct message){.fd = -1};
}

int message_take_fd(struct message *m)
{
	int fd = m->fd;
	m->fd = -1;
	return fd;
}

bool message_is(const struct message *m, const char *word)
{
	return m->say && strcmp(m->say, word) == 0;
}

const char *message_text(const struct message *m, const char *key)
{
	const char *text = json_text(json_get(m->json, key));
	return text ? text : "";
}

int64_t message_int(const struct message *m, const char *key, int64_t fallback)
{
	double n;
	if (!json_number(json_get(m->json, key), &n) || fabs(n) > 9e15)
		return fallback;
	return (int64_t)n;
}

uint64_t message_id(const struct message *m, const char *key)
{
	return strtoull(message_text(m, key), NULL, 16);
}

bool message_bool(const struct message *m, const char *key)
{
	bool yes = false;
	return json_bool(json_get(m->json, key), &yes) && yes;
}

int message_listener_kind(const struct message *m)
{
	int is_admin = message_bool(m, "isAdmin") ? LISTENER_ADMIN : LISTENER_CLIENTS;
	return (int)message_int(m, "kind", is_admin);
}
