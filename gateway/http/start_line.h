/*
 * The first line of a message, byte by byte: "METHOD SP TARGET SP HTTP/1.x CRLF", or
 * "HTTP/1.x SP STATUS [SP REASON] CRLF". Nothing else is guessed to be one (RFC 9112, 3 and 4): not
 * two spaces, a tab, a bare LF, or a version that is nearly one. Methods are any tokens.
 *
 * An HTTP/1.2 to 1.9 is spoken to in 1.1 (RFC 9110, 2.5).
 */
#ifndef SLOTGATE_GATEWAY_HTTP_START_LINE_H
#define SLOTGATE_GATEWAY_HTTP_START_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum start_line_state {
	START_METHOD,
	START_TARGET,
	START_VERSION,
	START_STATUS_SPACE,
	START_STATUS,
	START_REASON_SPACE,
	START_REASON,
	START_CR,
	START_LF,
	START_DONE,
	START_BAD, /* `fault` and `fault_status` say why */
};

struct start_line {
	enum start_line_state state;
	bool is_answer;
	size_t at; /* bytes of what the state reads */
	size_t method_len, target_len, reason_len;
	size_t target_max_bytes;
	int major, minor, status;
	const char *fault;
	int fault_status; /* that a client which sent this is answered with */
};

void start_line_init(struct start_line *, bool is_answer, size_t target_max_bytes);

/* Takes bytes up to and with the line's end; returns how many. */
size_t start_line_take(struct start_line *, const char *bytes, size_t len);

#endif
