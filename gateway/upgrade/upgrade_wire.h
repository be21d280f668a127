/*
 * Inside an upgrade: packets of JSON, and the channel that two processes speak over.
 */
#ifndef SLOTGATE_GATEWAY_UPGRADE_UPGRADE_WIRE_H
#define SLOTGATE_GATEWAY_UPGRADE_UPGRADE_WIRE_H

#include "base/json.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/str.h"
#include "gateway/listener.h"

enum { UPGRADE_PROTOCOL = 2, UPGRADE_PACKET_BYTES = 16 << 10 };

/* --- saying --- */

struct channel {
	struct io io; /* closed: nobody is there */
	struct list outgoing;
};

/* Takes fd over, also if it fails (no memory). Reading is the owner's: see message_receive. */
bool channel_open(struct channel *, struct loop *, int fd, io_fn *, void *owner);
void channel_close(struct channel *); /* harmless on a closed one */
bool channel_is_open(const struct channel *);

/* Sends the packet now or when there is room, and clears it. `fd` (-1: none) stays the caller's.
 * False: the other end is gone, or memory is. */
bool channel_say(struct channel *, struct str *packet, int fd);
bool channel_flush(struct channel *); /* there is room again */

/* Waits until all is said, or nobody reads, or so long. */
void channel_finish(struct channel *, int64_t timeout_us);

/* A packet: {"say":"word" and members, then say_end. */
void say_begin(struct str *, const char *word);
void say_text(struct str *, const char *key, const char *text);
void say_int(struct str *, const char *key, int64_t);
void say_id(struct str *, const char *key, uint64_t); /* as text: JSON's numbers are too short */
void say_bool(struct str *, const char *key, bool);
void say_end(struct str *);

/* The same of a listener: which one it is. */
void say_listener(struct str *, const char *word, const struct listener *);

/* --- hearing --- */

struct message {
	struct json *json;
	const char *say;
	int fd; /* -1: none came with it, or it was taken */
};

enum heard { HEARD, HEARD_NOTHING, HEARD_END, HEARD_NONSENSE };

enum heard message_receive(int socket, struct message *);
void message_clear(struct message *);
int message_take_fd(struct message *);
bool message_is(const struct message *, const char *word);

/* A member; the fallback where it is missing, of another type, or out of range. */
const char *message_text(const struct message *, const char *key);
int64_t message_int(const struct message *, const char *key, int64_t fallback);
uint64_t message_id(const struct message *, const char *key);
bool message_bool(const struct message *, const char *key);
int message_listener_kind(const struct message *); /* of one that say_listener has made */

#endif
