/*
 * An upgrade: a new process takes over from this one, and nothing is dropped. What the two say to
 * each other goes over `upgradeSocket`, one JSON object a packet, some with a descriptor:
 *
 *   new                                         old
 *   hello  (protocol, version, pid)        -->
 *                                          <--  listener (each, with its socket), listening
 *   (reads its configuration, opens what is missing)
 *   kept (each listener), ready            -->
 *                                               (freezes its ledgers)
 *                                          <--  supervisor, service, pod, slot, process, request...
 *                                          <--  state
 *   taken                                  -->
 *                                          <--  yours: from here on the new one decides
 *                                          <--  told (what became of a grant), request (with its
 *                                               stream), ended (a request, for the metrics), as long
 *                                               as the old one has clients
 *
 * Until `yours` the old process can take all of it back: a new one that ends, is too slow, speaks
 * another protocol or says `no` changes nothing. An old process that ends with grants that it has
 * not told the end of leaves them of unknown fate: their pods are quarantined.
 *
 * The old one keeps the connections to its clients, and to the pods that work for them, until they
 * end; what waits in it, or comes over a kept connection, it relays (relay.h). It may be handed
 * over from in its turn while one before it still drains: what that one says is passed on.
 */
#ifndef SLOTGATE_GATEWAY_UPGRADE_UPGRADE_H
#define SLOTGATE_GATEWAY_UPGRADE_UPGRADE_H

#include "gateway/gateway.h"
#include "gateway/upgrade/grant.h"

struct ending;
struct job;

/* --- the old process: upgrade_give.c --- */

/* Listens at upgradeSocket, if there is one. False: it cannot, and the log says why. */
bool upgrade_listen(struct gateway *);

/* SIGUSR2: starts this process's program anew, to take over. */
void upgrade_start(struct gateway *);
void upgrade_child_ended(struct gateway *); /* SIGCHLD */

/* Another process is about to have the ledgers: nothing may change them. */
bool upgrade_is_frozen(const struct gateway *);

/* This process is to stop: so there will be no other. */
void upgrade_refuse(struct gateway *);

/* Another process has the ledgers. */
bool upgrade_is_over(const struct gateway *);

/* Passes on what became of a grant, if that is so. */
void upgrade_tell(struct backend *, uint64_t grant, enum grant_event, const char *kind);

/* Has a request's end counted by that process. False: there is none. */
bool upgrade_tell_ending(struct backend *, const struct ending *);

/* A stream to the process that does this job. -1: there is none; logged. */
int upgrade_relay(struct gateway *, struct job *);

/* A request that the process before this one hands on, after this one has handed over
 * itself. False: it has not. */
struct message;
bool upgrade_pass_on(struct gateway *, struct message *);

/* Says what is still unsaid, and closes. */
void upgrade_end(struct gateway *);

/* --- the new process: upgrade_take.c --- */

/* Asks the running process for its listening sockets. False: it will not, and the log says why. */
bool upgrade_ask(struct gateway *);

/* All is open: takes the rest, and with it the place of that process. False: as before. */
bool upgrade_take(struct gateway *);

/* This process drains: those before it should end soon, too. */
void upgrade_drain_predecessors(struct gateway *);
void upgrade_forget_predecessors(struct gateway *); /* at the end */

#endif
