/* Probes against a scripted server in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "activator/providers/probe.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/torture/failing.h"
#include "tests/unit/scripted_server.h"

enum { NO_ANSWER = -1 };

static struct probe_client client;
static struct scripted_server server;
static int answer;
static int64_t timeout_us; /* of what is asked */

static int set_up(void **state)
{
	(void)state;
	client.loop = loop_new();
	client.http = http_client_new(client.loop);
	assert_non_null(client.http);
	scripted_server_init(&server, client.loop);
	answer = NO_ANSWER;
	timeout_us = test_patience_us() / 4;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_client_free(client.http);
	scripted_server_release(&server);
	loop_free(client.loop);
	return 0;
}

static void on_answer(void *owner, enum pod_answer a)
{
	(void)owner;
	assert_int_equal(answer, NO_ANSWER);
	answer = (int)a;
	loop_stop(client.loop);
}

static int ready(enum check_kind kind)
{
	char path[] = "/ready";
	struct readiness_config c = {.kind = kind, .path = path, .timeout_us = timeout_us};
	answer = NO_ANSWER;
	assert_non_null(probe_readiness(&client, &server.address, &c, on_answer, NULL));
	assert_int_equal(answer, NO_ANSWER);
	memset(path, 'x', sizeof(path)); /* it was copied */
	loop_run(client.loop);
	return answer;
}

static int idle(const char *json_path, double equals)
{
	char path[] = "/progress";
	struct idle_config c = {
		.kind = CHECK_HTTP_GET,
		.path = path,
		.json_path = (char *)(uintptr_t)json_path,
		.equals = equals,
		.timeout_us = timeout_us,
	};
	answer = NO_ANSWER;
	assert_non_null(probe_idle(&client, &server.address, &c, on_answer, NULL));
	loop_run(client.loop);
	return answer;
}

static void a_2xx_is_ready(void **state)
{
	(void)state;
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_YES);
	assert_false(server.request.failed);
	assert_non_null(strstr(server.request.at, "GET /ready HTTP/1.1\r\n"));
	assert_int_equal(server.connections, 1);
	scripted_server_answer(&server, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_YES);
	scripted_server_answer(&server, "HTTP/1.1 503 Loading\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_NO);
	scripted_server_answer(&server, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
					"Location: /\r\n\r\n");
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_NO);
	scripted_server_answer(&server, "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nlong");
	server.close_after_answer = true;
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_NO); /* broke off */
	scripted_server_answer(&server, NULL);
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_NO);
	scripted_server_answer(&server, "220 smtp\r\n");
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_NO);
}

static void a_long_page_is_ready_too(void **state)
{
	(void)state;
	static char page[200000];
	strcpy(page, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
	memset(page + strlen(page), 'x', 100000);
	scripted_server_answer(&server, page);
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_YES);
}

static void a_connection_is_enough_for_tcp(void **state)
{
	(void)state;
	assert_int_equal(ready(CHECK_TCP_SOCKET), ANSWER_YES);
}

static void none_is_ready_at_once(void **state)
{
	(void)state;
	scripted_server_stop_listening(&server);
	assert_int_equal(ready(CHECK_NONE), ANSWER_YES);
}

static void a_closed_port_is_refused(void **state)
{
	(void)state;
	scripted_server_stop_listening(&server);
	assert_int_equal(ready(CHECK_TCP_SOCKET), ANSWER_REFUSED);
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_REFUSED);
	assert_int_equal(idle(NULL, 0), ANSWER_REFUSED);
}

static void silence_is_a_no(void **state)
{
	(void)state;
	server.silent = true;
	timeout_us = 100 * US_PER_MS;
	int64_t before = clock_now_us();
	assert_int_equal(ready(CHECK_HTTP_GET), ANSWER_NO);
	assert_true(clock_now_us() - before >= 50 * US_PER_MS); /* the loop's time may lag */
	assert_true(clock_now_us() - before < 3 * US_PER_S);
}

/* A full backlog does not answer a connect at all. */
static void an_unanswered_connect_is_a_no(void **state)
{
	(void)state;
	scripted_server_stop_listening(&server);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	struct sockaddr *sa = &server.address.sa;
	assert_int_equal(bind(listener, sa, server.address.len), 0);
	assert_int_equal(listen(listener, 0), 0);
	int first = net_connect(&server.address), second = net_connect(&server.address);
	usleep(1000);
	timeout_us = 100 * US_PER_MS;
	assert_int_equal(ready(CHECK_TCP_SOCKET), ANSWER_NO);
	close(first);
	close(second);
	close(listener);
}

static void json_tells_idle(void **state)
{
	(void)state;
	const char *head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
	const struct {
		const char *body, *path;
		double equals;
		int answer;
	} cases[] = {
		{"{\"state\": {\"job_count\": 0}}", "state.job_count", 0, ANSWER_YES},
		{"{\"state\": {\"job_count\": 1}}", "state.job_count", 0, ANSWER_NO},
		{"{\"state\": {\"job_count\": 2.5}}", "state.job_count", 2.5, ANSWER_YES},
		{"{\"state\": {\"job_count\": null}}", "state.job_count", 0, ANSWER_NO},
		{"{\"state\": {\"job_count\": \"0\"}}", "state.job_count", 0, ANSWER_NO},
		{"{\"state\": {\"job\": 0}}", "state.job_count", 0, ANSWER_NO},
		{"{\"state\": 0}", "state.job_count", 0, ANSWER_NO},
		{"[]", "state", 0, ANSWER_NO},
		{"0", "state", 0, ANSWER_NO},
		{"{\"state\": 0", "state", 0, ANSWER_NO},
		{"", "state", 0, ANSWER_NO},
		{"{\"state\": 1}", NULL, 0, ANSWER_YES},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[200];
		strcpy(text, head);
		strcat(text, cases[i].body);
		scripted_server_answer(&server, text);
		server.close_after_answer = true;
		assert_int_equal(idle(cases[i].path, cases[i].equals), cases[i].answer);
	}
	scripted_server_answer(&server,
			       "HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{\"a\":0}");
	assert_int_equal(idle("a", 0), ANSWER_NO); /* only a 200 is read */
	assert_int_equal(idle(NULL, 0), ANSWER_YES);
	scripted_server_answer(&server, "HTTP/1.1 500 Oops\r\nContent-Length: 7\r\n\r\n{\"a\":0}");
	assert_int_equal(idle(NULL, 0), ANSWER_NO);
}

static void nothing_to_ask_is_idle(void **state)
{
	(void)state;
	struct idle_config none = {.kind = CHECK_NONE};
	assert_non_null(probe_idle(&client, &server.address, &none, on_answer, NULL));
	loop_run(client.loop);
	assert_int_equal(answer, ANSWER_YES);
	assert_int_equal(server.connections, 0);
}

static void cancelled_ones_never_answer(void **state)
{
	(void)state;
	char path[] = "/ready";
	const enum check_kind kinds[] = {CHECK_NONE, CHECK_TCP_SOCKET, CHECK_HTTP_GET};
	server.silent = true;
	for (int i = 0; i < 3; i++) {
		struct readiness_config c = {
			.kind = kinds[i], .path = path, .timeout_us = US_PER_S};
		probe_cancel(probe_readiness(&client, &server.address, &c, on_answer, NULL));
		probe_cancel(NULL);
	}
	struct readiness_config c = {.kind = CHECK_HTTP_GET, .path = path, .timeout_us = US_PER_S};
	struct probe *asking = probe_readiness(&client, &server.address, &c, on_answer, NULL);
	while (!server.requests) { /* until the GET has come */
		ready(CHECK_TCP_SOCKET);
		answer = NO_ANSWER;
	}
	probe_cancel(asking);
	ready(CHECK_TCP_SOCKET);
}

/* The kernel may give a connect the very port that it connects to. In a network of its own this can
 * be brought about: there is but one port to choose. */
static bool enter_network_with_port(int port)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return false;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool up = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
	close(fd);
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
	if (!up || !f)
		return false;
	fprintf(f, "%d %d\n", port, port);
	return fclose(f) == 0;
}

static void a_connection_to_itself_is_refused(void **state)
{
	(void)state;
	enum { SKIPPED = 77 };
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		if (!enter_network_with_port(40000))
			_exit(SKIPPED);
		http_client_free(client.http);
		loop_free(client.loop);
		client.loop = loop_new();
		client.http = http_client_new(client.loop);
		net_parse("127.0.0.1:40000", &server.address);
		int fd = net_connect(&server.address); /* such a thing exists */
		bool exists = fd >= 0 && net_peer(fd) == NET_OPEN;
		struct linger at_once = {.l_onoff = 1}; /* or the port would stay taken */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
		bool ok = exists && ready(CHECK_TCP_SOCKET) == ANSWER_REFUSED &&
			  ready(CHECK_HTTP_GET) == ANSWER_REFUSED;
		/* And the port is free at once for the pod, even if it is not lenient. */
		fd = socket(AF_INET, SOCK_STREAM, 0);
		struct sockaddr *sa = &server.address.sa;
		ok = ok && bind(fd, sa, server.address.len) == 0 && listen(fd, 1) == 0;
		close(fd);
		http_client_free(client.http); /* valgrind looks at the child's end, too */
		loop_free(client.loop);
		_exit(ok ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void runs_out_of_memory_at_every_place(void **state)
{
	(void)state;
	char path[] = "/ready", json[] = "a";
	struct idle_config c = {
		.kind = CHECK_HTTP_GET, .path = path, .json_path = json, .timeout_us = timeout_us};
	for (int i = 0; i < 40; i++) {
		scripted_server_answer(&server,
				       "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":0}");
		answer = NO_ANSWER;
		mem_fail_after(i);
		if (probe_idle(&client, &server.address, &c, on_answer, NULL))
			loop_run(client.loop);
		mem_fail_after(-1);
		assert_true(answer == NO_ANSWER || answer == ANSWER_NO || answer == ANSWER_YES);
	}
	assert_int_equal(answer, ANSWER_YES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_2xx_is_ready),
		TEST(a_long_page_is_ready_too),
		TEST(a_connection_is_enough_for_tcp),
		TEST(none_is_ready_at_once),
		TEST(a_closed_port_is_refused),
		TEST(silence_is_a_no),
		TEST(an_unanswered_connect_is_a_no),
		TEST(json_tells_idle),
		TEST(nothing_to_ask_is_idle),
		TEST(cancelled_ones_never_answer),
		TEST(a_connection_to_itself_is_refused),
		TEST(runs_out_of_memory_at_every_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
