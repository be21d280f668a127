/*
 * The pods of a Kubernetes service, by their UIDs, before a real ledger that does not scale: tests
 * say what the API says and ask who gets work. Pods are known by their names; one's uid is u-NAME.
 */
#ifndef SLOTGATE_TESTS_UNIT_KUBE_WORLD_H
#define SLOTGATE_TESTS_UNIT_KUBE_WORLD_H

#include "activator/providers/kubernetes_fleet.h"

extern struct service *service;
extern struct service_config config; /* one slot a pod */
extern struct kube_fleet fleet;	     /* of the service "sd" with port 7860; its pods are listed */
extern struct ticket ticket;
extern uint64_t grant; /* the last one */
extern int64_t now_us;

int world_set_up(void **state);
int world_tear_down(void **state);

/* Single quotes stand for double ones. */
void say(void (*what)(struct kube_fleet *, const struct json *), const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void pod_is(const char *name, const char *address, bool ready, const char *more_status);
void pod_goes(const char *name, bool deleted);
void slice_says(const char *name, const char *address, const char *conditions);
void settle(void);

void drain(void);	    /* carries out what the ledger has decided */
void let_pods_answer(void); /* asks all pods, so that those that get work are ready */
void start_job(void);

struct kube_member *member(const char *name); /* NULL: there is none */
struct kube_member *the(const char *name);
enum pod_state state_of(const char *name); /* POD_STATES: the ledger does not know it */

#endif
