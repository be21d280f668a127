/* What must be true of every head that the parser lets through, whatever came in. */
#ifndef SLOTGATE_TESTS_FUZZ_HTTP_CHECK_H
#define SLOTGATE_TESTS_FUZZ_HTTP_CHECK_H

#include "gateway/http/http.h"

void check_request_head(const struct http_head *);
void check_http2_head(const struct http_head *); /* in the words of HTTP/1 */
void check_answer_head(const struct http_head *, bool answers_head);

/* A name and a value that can be written on a line of their own. */
void check_header(const struct http_header *);

/* Whether the Connection headers name it, worked out the slow way. */
bool check_is_nominated(const struct http_head *, struct slice name);

#endif
