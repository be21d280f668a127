/* A hash map with linear probing and backward-shift deletion (Knuth, TAOCP 6.4, algorithm R). */
#include "base/map.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 16 };

struct map_entry {
	uint64_t hash; /* never 0 but for an empty entry */
	const char *name;
	void *value;
};

/* FNV-1a from a start that nobody outside knows: names may be clients' addresses, and those could
 * be chosen to collide. Never 0. */
static uint64_t hash_name(const char *name)
{
	static uint64_t start;
	if (!start && getrandom(&start, sizeof(start), GRND_NONBLOCK) != sizeof(start))
		start = UINT64_C(0xcbf29ce484222325); /* too early after the boot */
	uint64_t h = start;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return h | 1;
}

static size_t home_of(const struct map *m, uint64_t hash)
{
	return (size_t)(hash ^ (hash >> 32)) & (m->capacity - 1);
}

/* The name's entry, or the empty one where it would go. */
static struct map_entry *find(const struct map *m, uint64_t hash, const char *name)
{
	size_t at = home_of(m, hash);
	for (;; at = (at + 1) & (m->capacity - 1)) {
		struct map_entry *e = &m->entries[at];
		if (!e->hash || (e->hash == hash && strcmp(e->name, name) == 0))
			return e;
	}
}

static bool grow(struct map *m)
{
	struct map grown = {.count = m->count};
	grown.capacity = m->capacity ? m->capacity * 2 : FIRST_CAPACITY;
	grown.entries = mem_zalloc(grown.capacity * sizeof(*grown.entries));
	if (!grown.entries)
		return false;
	for (size_t i = 0; i < m->capacity; i++) {
		struct map_entry *e = &m->entries[i];
		if (e->hash)
			*find(&grown, e->hash, e->name) = *e;
	}
	mem_free(m->entries);
	*m = grown;
	return true;
}

/* Moves later entries of the run back over the hole, so that no probe stops early. */
static void close_hole(struct map *m, size_t hole)
{
	for (size_t at = hole;;) {
		at = (at + 1) & (m->capacity - 1);
		if (!m->entries[at].hash)
			break;
		size_t home = home_of(m, m->entries[at].hash);
		bool stays = hole <= at ? (home > hole && home <= at) : (home > hole || home <= at);
		if (stays)
			continue;
		m->entries[hole] = m->entries[at];
		hole = at;
	}
	m->entries[hole] = (struct map_entry){0};
}

void map_init(struct map *m)
{
	*m = (struct map){0};
}

void map_release(struct map *m)
{
	mem_free(m->entries);
	map_init(m);
}

bool map_put(struct map *m, const char *name, void *value)
{
	bool crowded = (m->count + 1) * 4 > m->capacity * 3;
	if (crowded && !grow(m))
		return false;
	uint64_t hash = hash_name(name);
	struct map_entry *e = find(m, hash, name);
	m->count += e->hash == 0;
	*e = (struct map_entry){hash, name, value};
	return true;
}

void *map_get(const struct map *m, const char *name)
{
	return m->count ? find(m, hash_name(name), name)->value : NULL;
}

void map_remove(struct map *m, const char *name)
{
	struct map_entry *e = m->count ? find(m, hash_name(name), name) : NULL;
	if (!e || !e->hash)
		return;
	m->count--;
	close_hole(m, (size_t)(e - m->entries));
}
