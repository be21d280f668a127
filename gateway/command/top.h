/*
 * `slotgate top`: the live state in a terminal, from an admin address.
 */
#ifndef SLOTGATE_GATEWAY_COMMAND_TOP_H
#define SLOTGATE_GATEWAY_COMMAND_TOP_H

/* The words behind "top"; the process's exit status. */
int top_run(int argc, char **argv);

#endif
