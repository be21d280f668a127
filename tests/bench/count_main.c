/*
 * bench-count: the work of one request that needs no socket, for an instruction
 * counter: its head is parsed and routed, the pod's head is written, the pod's answer
 * is parsed and its headers chosen.
 *
 *	bench-count REQUESTS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/http/forward.h"
#include "gateway/router.h"

static const char request[] = "POST /sdapi/v1/txt2img HTTP/1.1\r\n"
			      "Host: sd.example.com\r\n"
			      "User-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0\r\n"
			      "Accept: application/json\r\n"
			      "Accept-Encoding: gzip, deflate\r\n"
			      "Accept-Language: en\r\n"
			      "Connection: keep-alive\r\n"
			      "Content-Type: application/json\r\n"
			      "Content-Length: 0\r\n"
			      "\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\n"
			     "date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
			     "server: uvicorn\r\n"
			     "content-length: 0\r\n"
			     "content-type: application/json\r\n"
			     "x-process-time: 3.1415\r\n"
			     "\r\n";
enum { KEPT_MAX = 64 };

static void die(const char *what)
{
	fprintf(stderr, "bench-count: %s\n", what);
	exit(1);
}

static const struct http_head *parse(struct http_parser *p, enum http_kind kind, const char *text,
				     size_t len)
{
	size_t used;
	http_parser_begin(p, kind, (struct http_limits){64 << 10, 128, 8 << 10}, NULL, NULL);
	if (http_parser_feed(p, text, len, &used) != HTTP_HEAD_END)
		die("a head was not understood");
	return http_parser_head(p);
}

static void one_request(struct exchange *x, struct http_parser *p, struct str *text)
{
	char id[REQUEST_ID_BYTES];
	struct http_header kept[KEPT_MAX];
	size_t used;
	const struct http_head *head = parse(p, HTTP_IS_REQUEST, request, sizeof(request) - 1);
	struct route route = router_find(x->gateway, x, head);
	forward_request_id(head, id);
	str_release(text); /* a head goes into a new one */
	str_init(text);
	forward_request_head(text, head, &route, x,
			     &(struct own_headers){id, &(struct told_trace){0}},
			     &(struct withheld){0});
	forward_request_framing(text, 0);
	if (http_parser_feed(p, "", 0, &used) != HTTP_END)
		die("a request did not end");
	head = parse(p, HTTP_IS_RESPONSE, answer, sizeof(answer) - 1);
	if (forward_answer_headers(head, kept, KEPT_MAX, false) < 4)
		die("headers were lost");
	if (http_parser_feed(p, "", 0, &used) != HTTP_END || text->failed)
		die("an answer did not end");
}

int main(int argc, char **argv)
{
	static const char config_text[] =
		"{\"listeners\": [{\"address\": \":8080\"}],"
		" \"services\": [{\"name\": \"sd\", \"pods\": {\"static\": [\"127.0.0.1:1\"]}}]}";
	static struct gateway gateway;
	struct net_address peer;
	struct str text;
	long requests = argc == 2 ? atol(argv[1]) : 0;
	if (requests < 1)
		die("usage: bench-count REQUESTS");
	str_init(&text);
	struct config *config = config_parse("bench", config_text, sizeof(config_text) - 1, &text);
	if (!config)
		die(text.at);
	struct backend backend = {.gateway = &gateway, .config = &config->services[0]};
	gateway.config = config;
	list_init(&gateway.backends);
	list_push_back(&gateway.backends, &backend.link);
	net_parse("192.0.2.7:1234", &peer);
	struct exchange x = {.peer = &peer, .version = "1.1", .gateway = &gateway};
	struct http_parser *parser = http_parser_new();
	if (!parser)
		die("no memory");
	for (long i = 0; i < requests; i++)
		one_request(&x, parser, &text);
	str_release(&text);
	config_drop(config);
	http_parser_free(parser);
	return 0;
}
