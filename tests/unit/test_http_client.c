/* The HTTP client against a scripted server in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/loop.h"
#include "tests/torture/failing.h"
#include "tests/unit/scripted_server.h"

static struct loop *loop;
static struct http_client *client;
static struct scripted_server server;
static int calls;
static struct http_client_result last;
static char last_body[1024], last_text[256];

static int set_up(void **state)
{
	(void)state;
	loop = loop_new();
	client = http_client_new(loop);
	scripted_server_init(&server, loop);
	calls = 0;
	return !client;
}

static int tear_down(void **state)
{
	(void)state;
	http_client_free(client);
	scripted_server_release(&server);
	loop_free(loop);
	return 0;
}

static void on_answer(void *owner, const struct http_client_result *result)
{
	(void)owner;
	calls++;
	last = *result;
	assert_true(result->body.len < sizeof(last_body));
	memcpy(last_body, result->body.at, result->body.len);
	last_body[result->body.len] = '\0';
	strncpy(last_text, result->text, sizeof(last_text) - 1);
	loop_stop(loop);
}

static struct http_client_request get(const char *path)
{
	return (struct http_client_request){
		.address = &server.address,
		.path = path,
		.timeout_us = test_patience_us() / 4,
		.max_body_bytes = 100,
	};
}

static void ask(const struct http_client_request *r)
{
	int before = calls;
	assert_non_null(http_client_start(client, r, on_answer, NULL));
	assert_int_equal(calls, before); /* never from inside */
	loop_run(loop);
	assert_int_equal(calls, before + 1);
}

static void answers(void **state)
{
	(void)state;
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	struct http_client_request r = get("/a?b=c");
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_OK);
	assert_int_equal(last.status, 200);
	assert_string_equal(last_body, "hello");
	assert_false(server.request.failed);
	assert_non_null(strstr(server.request.at, "GET /a?b=c HTTP/1.1\r\n"));
	assert_non_null(strstr(server.request.at, "Connection: close\r\n"));
}

static void posts(void **state)
{
	(void)state;
	const char *const headers[] = {"X-One: 1", "content-type: application/json", NULL};
	scripted_server_answer(&server, "HTTP/1.1 204 No Content\r\n\r\n");
	struct http_client_request r = get("/interrupt");
	r.method = "POST";
	r.body = SLICE("{}");
	r.headers = headers;
	ask(&r);
	assert_int_equal(last.status, 204);
	assert_false(server.request.failed);
	assert_non_null(strstr(server.request.at, "POST /interrupt HTTP/1.1\r\n"));
	assert_non_null(strstr(server.request.at, "X-One: 1\r\n"));
	assert_non_null(strstr(server.request.at, "Content-Length: 2\r\n"));
	assert_null(strstr(server.request.at, "urlencoded"));
	assert_string_equal(strstr(server.request.at, "\r\n\r\n"), "\r\n\r\n{}");

	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	r.headers = NULL;
	r.body = SLICE("");
	ask(&r);
	assert_int_equal(last.status, 200);
	assert_non_null(strstr(server.request.at, "Content-Length: 0\r\n"));
	assert_null(strstr(server.request.at, "Content-Type"));
}

static void ignores_proxies_and_redirects(void **state)
{
	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	scripted_server_answer(&server, "HTTP/1.1 302 Found\r\nLocation: /b\r\n"
					"Content-Length: 0\r\n\r\n");
	struct http_client_request r = get("/a");
	ask(&r);
	unsetenv("http_proxy");
	assert_int_equal(last.status, 302);
	assert_int_equal(server.requests, 1);
}

static void tells_refusal_from_failure(void **state)
{
	(void)state;
	struct http_client_request r = get("/");
	scripted_server_answer(&server, "garbage\r\n\r\n");
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_OTHER);
	assert_int_equal(last.status, 0);
	assert_true(last_text[0]);
	scripted_server_answer(&server, NULL); /* closes without a byte */
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_OTHER);
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
	server.close_after_answer = true;
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_OTHER);
	assert_int_equal(last.status, 0);
	scripted_server_stop_listening(&server);
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_REFUSED);
}

static void is_bounded(void **state)
{
	(void)state;
	struct http_client_request r = get("/");
	r.max_body_bytes = 4;
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_TOO_LONG);
	assert_string_equal(last_text, "the answer is longer than allowed");
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	r.cut_body = true;
	ask(&r);
	assert_int_equal(last.status, 200);
	assert_string_equal(last_body, "hell");
	r.cut_body = false;
	r.max_body_bytes = 5;
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	ask(&r);
	assert_int_equal(last.status, 200);

	char *head = malloc(100000);
	strcpy(head, "HTTP/1.1 200 OK\r\n");
	for (size_t n = strlen(head); n < 90000; n += 20)
		strcpy(head + n, "X-Header: 012345678\n");
	strcat(head, "\r\n\r\n");
	scripted_server_answer(&server, head);
	ask(&r);
	free(head);
	assert_int_equal(last.error, HTTP_CLIENT_OTHER);
	assert_string_equal(last_text, "the answer's head is longer than allowed");
}

static void times_out(void **state)
{
	(void)state;
	struct http_client_request r = get("/");
	r.timeout_us = 30 * US_PER_MS;
	server.silent = true;
	int64_t before = clock_now_us();
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_TIMEOUT);
	assert_true(clock_now_us() - before >= 29 * US_PER_MS);
	assert_true(clock_now_us() - before < 5 * US_PER_S);
}

static void refuses_what_is_no_url(void **state)
{
	(void)state;
	struct http_client_request r = get("@example.com/");
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_OTHER);
	r = get("/");
	r.url = "https://127.0.0.1/";
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_OTHER);
	r.url = "file:///etc/passwd";
	ask(&r);
	assert_int_equal(last.error, HTTP_CLIENT_OTHER);
	char url[128], host[NET_TEXT_BYTES];
	net_format(&server.address, host);
	snprintf(url, sizeof(url), "http://%s/whole", host);
	r.url = url;
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	ask(&r);
	assert_int_equal(last.status, 200);
	assert_false(server.request.failed);
	assert_non_null(strstr(server.request.at, "GET /whole "));
}

static void keeps_connections_and_replaces_dead_ones(void **state)
{
	(void)state;
	const char *ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct http_client_request r = get("/");
	r.keep_alive = true;
	for (int i = 0; i < 3; i++) {
		scripted_server_answer(&server, ok);
		ask(&r);
		assert_int_equal(last.status, 200);
	}
	assert_int_equal(server.connections, 1);
	scripted_server_close_connections(&server); /* it is found closed before it is used */
	scripted_server_answer(&server, ok);
	ask(&r);
	assert_int_equal(last.status, 200);
	assert_int_equal(server.connections, 2);
	server.close_on_second_request = true; /* it closes as the request comes */
	scripted_server_answer(&server, ok);
	ask(&r);
	assert_int_equal(last.status, 200);
	assert_int_equal(server.connections, 3);
}

static void a_connection_can_be_handed_over(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = net_connect(&server.address);
		assert_true(fd >= 0);
		usleep(1000); /* the kernel connects; nobody accepts yet */
		scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
		struct http_client_request r = get("/");
		assert_non_null(http_client_start_on(client, fd, &r, on_answer, NULL));
		loop_run(loop);
		assert_int_equal(last.error, HTTP_CLIENT_OK);
		assert_int_equal(server.connections, i + 1);
		assert_int_equal(calls, i + 1);
	}
}

/* --- cancelling --- */

static struct http_exchange *victims[3];

static void on_first(void *owner, const struct http_client_result *result)
{
	(void)owner, (void)result;
	calls++;
	for (int i = 0; i < 3; i++)
		http_client_cancel(victims[i]);
	loop_stop(loop);
}

static void cancelled_ones_are_never_called_back(void **state)
{
	(void)state;
	struct http_client_request r = get("/");
	server.silent = true;
	http_client_cancel(http_client_start(client, &r, on_answer, NULL));
	http_client_cancel(NULL);
	r.timeout_us = 20 * US_PER_MS;
	struct http_client_request bad = get("no path");
	assert_non_null(http_client_start(client, &bad, on_first, NULL));
	victims[0] = http_client_start(client, &bad, on_answer, NULL); /* done, not called */
	victims[1] = http_client_start(client, &r, on_answer, NULL);
	victims[2] = http_client_start(client, &r, on_answer, NULL);
	loop_run(loop);
	assert_int_equal(calls, 1);
	ask(&r);
	assert_int_equal(calls, 2);
}

static void freeing_the_client_cancels(void **state)
{
	(void)state;
	struct http_client_request r = get("/");
	struct http_client_request bad = get("no path");
	http_client_start(client, &r, on_answer, NULL);
	http_client_start(client, &bad, on_answer, NULL);
	http_client_free(client);
	client = http_client_new(loop);
	assert_non_null(client);
	assert_int_equal(calls, 0);
	http_client_free(NULL);
}

static int made = -1;

static void on_connected(void *owner, const struct http_client_result *result)
{
	on_answer(owner, result);
	made = result->socket;
}

/* By name, and the socket is the caller's: nobody else holds it. */
static void only_connects(void **state)
{
	(void)state;
	char url[64], byte;
	struct http_client_request r = {
		.url = url, .timeout_us = test_patience_us() / 4, .only_connects = true};
	snprintf(url, sizeof(url), "http://localhost:%d/", net_port(&server.address));
	assert_non_null(http_client_start(client, &r, on_connected, NULL));
	loop_run(loop);
	assert_int_equal(last.error, HTTP_CLIENT_OK);
	assert_true(made >= 0);
	assert_int_equal(recv(made, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(net_peer(made), NET_OPEN);
	assert_int_equal(shutdown(made, SHUT_WR), 0);
	close(made);
	scripted_server_stop_listening(&server);
	assert_non_null(http_client_start(client, &r, on_connected, NULL));
	loop_run(loop);
	assert_int_equal(last.error, HTTP_CLIENT_REFUSED);
	assert_int_equal(made, -1);
}

static struct str pieces;
static struct http_exchange *streaming;
static int piece_status;

static void on_piece(void *owner, int status, struct slice bytes)
{
	(void)owner;
	piece_status = status;
	str_add(&pieces, bytes.at, bytes.len);
	if (slice_is(bytes, "leave")) {
		http_client_cancel(streaming);
		loop_stop(loop);
	}
}

static void hands_out_pieces(void **state)
{
	(void)state;
	struct http_client_request r = get("/watch");
	r.piece = on_piece;
	str_init(&pieces);
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
					"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	ask(&r);
	assert_int_equal(last.status, 200);
	assert_int_equal(last.body.len, 0);
	assert_non_null(pieces.at);
	assert_string_equal(pieces.at, "abcde");
	assert_int_equal(piece_status, 200);
	scripted_server_answer(&server, "HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\nleave");
	int before = calls;
	streaming = http_client_start(client, &r, on_answer, NULL);
	assert_non_null(streaming);
	loop_run(loop);
	assert_int_equal(calls, before); /* cancelled from inside its own piece */
	assert_int_equal(piece_status, 410);
	scripted_server_answer(&server, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
	ask(&r);
	assert_int_equal(piece_status, 201); /* the head alone is told */
	str_release(&pieces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(posts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ignores_proxies_and_redirects, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_refusal_from_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_connects, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hands_out_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(times_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_url, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keeps_connections_and_replaces_dead_ones, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_connection_can_be_handed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cancelled_ones_are_never_called_back, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(freeing_the_client_cancels, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
