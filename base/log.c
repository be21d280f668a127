/* Log lines, buffered for a writing thread. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
	BUFFER_BYTES = 1 << 20,
	LINE_BYTES = 2048,
	GATHER_MS = 5, /* the writer lets lines gather for so long: one wake-up serves many */
};

/* One stream: lines gather in `filling` while the thread writes `writing`. */
struct stream {
	int fd; /* -1: off */
	char *filling, *writing;
	size_t len;
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stopping;
	struct stream log, access;
	uint64_t dropped, dropped_told;
} writer = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER,
	.log.fd = STDERR_FILENO,
	.access.fd = -1,
};

static _Atomic enum log_level threshold = LOG_INFO;
static bool access_is_on;

static void write_all(int fd, const char *at, size_t len)
{
	while (len) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			/* A non-blocking pipe that we inherited: wait a little for its reader. */
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
			continue;
		}
		if (n <= 0)
			return;
		at += n;
		len -= (size_t)n;
	}
}

/* Swaps a stream's buffers and writes out the full one. Called and returns with the mutex held. */
static void write_stream(struct stream *s)
{
	if (!s->len)
		return;
	char *full = s->filling;
	size_t len = s->len;
	int fd = s->fd;
	s->filling = s->writing;
	s->writing = full;
	s->len = 0;
	pthread_mutex_unlock(&writer.mutex);
	if (fd >= 0)
		write_all(fd, full, len);
	pthread_mutex_lock(&writer.mutex);
}

static bool has_lines(void)
{
	return writer.log.len || writer.access.len;
}

/* Called and returns with the mutex held. */
static void tell_dropped(void)
{
	if (writer.dropped == writer.dropped_told)
		return;
	char line[96];
	int n = snprintf(line, sizeof(line), "slotgate: %llu log lines dropped\n",
			 (unsigned long long)writer.dropped);
	writer.dropped_told = writer.dropped;
	pthread_mutex_unlock(&writer.mutex);
	write_all(STDERR_FILENO, line, (size_t)n);
	pthread_mutex_lock(&writer.mutex);
}

static void *write_lines(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&writer.mutex);
	while (!writer.stopping || has_lines()) {
		if (!has_lines()) {
			pthread_cond_wait(&writer.wake, &writer.mutex);
			if (writer.stopping)
				continue;
			pthread_mutex_unlock(&writer.mutex);
			nanosleep(&(struct timespec){.tv_nsec = GATHER_MS * 1000000L}, NULL);
			pthread_mutex_lock(&writer.mutex);
		}
		write_stream(&writer.log);
		write_stream(&writer.access);
		tell_dropped();
	}
	pthread_mutex_unlock(&writer.mutex);
	return NULL;
}

static void stream_init(struct stream *s)
{
	s->filling = mem_must_zalloc(BUFFER_BYTES);
	s->writing = mem_must_zalloc(BUFFER_BYTES);
}

static void stream_release(struct stream *s)
{
	mem_free(s->filling);
	mem_free(s->writing);
}

void log_start(void)
{
	stream_init(&writer.log);
	stream_init(&writer.access);
	/* Signals belong to the loop's thread. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	writer.stopping = false;
	writer.running = pthread_create(&writer.thread, NULL, write_lines, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void log_stop(void)
{
	if (!writer.running)
		return;
	pthread_mutex_lock(&writer.mutex);
	writer.stopping = true;
	pthread_cond_signal(&writer.wake);
	pthread_mutex_unlock(&writer.mutex);
	pthread_join(writer.thread, NULL);
	writer.running = false;
	stream_release(&writer.log);
	stream_release(&writer.access);
}

static void add_line(struct stream *s, const char *line, size_t len)
{
	if (!writer.running) {
		if (s->fd >= 0)
			write_all(s->fd, line, len);
		return;
	}
	pthread_mutex_lock(&writer.mutex);
	if (s->len + len > BUFFER_BYTES) {
		writer.dropped++;
	} else {
		bool first = !has_lines();
		memcpy(s->filling + s->len, line, len);
		s->len += len;
		if (first)
			pthread_cond_signal(&writer.wake);
	}
	pthread_mutex_unlock(&writer.mutex);
}

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_is_on(enum log_level level)
{
	return level >= threshold;
}

void log_write(enum log_level level, const char *format, ...)
{
	static const char *const names[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
	if (!log_is_on(level))
		return;
	char line[LINE_BYTES];
	char when[CLOCK_TEXT_BYTES];
	clock_format(clock_wall_us(), when);
	int head = snprintf(line, sizeof(line), "%s %s ", when, names[level]);
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, args);
	va_end(args);
	size_t len = (size_t)head + (n > 0 ? (size_t)n : 0);
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* What is logged can come from outside: a control byte must not forge a line. */
	for (size_t i = (size_t)head; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	add_line(&writer.log, line, len);
}

bool log_open_access(const char *where)
{
	bool on = strcmp(where, "off") != 0;
	int fd = -1;
	if (on && strcmp(where, "stdout") == 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else if (on)
		fd = open(where, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (on && fd < 0)
		return false;
	if (on && writer.access.fd >= 0) {
		/* The thread may be writing: put the new file under the number it knows. */
		dup3(fd, writer.access.fd, O_CLOEXEC);
		close(fd);
	} else if (on) {
		writer.access.fd = fd;
	}
	access_is_on = on;
	return true;
}

bool log_has_access(void)
{
	return access_is_on;
}

void log_access(const char *line, size_t len)
{
	if (log_has_access())
		add_line(&writer.access, line, len);
}

uint64_t log_dropped_lines(void)
{
	pthread_mutex_lock(&writer.mutex);
	uint64_t n = writer.dropped;
	pthread_mutex_unlock(&writer.mutex);
	return n;
}
