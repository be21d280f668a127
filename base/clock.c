/* Monotonic and wall time. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_thread_us(void)
{
	return read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

void clock_format(int64_t wall_us, char text[CLOCK_TEXT_BYTES])
{
	time_t s = (time_t)(wall_us / US_PER_S);
	struct tm tm;
	gmtime_r(&s, &tm);
	size_t n = strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, CLOCK_TEXT_BYTES - n, ".%03dZ", (int)(wall_us % US_PER_S / US_PER_MS));
}

/* Not by strftime: its names follow the locale. */
void clock_format_http(int64_t wall_us, char text[CLOCK_TEXT_BYTES])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t s = (time_t)(wall_us / US_PER_S);
	struct tm tm;
	gmtime_r(&s, &tm);
	snprintf(text, CLOCK_TEXT_BYTES, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
		 days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon,
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}
