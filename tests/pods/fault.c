/* fault: what a request's X-Demo-* headers ask the pod to do wrong. */
#include "fault.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

#define CRASH_STATUS 139 /* what a shell shows for a segmentation fault */

const char fault_help[] =
	"Request headers, for tests:\n"
	"  X-Demo-Time: TIME         this job's service time (0s = none)\n"
	"  X-Demo-Fault-After: TIME  how long into the job the connection fault strikes (0s)\n"
	"  X-Demo-Fault: LIST        comma-separated; at most one of the connection faults:\n"
	"    close-before-headers    close, with nothing answered\n"
	"    close-mid-headers       close in the middle of the answer's head\n"
	"    close-mid-body          close after half of the announced body\n"
	"    reset                   TCP reset\n"
	"    garbage                 answer bytes that are not HTTP, then close\n"
	"                            (after each of these five the GPU goes on computing to the\n"
	"                            job's end, and the audit counts the job as working)\n"
	"    hang                    the job computes until POST interrupt; not even SIGTERM\n"
	"                            ends it\n"
	"    no-answer               the job ends in time, the answer never comes; holds the\n"
	"                            connection until the client leaves or the pod stops\n"
	"    crash                   the process exits at once with 139\n"
	"    early-response          answer on the request's head, without reading its body and\n"
	"                            without computing, then close\n"
	"  and any of these, about how the answer is written:\n"
	"    status=NNN              the job computes, then answers this error\n"
	"    chunked                 chunked framing\n"
	"    until-close             neither length nor chunks: the close ends the body\n"
	"    slow-body=N             the body at N bytes per second (the GPU is free, the request\n"
	"                            still counts)\n"
	"    stream=N                instead of computing: N chunks of text/event-stream, one\n"
	"                            each 20ms, the GPU held until the last\n";

static const struct {
	const char *name;
	enum fault_kind kind;
} kinds[] = {
	{"close-before-headers", FAULT_CLOSE_BEFORE_HEADERS},
	{"close-mid-headers", FAULT_CLOSE_MID_HEADERS},
	{"close-mid-body", FAULT_CLOSE_MID_BODY},
	{"reset", FAULT_RESET},
	{"garbage", FAULT_GARBAGE},
	{"hang", FAULT_HANG},
	{"no-answer", FAULT_NO_ANSWER},
	{"crash", FAULT_CRASH},
	{"early-response", FAULT_EARLY_RESPONSE},
};

/* The number in "name=123" if `word` is that, else 0. */
static uint64_t number_of(const char *word, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0 || word[n] != '=' || !isdigit((unsigned char)word[n + 1]))
		return 0;
	return strtoull(word + n + 1, NULL, 10);
}

static bool parse_word(struct fault *f, const char *word)
{
	uint64_t n;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(word, kinds[i].name) != 0)
			continue;
		if (f->kind != FAULT_NONE)
			return false;
		f->kind = kinds[i].kind;
		return true;
	}
	if (strcmp(word, "chunked") == 0)
		f->framing = HTTP_CHUNKED;
	else if (strcmp(word, "until-close") == 0)
		f->framing = HTTP_UNTIL_CLOSE;
	else if ((n = number_of(word, "status")) >= 200 && n <= 599)
		f->status = (int)n;
	else if ((n = number_of(word, "slow-body")) > 0 && n <= UINT32_MAX)
		f->bytes_per_second = n;
	else if ((n = number_of(word, "stream")) > 0 && n <= 1000000)
		f->stream_chunks = n;
	else
		return false;
	return true;
}

static bool parse_list(struct fault *f, const char *list, struct buf *problem)
{
	char word[64];

	while (*(list += strspn(list, ", \t"))) {
		size_t n = strcspn(list, ", \t");

		if (n < sizeof(word)) {
			memcpy(word, list, n);
			word[n] = '\0';
		}
		if (n >= sizeof(word) || !parse_word(f, word)) {
			buf_printf(problem, "X-Demo-Fault: cannot do \"%.*s\"", (int)n, list);
			return false;
		}
		list += n;
	}
	return true;
}

static bool parse_time(const struct http_request *r, const char *name, bool *present, uint64_t *us,
		       struct buf *problem)
{
	const char *text = http_header(r, name);

	*present = text != NULL;
	if (!text || options_duration(text, us))
		return true;
	buf_printf(problem, "%s: \"%s\" is not a duration", name, text);
	return false;
}

bool fault_parse(struct fault *f, const struct http_request *r, struct buf *problem)
{
	const char *list = http_header(r, "x-demo-fault");
	bool has_after;

	*f = (struct fault){.framing = HTTP_LENGTH};
	return parse_time(r, "x-demo-time", &f->has_time, &f->time_us, problem) &&
	       parse_time(r, "x-demo-fault-after", &has_after, &f->after_us, problem) &&
	       (!list || parse_list(f, list, problem));
}

void fault_strike(const struct fault *f, struct http_conn *c, const struct http_request *r,
		  const struct http_reply *reply)
{
	static const char garbage[] = "\x16\x03\x01 this is not HTTP\r\n\r\n";
	struct buf bytes;

	buf_init(&bytes);
	if (f->kind == FAULT_CLOSE_MID_HEADERS || f->kind == FAULT_CLOSE_MID_BODY)
		http_format_head(&bytes, r, reply);
	switch (f->kind) {
	case FAULT_CLOSE_BEFORE_HEADERS:
		http_close(c);
		break;
	case FAULT_CLOSE_MID_HEADERS:
		http_write(c, bytes.data, bytes.len / 2);
		http_close(c);
		break;
	case FAULT_CLOSE_MID_BODY:
		buf_add(&bytes, reply->body.data, reply->body.len / 2);
		http_write(c, bytes.data, bytes.len);
		http_close(c);
		break;
	case FAULT_RESET:
		http_reset(c);
		break;
	case FAULT_GARBAGE:
		http_write(c, garbage, sizeof(garbage) - 1);
		http_close(c);
		break;
	case FAULT_CRASH:
		_exit(CRASH_STATUS);
	case FAULT_NONE:
	case FAULT_HANG:
	case FAULT_NO_ANSWER:
	case FAULT_EARLY_RESPONSE:
		break;
	}
	buf_release(&bytes);
}
