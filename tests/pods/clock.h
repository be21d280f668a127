/* clock: the two clocks, in microseconds. */
#ifndef DEMO_POD_CLOCK_H
#define DEMO_POD_CLOCK_H

#include <stdint.h>
#include <time.h>

uint64_t clock_mono_us(void);
uint64_t clock_wall_us(void);
void clock_sleep_us(uint64_t us);
struct timespec clock_timespec(uint64_t us);

#endif
