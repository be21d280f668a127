/*
 * Intrusive doubly linked lists. A state is a list: an object carries one link for each kind of
 * list that it can be on, and a list knows nothing of its members but those links.
 *
 * An initialised link points at itself, so removing an unlinked object is harmless and
 * list_is_linked() tells whether it is on a list.
 */
#ifndef SLOTGATE_BASE_LIST_H
#define SLOTGATE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* The first member of a list that is known not to be empty. */
#define LIST_FIRST(head, type, member) LIST_OWNER((head)->next, type, member)

/* Walks a list; the body may remove `it` itself, but no other member. */
#define LIST_EACH(it, head, type, member)                                                          \
	for (type *it = LIST_OWNER((head)->next, type, member),                                    \
		  *it##_next = LIST_OWNER(it->member.next, type, member);                          \
	     &it->member != (head);                                                                \
	     it = it##_next, it##_next = LIST_OWNER(it->member.next, type, member))

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline bool list_is_linked(const struct list *link)
{
	return link->next != link;
}

static inline void list_insert_before(struct list *at, struct list *link)
{
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}

static inline void list_push_front(struct list *head, struct list *link)
{
	list_insert_before(head->next, link);
}

static inline void list_push_back(struct list *head, struct list *link)
{
	list_insert_before(head, link);
}

static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

#endif
