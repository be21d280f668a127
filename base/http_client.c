/* HTTP requests over libcurl's multi interface: the only file that includes it. */
#include "base/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { IDLE_CONNECTIONS_MAX = 16, HEAD_BYTES_MAX = 64 << 10, RETRY_AFTER_MAX_S = 24 * 3600 };

struct http_client {
	struct loop *loop;
	CURLM *multi;
	struct timer timer;   /* libcurl's */
	struct task finisher; /* calls back for `done` */
	struct list active;   /* exchanges that libcurl has */
	struct list done;     /* exchanges that only wait for their callback */
	struct list arrived;  /* exchanges with a piece to hand out */
	struct list watches;  /* sockets that libcurl waits for */
	struct list spare;    /* watches to be used again */
};

struct http_exchange {
	struct list link; /* on active or done */
	struct list arrived_link;
	struct http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to; /* NULL: the URL says it */
	int connected;		       /* the caller's socket, until libcurl takes it; -1: none */
	int made;		       /* the socket that it only had to connect; -1: none */
	bool only_connects;
	http_client_fn *fn;
	http_client_piece_fn *piece;
	void *owner;
	struct str body; /* or what of it is to be handed out */
	size_t max_body_bytes, head_bytes;
	bool cut_body, is_cut, is_too_long;
	enum http_client_error error;
	int status;
	int64_t retry_after_us;
	const char *fault; /* found here; NULL: libcurl's text stands */
	char text[CURL_ERROR_SIZE];
};

/* A socket that libcurl waits for. It belongs to libcurl, which may close it before it says that
 * it has; io closes what it is given when it fails. So io has a duplicate of its own. */
struct watch {
	struct list link; /* on watches or spare */
	struct http_client *client;
	curl_socket_t socket;
	struct io io;
};

/* --- ends ---------------------------------------------------------------------------------- */

static void exchange_free(struct http_exchange *x)
{
	list_remove(&x->link);
	list_remove(&x->arrived_link);
	if (x->easy) {
		curl_multi_remove_handle(x->client->multi, x->easy);
		curl_easy_cleanup(x->easy);
	}
	curl_slist_free_all(x->headers);
	curl_slist_free_all(x->connect_to);
	if (x->connected >= 0)
		close(x->connected);
	if (x->made >= 0)
		close(x->made);
	str_release(&x->body);
	mem_free(x);
}

/* From now on it only waits for the end of the turn. */
static void finish(struct http_exchange *x, enum http_client_error error, const char *text)
{
	x->error = x->is_too_long ? HTTP_CLIENT_TOO_LONG : error;
	if (x->fault || !x->text[0]) /* libcurl's own text says more than its code's */
		snprintf(x->text, sizeof(x->text), "%s", x->fault ? x->fault : text);
	list_remove(&x->link);
	list_push_back(&x->client->done, &x->link);
	loop_defer(x->client->loop, &x->client->finisher);
}

/* The piece's owner may cancel it. */
static void hand_out_pieces(struct http_client *client)
{
	while (!list_is_empty(&client->arrived)) {
		struct http_exchange *x =
			LIST_FIRST(&client->arrived, struct http_exchange, arrived_link);
		struct str bytes = x->body;
		str_init(&x->body);
		list_remove(&x->arrived_link);
		x->piece(x->owner, x->status, (struct slice){bytes.at, bytes.len});
		str_release(&bytes);
	}
}

static void call_back(void *owner)
{
	struct http_client *client = owner;
	hand_out_pieces(client);
	while (!list_is_empty(&client->done)) {
		struct http_exchange *x = LIST_FIRST(&client->done, struct http_exchange, link);
		bool ok = x->error == HTTP_CLIENT_OK;
		struct http_client_result result = {
			.error = x->error,
			.status = ok ? x->status : 0,
			.body = {x->body.at ? x->body.at : "", ok ? x->body.len : 0},
			.text = ok ? "" : x->text,
			.retry_after_us = ok ? x->retry_after_us : 0,
			.socket = x->made,
		};
		x->made = -1;
		list_remove(&x->link); /* dead to its owner: what it cancels now are others */
		x->fn(x->owner, &result);
		exchange_free(x);
	}
}

static enum http_client_error error_of(CURLcode code, CURL *easy)
{
	long os_error = 0;
	switch (code) {
	case CURLE_OK:
		return HTTP_CLIENT_OK;
	case CURLE_OPERATION_TIMEDOUT:
		return HTTP_CLIENT_TIMEOUT;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
		return os_error == ECONNREFUSED ? HTTP_CLIENT_REFUSED : HTTP_CLIENT_OTHER;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PEER_FAILED_VERIFICATION:
		return HTTP_CLIENT_TLS;
	default:
		return HTTP_CLIENT_OTHER;
	}
}

/* libcurl closes the socket with its connection: what goes on is a duplicate. */
static void take_socket(struct http_exchange *x)
{
	curl_socket_t s = CURL_SOCKET_BAD;
	if (!curl_easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &s) && s != CURL_SOCKET_BAD)
		x->made = fcntl(s, F_DUPFD_CLOEXEC, 0);
	if (x->made < 0)
		x->fault = "no descriptor for a connection";
}

static int64_t retry_after_us(CURL *easy)
{
	curl_off_t s = 0;
	curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &s);
	if (s < 0)
		return 0;
	return (s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S) * US_PER_S;
}

static void collect(struct http_client *client)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(client->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		CURL *easy = message->easy_handle;
		CURLcode code = message->data.result; /* the message dies with the removal */
		char *private = NULL;
		long status = 0;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		struct http_exchange *x = (void *)private;
		x->status = (int)status;
		x->retry_after_us = retry_after_us(easy);
		if (x->is_cut && !x->fault)
			code = CURLE_OK;
		if (x->only_connects && code == CURLE_OK)
			take_socket(x);
		if (x->only_connects && x->fault)
			code = CURLE_COULDNT_CONNECT;
		finish(x, error_of(code, easy), curl_easy_strerror(code));
		curl_multi_remove_handle(client->multi, easy);
	}
}

/* --- libcurl's sockets and timer ------------------------------------------------------------ */

static void on_socket(void *owner, unsigned what)
{
	struct watch *w = owner;
	struct http_client *client = w->client;
	int mask = what & IO_READ ? CURL_CSELECT_IN : 0;
	mask |= what & IO_WRITE ? CURL_CSELECT_OUT : 0;
	int running;
	curl_multi_socket_action(client->multi, w->socket, mask, &running);
	collect(client);
}

static void on_timer(void *owner)
{
	struct http_client *client = owner;
	int running;
	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(client);
}

static struct watch *new_watch(struct http_client *client)
{
	if (list_is_empty(&client->spare)) {
		struct watch *w = mem_zalloc(sizeof(*w));
		if (!w)
			return NULL;
		list_init(&w->link);
		w->client = client;
		return w;
	}
	struct watch *w = LIST_FIRST(&client->spare, struct watch, link);
	list_remove(&w->link);
	return w;
}

static void forget(struct watch *w)
{
	io_close(&w->io);
	list_remove(&w->link);
	list_push_back(&w->client->spare, &w->link);
}

static bool watch_anew(struct http_client *client, curl_socket_t s, unsigned what)
{
	struct watch *w = new_watch(client);
	if (!w)
		return false;
	w->socket = s;
	list_push_back(&client->watches, &w->link);
	int own = fcntl(s, F_DUPFD_CLOEXEC, 0);
	if (own < 0 || !io_open_level(&w->io, client->loop, own, what, on_socket, w)) {
		w->io = (struct io){.fd = -1};
		forget(w);
		return false;
	}
	curl_multi_assign(client->multi, s, w);
	return true;
}

/* A watch may be forgotten inside its own callback: it is only put aside. */
static int on_wanted(CURL *easy, curl_socket_t s, int poll, void *arg, void *assigned)
{
	struct http_client *client = arg;
	struct watch *w = assigned;
	if (poll == CURL_POLL_REMOVE) {
		if (w)
			forget(w);
		curl_multi_assign(client->multi, s, NULL);
		return 0;
	}
	unsigned what = poll & CURL_POLL_IN ? IO_READ : 0;
	what |= poll & CURL_POLL_OUT ? IO_WRITE : 0;
	bool ok = w ? io_watch(&w->io, what) : watch_anew(client, s, what);
	char *private = NULL;
	if (!ok && curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) == CURLE_OK && private) {
		struct http_exchange *x = (void *)private;
		x->fault = "no memory or descriptor to watch a socket";
		finish(x, HTTP_CLIENT_OTHER, "");
	}
	return 0; /* -1 would end all exchanges for good */
}

/* libcurl counts from its own clock, which may be ahead of the loop's: never early, and never due
 * in the turn that sets it. */
static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
	(void)multi;
	struct http_client *client = arg;
	if (timeout_ms < 0)
		timer_clear(&client->timer);
	else
		timer_set(&client->timer, clock_now_us() + timeout_ms * US_PER_MS);
	return 0;
}

/* --- one exchange --------------------------------------------------------------------------- */

static void note_piece(struct http_exchange *x)
{
	long status = 0;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	x->status = (int)status;
	if (!list_is_linked(&x->arrived_link))
		list_push_back(&x->client->arrived, &x->arrived_link);
	loop_defer(x->client->loop, &x->client->finisher);
}

static size_t on_body(char *bytes, size_t one, size_t len, void *arg)
{
	(void)one;
	struct http_exchange *x = arg;
	size_t room = x->max_body_bytes - x->body.len;
	if (len > room && !x->cut_body) {
		x->fault = "the answer is longer than allowed";
		x->is_too_long = true;
		return 0;
	}
	x->is_cut = len > room;
	len = x->is_cut ? room : len;
	str_add(&x->body, bytes, len);
	if (x->body.failed)
		x->fault = "no memory for the answer";
	else if (x->piece)
		note_piece(x);
	return x->body.failed || x->is_cut ? 0 : len;
}

static size_t on_head(char *bytes, size_t one, size_t len, void *arg)
{
	(void)one;
	struct http_exchange *x = arg;
	x->head_bytes += len;
	if (x->piece && len && (bytes[0] == '\r' || bytes[0] == '\n'))
		note_piece(x); /* an answer that streams may say nothing for long */
	if (x->head_bytes <= HEAD_BYTES_MAX)
		return len;
	x->fault = "the answer's head is longer than allowed";
	return 0;
}

static curl_socket_t hand_over(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose, (void)address;
	struct http_exchange *x = arg;
	int fd = x->connected;
	x->connected = -1;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int say_connected(void *arg, curl_socket_t s, curlsocktype purpose)
{
	(void)arg, (void)s, (void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static bool add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (longer)
		*list = longer;
	return longer;
}

static bool set_headers(struct http_exchange *x, const struct http_client_request *r, bool keep)
{
	bool ok = true, typed = false;
	for (const char *const *h = r->headers; h && *h; h++) {
		ok &= add_line(&x->headers, *h);
		typed |= strncasecmp(*h, "content-type:", 13) == 0;
	}
	/* A name without a value takes away what libcurl would add. */
	if (!typed)
		ok &= add_line(&x->headers, "Content-Type:");
	ok &= add_line(&x->headers, "Expect:");
	if (!keep)
		ok &= add_line(&x->headers, "Connection: close");
	return ok && !curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
}

/* As a stream to the same pod would speak it. */
static bool set_tls(struct http_exchange *x, const struct tls_client_options *o)
{
	CURL *e = x->easy;
	bool checks = !o->trusts_anybody;
	return !curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https") &&
	       !curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       !curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, checks ? 1L : 0L) &&
	       !curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, checks ? 2L : 0L) &&
	       (!o->ca || (!curl_easy_setopt(e, CURLOPT_CAINFO, o->ca) &&
			   !curl_easy_setopt(e, CURLOPT_CAPATH, NULL))) &&
	       (!o->pair.certificate ||
		(!curl_easy_setopt(e, CURLOPT_SSLCERT, o->pair.certificate) &&
		 !curl_easy_setopt(e, CURLOPT_SSLKEY, o->pair.key)));
}

static bool set_blob(CURL *e, CURLoption option, struct slice pem)
{
	struct curl_blob blob = {(void *)(uintptr_t)pem.at, pem.len, CURL_BLOB_COPY};
	return !pem.len || !curl_easy_setopt(e, option, &blob);
}

static bool set_trust(struct http_exchange *x, const struct http_client_trust *t)
{
	CURL *e = x->easy;
	bool checks = !t->trusts_anybody;
	return !curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https") &&
	       !curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       !curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, checks ? 1L : 0L) &&
	       !curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, checks ? 2L : 0L) &&
	       (!t->ca.len || !curl_easy_setopt(e, CURLOPT_CAPATH, NULL)) &&
	       set_blob(e, CURLOPT_CAINFO_BLOB, t->ca) &&
	       set_blob(e, CURLOPT_SSLCERT_BLOB, t->certificate) &&
	       set_blob(e, CURLOPT_SSLKEY_BLOB, t->key);
}

/* A name that the pod must prove to be stands in the URL; where it is, is said beside it. */
static bool add_host(struct http_exchange *x, const struct http_client_request *r, struct str *url)
{
	char host[NET_TEXT_BYTES], to[NET_TEXT_BYTES + 2];
	const char *name = r->tls ? tls_client_options(r->tls)->name : NULL;
	net_format(r->address, host);
	if (!name) {
		str_add_text(url, host);
		return true;
	}
	str_printf(url, "%s:%d", name, net_port(r->address));
	snprintf(to, sizeof(to), "::%s", host);
	return add_line(&x->connect_to, to) &&
	       !curl_easy_setopt(x->easy, CURLOPT_CONNECT_TO, x->connect_to);
}

/* 1: done, 0: no memory, -1: not a URL. */
static int set_url(struct http_exchange *x, const struct http_client_request *r)
{
	if (r->url)
		return curl_easy_setopt(x->easy, CURLOPT_URL, r->url) == CURLE_OK;
	if (!r->path || r->path[0] != '/')
		return -1;
	struct str url;
	str_init(&url);
	str_add_text(&url, r->tls ? "https://" : "http://");
	bool ok = add_host(x, r, &url);
	str_add_text(&url, r->path);
	ok = ok && !url.failed && curl_easy_setopt(x->easy, CURLOPT_URL, url.at) == CURLE_OK;
	str_release(&url);
	return ok;
}

/* What is sent; GET is libcurl's default. */
static bool set_method(struct http_exchange *x, const struct http_client_request *r)
{
	if (!r->method || strcmp(r->method, "GET") == 0)
		return true;
	const char *body = r->body.at ? r->body.at : "";
	return !curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len) &&
	       !curl_easy_setopt(x->easy, CURLOPT_COPYPOSTFIELDS, body) &&
	       !curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

/* How, whatever is asked. */
static bool set_manner(struct http_exchange *x, int64_t timeout_us)
{
	int64_t ms = (timeout_us + US_PER_MS - 1) / US_PER_MS;
	long limit = ms < 1 ? 1 : ms > INT_MAX ? INT_MAX : (long)ms;
	CURL *e = x->easy;
	return !curl_easy_setopt(e, CURLOPT_PRIVATE, x) &&
	       !curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->text) &&
	       !curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) &&
	       !curl_easy_setopt(e, CURLOPT_PROXY, "") &&
	       !curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http") &&
	       !curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) &&
	       !curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	       !curl_easy_setopt(e, CURLOPT_USERAGENT, "slotgate") &&
	       !curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, limit) &&
	       !curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, limit) &&
	       !curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) &&
	       !curl_easy_setopt(e, CURLOPT_WRITEDATA, x) &&
	       !curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head) &&
	       !curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
}

static bool set_connection(struct http_exchange *x, bool keep)
{
	CURL *e = x->easy;
	if (x->only_connects) /* and it must not be closed before it was taken */
		return !curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L) &&
		       !curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	if (!keep && (curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L) ||
		      curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L)))
		return false;
	return x->connected < 0 || (!curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, hand_over) &&
				    !curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, x) &&
				    !curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, say_connected));
}

static struct http_exchange *new_exchange(struct http_client *client, int connected)
{
	struct http_exchange *x = mem_zalloc(sizeof(*x));
	if (!x) {
		if (connected >= 0)
			close(connected);
		return NULL;
	}
	list_init(&x->link);
	list_init(&x->arrived_link);
	x->client = client;
	x->connected = connected;
	x->made = -1;
	str_init(&x->body);
	x->easy = curl_easy_init();
	return x;
}

static struct http_exchange *start(struct http_client *client, int connected,
				   const struct http_client_request *r, http_client_fn *fn,
				   void *owner)
{
	bool keep = r->keep_alive && connected < 0;
	struct http_exchange *x = new_exchange(client, connected);
	if (!x)
		return NULL;
	x->fn = fn;
	x->owner = owner;
	x->max_body_bytes = r->max_body_bytes;
	x->cut_body = r->cut_body;
	x->piece = r->piece;
	x->only_connects = r->only_connects;
	int url = x->easy ? set_url(x, r) : 0;
	if (!url || !set_manner(x, r->timeout_us) ||
	    (r->tls && !set_tls(x, tls_client_options(r->tls))) ||
	    (r->trust && !set_trust(x, r->trust)) || !set_headers(x, r, keep) ||
	    !set_method(x, r) || !set_connection(x, keep)) {
		exchange_free(x);
		return NULL;
	}
	list_push_back(&client->active, &x->link);
	if (url < 0)
		x->fault = "the path does not begin with '/'";
	CURLMcode code = url < 0 ? CURLM_OK : curl_multi_add_handle(client->multi, x->easy);
	if (x->fault || code)
		finish(x, HTTP_CLIENT_OTHER, curl_multi_strerror(code));
	return x;
}

struct http_exchange *http_client_start(struct http_client *client,
					const struct http_client_request *r, http_client_fn *fn,
					void *owner)
{
	return start(client, -1, r, fn, owner);
}

struct http_exchange *http_client_start_on(struct http_client *client, int connected,
					   const struct http_client_request *r, http_client_fn *fn,
					   void *owner)
{
	return start(client, connected, r, fn, owner);
}

void http_client_cancel(struct http_exchange *x)
{
	if (x)
		exchange_free(x);
}

/* --- the client ----------------------------------------------------------------------------- */

static bool set_up(struct http_client *client)
{
	CURLM *m = client->multi = curl_multi_init();
	return m && timer_init(&client->timer, client->loop, on_timer, client) &&
	       !curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_wanted) &&
	       !curl_multi_setopt(m, CURLMOPT_SOCKETDATA, client) &&
	       !curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer_wanted) &&
	       !curl_multi_setopt(m, CURLMOPT_TIMERDATA, client) &&
	       !curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
}

struct http_client *http_client_new(struct loop *loop)
{
	struct http_client *client = mem_zalloc(sizeof(*client));
	if (!client)
		return NULL;
	client->loop = loop;
	task_init(&client->finisher, call_back, client);
	list_init(&client->active);
	list_init(&client->done);
	list_init(&client->arrived);
	list_init(&client->watches);
	list_init(&client->spare);
	curl_global_init(CURL_GLOBAL_NOTHING);
	if (set_up(client))
		return client;
	http_client_free(client);
	return NULL;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	while (!list_is_empty(&client->active))
		exchange_free(LIST_FIRST(&client->active, struct http_exchange, link));
	while (!list_is_empty(&client->done))
		exchange_free(LIST_FIRST(&client->done, struct http_exchange, link));
	if (client->multi)
		curl_multi_cleanup(client->multi);
	while (!list_is_empty(&client->watches))
		forget(LIST_FIRST(&client->watches, struct watch, link));
	while (!list_is_empty(&client->spare)) {
		struct watch *w = LIST_FIRST(&client->spare, struct watch, link);
		list_remove(&w->link);
		mem_free(w);
	}
	timer_release(&client->timer);
	task_cancel(&client->finisher);
	curl_global_cleanup();
	mem_free(client);
}
