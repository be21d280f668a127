/* Counts connections by client address. */
#include "gateway/clients.h"

#include "base/mem.h"

struct client {
	int64_t connections;
	char name[NET_TEXT_BYTES];
};

int64_t clients_count(const struct map *clients, const struct net_address *address)
{
	char name[NET_TEXT_BYTES];
	net_format_client(address, name);
	const struct client *c = map_get(clients, name);
	return c ? c->connections : 0;
}

struct client *clients_enter(struct map *clients, const struct net_address *address)
{
	char name[NET_TEXT_BYTES];
	net_format_client(address, name);
	struct client *c = map_get(clients, name);
	if (c) {
		c->connections++;
		return c;
	}
	c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	*c = (struct client){.connections = 1};
	net_format_client(address, c->name);
	if (map_put(clients, c->name, c))
		return c;
	mem_free(c);
	return NULL;
}

void clients_leave(struct map *clients, struct client *c)
{
	if (!c || --c->connections)
		return;
	map_remove(clients, c->name);
	mem_free(c);
}
