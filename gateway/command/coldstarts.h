/*
 * `slotgate coldstarts`: where the last cold starts went, as waterfalls in a terminal, from an
 * admin address or from a file.
 */
#ifndef SLOTGATE_GATEWAY_COMMAND_COLDSTARTS_H
#define SLOTGATE_GATEWAY_COMMAND_COLDSTARTS_H

/* The words behind "coldstarts"; the process's exit status. */
int coldstarts_run(int argc, char **argv);

#endif
