/*
 * An intrusive min-heap of deadlines. Four children a node: shallower than a binary heap, and a
 * node's children share a cache line of pointers.
 *
 * Members embed a heap_node, which is on at most one heap. heap_reserve() is the only call that
 * allocates; reserve a place for each member when it is created, and adding can never fail.
 */
#ifndef SLOTGATE_BASE_HEAP_H
#define SLOTGATE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAP_ARITY = 4 };

struct heap_node {
	int64_t key;  /* the smallest comes first */
	size_t place; /* 1-based place in the heap; 0 = on none */
};

struct heap {
	struct heap_node **nodes;
	size_t count, capacity;
};

void heap_init(struct heap *);
void heap_release(struct heap *);

/* Makes room for `places` members in all. False: no memory, and the heap is as it was. */
bool heap_reserve(struct heap *, size_t places);

/* Adds the node with this key, or moves it if it is on the heap already. */
void heap_set(struct heap *, struct heap_node *, int64_t key);

/* Takes the node off; harmless if it is on no heap. */
void heap_remove(struct heap *, struct heap_node *);

static inline struct heap_node *heap_top(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}

/* Who stands below a member: no child's key is smaller. NULL: there is no i-th (i < HEAP_ARITY). */
static inline struct heap_node *heap_child(const struct heap *h, const struct heap_node *n,
					   size_t i)
{
	size_t at = (n->place - 1) * HEAP_ARITY + 1 + i;
	return at < h->count ? h->nodes[at] : NULL;
}

#define HEAP_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
