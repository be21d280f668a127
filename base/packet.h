/*
 * Packets between processes of one machine: a SOCK_SEQPACKET socket, each packet with a descriptor
 * or without. Nothing here blocks but packet_wait.
 */
#ifndef SLOTGATE_BASE_PACKET_H
#define SLOTGATE_BASE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Sends one packet, with a descriptor (which stays the caller's) unless
 * that is -1. False: errno. */
bool packet_send(int socket, const void *packet, size_t len, int fd);

/* Receives one, with its descriptor or -1 (none came, or there was no room for it). 0: the other
 * end is gone; -1: errno, EBADMSG for a packet that is too long. */
ssize_t packet_receive(int socket, void *packet, size_t capacity, int *fd);

/* Until there is something to read (or, with `to_write`, room to write).
 * False: not in this time. */
bool packet_wait(int socket, bool to_write, int64_t timeout_us);

/* Listens on, or connects to, the socket at this path; non-blocking. The new socket belongs to this
 * user alone (mode 0600), and takes the place of an older one at once. -1: errno. */
int packet_listen(const char *path);
int packet_connect(const char *path);
int packet_accept(int listener);

/* Of the path: a listener is made beside it first, as PATH.new. */
enum { PACKET_PATH_BYTES = 108, PACKET_PATH_MAX = PACKET_PATH_BYTES - 1 - 4 };

#define PACKET_ANY_OWNER ((uid_t)-1)

/* Whether there is nothing at these two paths but sockets of this user, which packet_listen will
 * replace. False: what is in its way. */
bool packet_path_is_free(const char *path, uid_t owner, char in_the_way[PACKET_PATH_BYTES]);

/* Who is at the other end. False: errno. */
bool packet_peer(int socket, pid_t *pid, uid_t *uid);

#endif
