/* A four-way min-heap of deadlines. */
#include "base/heap.h"

#include <assert.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 16 };

void heap_init(struct heap *h)
{
	*h = (struct heap){0};
}

void heap_release(struct heap *h)
{
	mem_free(h->nodes);
	heap_init(h);
}

bool heap_reserve(struct heap *h, size_t places)
{
	if (places <= h->capacity)
		return true;
	size_t capacity = h->capacity ? h->capacity : FIRST_CAPACITY;
	while (capacity < places)
		capacity *= 2;
	struct heap_node **nodes = mem_resize(h->nodes, capacity * sizeof(*nodes));
	if (!nodes)
		return false;
	h->nodes = nodes;
	h->capacity = capacity;
	return true;
}

static void put(struct heap *h, size_t at, struct heap_node *n)
{
	h->nodes[at] = n;
	n->place = at + 1;
}

static void sift_up(struct heap *h, size_t at, struct heap_node *n)
{
	while (at > 0) {
		size_t parent = (at - 1) / HEAP_ARITY;
		if (h->nodes[parent]->key <= n->key)
			break;
		put(h, at, h->nodes[parent]);
		at = parent;
	}
	put(h, at, n);
}

static void sift_down(struct heap *h, size_t at, struct heap_node *n)
{
	for (;;) {
		size_t first = at * HEAP_ARITY + 1, least = first;
		if (first >= h->count)
			break;
		for (size_t c = first + 1; c < first + HEAP_ARITY && c < h->count; c++)
			if (h->nodes[c]->key < h->nodes[least]->key)
				least = c;
		if (h->nodes[least]->key >= n->key)
			break;
		put(h, at, h->nodes[least]);
		at = least;
	}
	put(h, at, n);
}

void heap_set(struct heap *h, struct heap_node *n, int64_t key)
{
	if (!n->place) {
		assert(h->count < h->capacity);
		n->key = key;
		sift_up(h, h->count++, n);
		return;
	}
	int64_t old = n->key;
	n->key = key;
	if (key < old)
		sift_up(h, n->place - 1, n);
	else
		sift_down(h, n->place - 1, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	if (!n->place)
		return;
	size_t at = n->place - 1;
	struct heap_node *last = h->nodes[--h->count];
	n->place = 0;
	if (last == n)
		return;
	if (at > 0 && last->key < h->nodes[(at - 1) / HEAP_ARITY]->key)
		sift_up(h, at, last);
	else
		sift_down(h, at, last);
}
