/*
 * Two streams of lines: the log, for operators, on standard error; and the access log, on standard
 * output or in a file.
 *
 * Nobody waits for a log: lines go into a bounded buffer that a thread of its own writes out. If
 * the reader is too slow for that, lines are dropped and counted, and the log says how many.
 * Before log_start and after log_stop the log is written at once.
 */
#ifndef SLOTGATE_BASE_LOG_H
#define SLOTGATE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_start(void);
void log_stop(void); /* writes out what is left */
void log_set_level(enum log_level);
bool log_is_on(enum log_level);

void log_write(enum log_level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) (log_is_on(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

/* Where access lines go: "stdout", "off" or a file's path, opened for append; opening it again
 * (after a rotation) is what a reload does. False: errno says why, and it is as it was. */
bool log_open_access(const char *where);
bool log_has_access(void);

/* `line` ends with its newline. */
void log_access(const char *line, size_t len);

/* Lines lost to a slow reader since the start. */
uint64_t log_dropped_lines(void);

#endif
