/*
 * A table of objects that are known by id: what an answer that comes later holds instead of a
 * pointer. Ids grow and are never used again (40 bits of serial number above 24 of place), so a
 * late one finds nothing rather than somebody else, and the greater id is always the newer.
 */
#ifndef SLOTGATE_BASE_TABLE_H
#define SLOTGATE_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_place {
	uint64_t id; /* 0: free, and the next free place is in `next` */
	union {
		void *object;
		size_t next;
	};
};

struct table {
	struct table_place *places;
	size_t count, capacity, free; /* free: 1-based place of the first free one; 0 = none */
	uint64_t serial;
};

void table_init(struct table *);
void table_release(struct table *);

/* The object's new id; 0: no memory, or 16 million objects. */
uint64_t table_add(struct table *, void *object);
void table_remove(struct table *, uint64_t id); /* harmless if it is unknown */

enum { TABLE_PLACE_BITS = 24 };

/* NULL: unknown, or no more. */
static inline void *table_get(const struct table *t, uint64_t id)
{
	size_t place = id & (((size_t)1 << TABLE_PLACE_BITS) - 1);
	if (!id || place >= t->capacity || t->places[place].id != id)
		return NULL;
	return t->places[place].object;
}

#endif
