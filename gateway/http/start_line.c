/* The first line of a message. */
#include "gateway/http/start_line.h"

#include "gateway/http/syntax.h"

/* No method is longer; what is, is answered as one that nobody knows. */
enum { METHOD_MAX_BYTES = 64, STATUS_DIGITS = 3 };

void start_line_init(struct start_line *l, bool is_answer, size_t target_max_bytes)
{
	*l = (struct start_line){.state = is_answer ? START_VERSION : START_METHOD,
				 .is_answer = is_answer,
				 .target_max_bytes = target_max_bytes};
}

static enum start_line_state bad(struct start_line *l, int status, const char *fault)
{
	l->fault_status = status;
	l->fault = fault;
	return START_BAD;
}

static enum start_line_state next(struct start_line *l, enum start_line_state state)
{
	l->at = 0;
	return state;
}

static enum start_line_state on_method(struct start_line *l, char byte)
{
	if (byte == ' ' && l->method_len)
		return next(l, START_TARGET);
	if (!syntax_is_token_byte(byte))
		return bad(l, 400, "the request's method is malformed");
	if (++l->method_len > METHOD_MAX_BYTES)
		return bad(l, 501, "the request's method is longer than any that is known");
	return START_METHOD;
}

static enum start_line_state on_target(struct start_line *l, char byte)
{
	if (byte == ' ' && l->target_len)
		return next(l, START_VERSION);
	if (byte == '\r' || byte == '\n')
		return bad(l, 400, "the request line does not end with HTTP/1.x");
	if (!syntax_is_target_byte(byte))
		return bad(l, 400, "the request target is malformed");
	if (++l->target_len > l->target_max_bytes)
		return bad(l, 414, "the request target is too long");
	return START_TARGET;
}

static enum start_line_state on_version(struct start_line *l, char byte)
{
	static const char pattern[] = "HTTP/#.#";
	char wanted = pattern[l->at++];
	bool is_digit = byte >= '0' && byte <= '9';
	if (wanted == '#' ? !is_digit : byte != wanted)
		return bad(l, 400, "the version is not HTTP/1.x");
	if (wanted == '#') {
		l->major = l->minor;
		l->minor = byte - '0';
	}
	if (l->at < sizeof(pattern) - 1)
		return START_VERSION;
	if (l->major != 1)
		return bad(l, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	if (l->minor > 1)
		l->minor = 1;
	return next(l, l->is_answer ? START_STATUS_SPACE : START_CR);
}

static enum start_line_state on_status(struct start_line *l, char byte)
{
	if (byte < '0' || byte > '9')
		return bad(l, 400, "the status is not of three digits");
	l->status = l->status * 10 + (byte - '0');
	if (++l->at < STATUS_DIGITS)
		return START_STATUS;
	if (l->status < 100)
		return bad(l, 400, "the status is below 100");
	return next(l, START_REASON_SPACE);
}

static enum start_line_state on_reason(struct start_line *l, char byte)
{
	if (byte == '\r')
		return START_LF;
	if (!syntax_is_text_byte(byte))
		return bad(l, 400, "the status line contains control bytes");
	l->reason_len++;
	return START_REASON;
}

static enum start_line_state step(struct start_line *l, char byte)
{
	switch (l->state) {
	case START_METHOD:
		return on_method(l, byte);
	case START_TARGET:
		return on_target(l, byte);
	case START_VERSION:
		return on_version(l, byte);
	case START_STATUS_SPACE:
		return byte == ' ' ? START_STATUS : bad(l, 400, "the version is malformed");
	case START_STATUS:
		return on_status(l, byte);
	case START_REASON_SPACE:
		/* Many leave the space out together with the reason. */
		if (byte == ' ')
			return START_REASON;
		return byte == '\r' ? START_LF : bad(l, 400, "the status is malformed");
	case START_REASON:
		return on_reason(l, byte);
	case START_CR:
		return byte == '\r' ? START_LF
				    : bad(l, 400, "the request line does not end with HTTP/1.x");
	case START_LF:
		return byte == '\n' ? START_DONE : bad(l, 400, "the first line has a bare CR");
	default:
		return START_BAD;
	}
}

size_t start_line_take(struct start_line *l, const char *bytes, size_t len)
{
	size_t at = 0;
	while (at < len && l->state != START_DONE && l->state != START_BAD)
		l->state = step(l, bytes[at++]);
	return at;
}
