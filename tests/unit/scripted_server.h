/*
 * An HTTP server for unit tests, in the tested loop: it answers each request with the text it was
 * told to, byte for byte.
 */
#ifndef SLOTGATE_TESTS_UNIT_SCRIPTED_SERVER_H
#define SLOTGATE_TESTS_UNIT_SCRIPTED_SERVER_H

#include <stdbool.h>

#include "base/list.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/str.h"

struct scripted_server {
	struct loop *loop;
	struct io listener;
	struct net_address address;
	struct list connections_open;
	char *answer;	    /* to every request; NULL: closes instead */
	struct str request; /* the last one, as it came */
	int connections, requests;
	bool silent;		      /* takes requests and says nothing */
	bool close_after_answer;      /* once */
	bool close_on_second_request; /* once: of a connection that has served one */
};

void scripted_server_init(struct scripted_server *, struct loop *);
void scripted_server_release(struct scripted_server *);
void scripted_server_answer(struct scripted_server *, const char *bytes);
void scripted_server_stop_listening(struct scripted_server *);
void scripted_server_close_connections(struct scripted_server *);

#endif
