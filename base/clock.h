/*
 * Time as 64-bit microseconds. Monotonic time starts at an arbitrary point and never wraps
 * (292,000 years); wall time is for people and never enters a computation.
 *
 * activator/core/ never reads a clock: it is told the time in each call.
 */
#ifndef SLOTGATE_BASE_CLOCK_H
#define SLOTGATE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_S  INT64_C(1000000)

int64_t clock_now_us(void);
int64_t clock_wall_us(void);
int64_t clock_thread_us(void); /* processor time of this thread: what it took, whoever else ran */

/* Writes a wall time as RFC 3339 with milliseconds ("2026-01-31T08:00:00.123Z"). */
enum { CLOCK_TEXT_BYTES = 32 };
void clock_format(int64_t wall_us, char text[CLOCK_TEXT_BYTES]);

/* Reads a wall time as RFC 3339 has it ("2026-01-31T08:00:00Z", also with a fraction or an offset).
 * `is_exact`: it has a fraction, and so says more than the second. False: it is none. */
bool clock_parse(const char *text, int64_t *wall_us, bool *is_exact);

/* The same as HTTP writes it ("Sat, 31 Jan 2026 08:00:00 GMT"). */
void clock_format_http(int64_t wall_us, char text[CLOCK_TEXT_BYTES]);

#endif
