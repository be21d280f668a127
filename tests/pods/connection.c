/* connection: serves one accepted socket, request after request. */
#include "pod.h"

#include <string.h>

#include "exchange.h"

/* For a connection that has not yet sent anything; uvicorn would wait for ever. */
#define FIRST_REQUEST_US (60 * UINT64_C(1000000))

typedef bool (*serve_one)(struct pod *pod, struct http_conn *conn, struct http_request *request);

static void reply_bad_request(struct http_conn *conn, struct http_request *request, int status)
{
	struct http_reply reply = {.status = status, .content_type = "text/plain; charset=utf-8"};

	request->keep_alive = false;
	conn->linger = true;
	buf_puts(&reply.body, "Invalid HTTP request received.");
	http_send_reply(conn, request, &reply);
	buf_release(&reply.body);
}

static void serve_all(struct pod *pod, int fd, int stop_fd, serve_one serve)
{
	struct http_conn conn;
	struct http_request request;
	uint64_t idle_us = FIRST_REQUEST_US;
	enum http_result result;
	int status;

	http_conn_init(&conn, fd, stop_fd);
	http_request_init(&request);
	do {
		result = http_read_head(&conn, &request, idle_us, &status);
		if (result == HTTP_BAD)
			reply_bad_request(&conn, &request, status);
		idle_us = pod->options.keep_alive_us;
	} while (result == HTTP_OK && serve(pod, &conn, &request));
	http_conn_release(&conn);
	http_request_release(&request);
}

static bool serve_audit_request(struct pod *pod, struct http_conn *conn,
				struct http_request *request)
{
	struct http_reply reply = {.status = 200, .content_type = "application/json"};
	int status;
	bool ok;

	if (http_read_body(conn, request, &status) != HTTP_OK)
		return false;
	if (strcmp(request->path, "/audit") == 0 && strcmp(request->method, "GET") == 0) {
		audit_json(&pod->audit, &reply.body);
	} else if (strcmp(request->path, "/audit/reset") == 0 &&
		   strcmp(request->method, "POST") == 0) {
		audit_reset(&pod->audit);
		buf_puts(&reply.body, "{}\n");
	} else {
		reply.status = 404;
		buf_puts(&reply.body, "{\"detail\":\"Not Found\"}\n");
	}
	ok = http_send_reply(conn, request, &reply) && request->keep_alive;
	buf_release(&reply.body);
	return ok;
}

void pod_serve(struct pod *pod, int fd)
{
	serve_all(pod, fd, pod->stop_fd, exchange_serve);
}

void pod_serve_audit(struct pod *pod, int fd)
{
	/* It answers to the very end, so that a test can watch the pod stop. */
	serve_all(pod, fd, -1, serve_audit_request);
}
