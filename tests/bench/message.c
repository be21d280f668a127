/* HTTP/1.1 messages, read as cheaply as one can. */
#include "tests/bench/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t bench_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t bench_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void message_begin(struct message *m)
{
	m->used = 0;
	m->has_head = false;
	m->left = -1;
	m->head[0] = '\0';
}

static int64_t content_length(const char *head)
{
	static const char name[] = "content-length:";
	for (const char *line = strchr(head, '\n'); line; line = strchr(line, '\n')) {
		line++;
		if ((*line == 'c' || *line == 'C') && !strncasecmp(line, name, sizeof(name) - 1))
			return strtoll(line + sizeof(name) - 1, NULL, 10);
	}
	return 0;
}

/* The head is whole: what of the body came with it is taken off. False: more than this message. */
static bool end_head(struct message *m, const char *end)
{
	m->has_head = true;
	int64_t beyond = m->head + m->used - end;
	m->left = content_length(m->head) - beyond;
	return m->left >= 0;
}

static enum message_progress read_head(struct message *m, int fd, size_t most, size_t *got)
{
	size_t room = MESSAGE_HEAD_BYTES - m->used;
	if (room == 0)
		return MESSAGE_BAD;
	ssize_t n = recv(fd, m->head + m->used, most < room ? most : room, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? MESSAGE_NOTHING : MESSAGE_CLOSED;
	if (n == 0)
		return MESSAGE_CLOSED;
	*got = (size_t)n;
	m->used += (size_t)n;
	m->head[m->used] = '\0';
	const char *end = memmem(m->head, m->used, "\r\n\r\n", 4);
	if (!end)
		return MESSAGE_GOES_ON;
	if (!end_head(m, end + 4))
		return MESSAGE_BAD;
	return m->left == 0 ? MESSAGE_END : MESSAGE_GOES_ON;
}

/* MSG_TRUNC: TCP drops the bytes without copying them. */
static enum message_progress drop_body(struct message *m, int fd, size_t most, size_t *got)
{
	size_t wanted = most < (size_t)m->left ? most : (size_t)m->left;
	ssize_t n = recv(fd, NULL, wanted, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0)
		return errno == EAGAIN ? MESSAGE_NOTHING : MESSAGE_CLOSED;
	if (n == 0)
		return MESSAGE_CLOSED;
	*got = (size_t)n;
	m->left -= n;
	return m->left == 0 ? MESSAGE_END : MESSAGE_GOES_ON;
}

enum message_progress message_read(struct message *m, int fd, size_t most, size_t *got)
{
	*got = 0;
	return m->has_head ? drop_body(m, fd, most, got) : read_head(m, fd, most, got);
}

int message_status(const struct message *m)
{
	return strncmp(m->head, "HTTP/1.", 7) == 0 ? atoi(m->head + 9) : 0;
}

int64_t message_number(const struct message *m)
{
	const char *line_end = strchr(m->head, '\r'), *at = strstr(m->head, "?n=");
	return at && line_end && at < line_end ? strtoll(at + 3, NULL, 10) : -1;
}
