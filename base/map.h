/*
 * A small hash map from names to pointers, with open addressing. It owns neither: a name must live
 * as long as its entry.
 */
#ifndef SLOTGATE_BASE_MAP_H
#define SLOTGATE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map {
	struct map_entry *entries;
	size_t count, capacity; /* capacity: a power of two, or 0 */
};

void map_init(struct map *);
void map_release(struct map *);

/* Adds or replaces. False: no memory, and the map is as it was. */
bool map_put(struct map *, const char *name, void *value);
void *map_get(const struct map *, const char *name); /* NULL: not there */
void map_remove(struct map *, const char *name);     /* harmless if it is not there */

#endif
