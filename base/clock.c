/* Monotonic and wall time. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
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

/* Exactly so many digits; the text behind them, or NULL. */
static const char *take_digits(const char *text, int count, int *value)
{
	*value = 0;
	for (; text && count; count--, text++) {
		if (*text < '0' || *text > '9')
			return NULL;
		*value = *value * 10 + (*text - '0');
	}
	return text;
}

static const char *take_char(const char *text, const char *one_of)
{
	return text && *text && strchr(one_of, *text) ? text + 1 : NULL;
}

static const char *take_fraction(const char *text, int64_t *us)
{
	int64_t unit = US_PER_S / 10;
	const char *at = take_char(text, ".");
	*us = 0;
	if (!at)
		return text;
	if (*at < '0' || *at > '9')
		return NULL;
	for (; *at >= '0' && *at <= '9'; at++, unit /= 10)
		*us += unit * (*at - '0');
	return at;
}

static const char *take_offset(const char *text, int64_t *us)
{
	int hours, minutes;
	const char *at = take_char(text, "Zz");
	*us = 0;
	if (at)
		return at;
	at = take_digits(take_char(text, "+-"), 2, &hours);
	at = take_digits(take_char(at, ":"), 2, &minutes);
	if (!at || hours > 23 || minutes > 59)
		return NULL;
	*us = (hours * 60 + minutes) * 60 * US_PER_S * (*text == '-' ? -1 : 1);
	return at;
}

bool clock_parse(const char *text, int64_t *wall_us, bool *is_exact)
{
	struct tm tm = {0};
	int64_t fraction_us, offset_us;
	const char *at = take_digits(text, 4, &tm.tm_year);
	at = take_digits(take_char(at, "-"), 2, &tm.tm_mon);
	at = take_digits(take_char(at, "-"), 2, &tm.tm_mday);
	at = take_digits(take_char(at, "Tt "), 2, &tm.tm_hour);
	at = take_digits(take_char(at, ":"), 2, &tm.tm_min);
	at = take_digits(take_char(at, ":"), 2, &tm.tm_sec);
	const char *second = at;
	at = at ? take_fraction(at, &fraction_us) : NULL;
	const char *zone = at;
	at = at ? take_offset(at, &offset_us) : NULL;
	if (!at || *at || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*wall_us = (int64_t)timegm(&tm) * US_PER_S + fraction_us - offset_us;
	*is_exact = zone != second;
	return true;
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
