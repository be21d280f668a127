/*
 * The keeper of one pod: a fork of the supervisor that starts the pod's leader, adopts what the
 * leader's descendants leave behind, and is done when all of them are dead.
 *
 *   SIGTERM  asks the leader's process group to end
 *   SIGUSR1  kills everything; also sent by the kernel when the supervisor dies
 *
 * Only the supervisor's process includes this.
 */
#ifndef SLOTGATE_ACTIVATOR_PROVIDERS_KEEPER_H
#define SLOTGATE_ACTIVATOR_PROVIDERS_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "activator/providers/supervisor_wire.h"

enum { KEEPER_STOP = 15 /* SIGTERM */, KEEPER_KILL = 10 /* SIGUSR1 */ };

/* What a keeper says through its pipe: LAUNCHED, then ENDED; or FAILED. Then the pipe ends. If it
 * ends without, the keeper was killed. */
enum keeper_word { KEEPER_LAUNCHED, KEEPER_FAILED, KEEPER_ENDED };

struct keeper_report {
	int32_t word;
	int32_t pid;	     /* LAUNCHED: the leader's */
	int32_t step, error; /* FAILED */
	int32_t status;	     /* ENDED */
};

/* Forks a keeper, whose signals must be blocked here. Its pid, and in *report the pipe to read; or
 * -1 and errno. The caller keeps `output`. */
pid_t keeper_start(const struct wire_start *, int output, int *report);

/* Calls for the children of this process, also those not yet reaped. One may be missed while others
 * end: ask again after each death. False: they cannot be listed. */
bool keeper_each_child(void (*fn)(pid_t));

/* Closes every descriptor from 3 up but these two. */
void keeper_close_all_but(int a, int b);

#endif
