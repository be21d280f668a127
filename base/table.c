/* Objects by ids that are never used twice. */
#include "base/table.h"

#include "base/mem.h"

enum { FIRST_CAPACITY = 64 };

void table_init(struct table *t)
{
	*t = (struct table){0};
}

void table_release(struct table *t)
{
	mem_free(t->places);
	table_init(t);
}

static int grow(struct table *t)
{
	size_t capacity = t->capacity ? t->capacity * 2 : FIRST_CAPACITY;
	if (capacity > (size_t)1 << TABLE_PLACE_BITS)
		return 0;
	struct table_place *places = mem_resize(t->places, capacity * sizeof(*places));
	if (!places)
		return 0;
	for (size_t i = capacity; i-- > t->capacity;) {
		places[i] = (struct table_place){.next = t->free};
		t->free = i + 1;
	}
	t->places = places;
	t->capacity = capacity;
	return 1;
}

uint64_t table_add(struct table *t, void *object)
{
	if (!t->free && !grow(t))
		return 0;
	size_t at = t->free - 1;
	struct table_place *p = &t->places[at];
	t->free = p->next;
	p->id = (++t->serial << TABLE_PLACE_BITS) | at;
	p->object = object;
	t->count++;
	return p->id;
}

void table_remove(struct table *t, uint64_t id)
{
	if (!table_get(t, id))
		return;
	size_t at = id & (((size_t)1 << TABLE_PLACE_BITS) - 1);
	t->places[at] = (struct table_place){.next = t->free};
	t->free = at + 1;
	t->count--;
}
