/* HTTP/2, the server's side, by nghttp2. */
#include "base/h2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "base/list.h"
#include "base/mem.h"

enum {
	CONNECTION_WINDOW_BYTES = 16 << 20,
	FRAME_BYTES = 16 << 10, /* the most that a frame carries, as nothing else is agreed */
	ANSWER_HEAD_MAX_BYTES = 2 << 20,
	HEAD_KEPT_BYTES = 4 << 10, /* of the memory for heads, between one and the next */
	/* A client may cancel what it asked for, but not as fast as it can ask (CVE-2023-44487). */
	RESETS_AT_ONCE = 500,
	RESETS_PER_S = 50,
	FAULTS_MAX = 100,      /* streams that it made us reset (CVE-2025-8671) */
	CONTINUATIONS_MAX = 8, /* of a head, beyond what it needs (CVE-2024-28182) */
	ACKS_MAX = 256,	       /* PINGs and SETTINGS that wait to be answered */
	QUEUED_MAX = 4000,     /* frames that wait to be sent, other than a body's */
	SETTINGS_MAX = 16,     /* entries in one frame */
	TRAILERS_MAX = 8,      /* headers behind an answer's body */
	/* Bytes that carry no message, beyond one for each seven that do: then it is a flood. */
	IDLE_BYTES_MAX = 1 << 20,
	IDLE_SHARE = 8,
};

struct h2_stream {
	struct list link;
	int32_t id;
	void *owner; /* NULL: its head has not come, or its owner hears of it no more */
	bool is_bad;
	struct trailer *trailer; /* of its answer; NULL: none */
};

/* Until the body before it has been fetched. */
struct trailer {
	struct str text;
	size_t count;
	struct h2_header headers[];
};

/* The one head that is coming: no other frame may come between its pieces. */
struct head {
	struct h2_stream *stream;  /* NULL: none is coming, or it ends a body and is dropped */
	struct str text;	   /* name, value, name, ... */
	struct h2_header *headers; /* their lengths; where they are is known in the end */
	size_t count, capacity;
	enum h2_head_fault fault;
};

struct h2 {
	nghttp2_session *session;
	struct h2_limits limits;
	const struct h2_handler *handler;
	void *owner;
	struct list streams;
	struct head head;
	uint64_t received_bytes, payload_bytes;
	int faults;
	bool is_winding_down, has_gone_away;
	const char *fault;
};

static void *alloc(size_t size, void *unused)
{
	(void)unused;
	return mem_alloc(size);
}

static void *zalloc(size_t n, size_t size, void *unused)
{
	(void)unused;
	return n && size > SIZE_MAX / n ? NULL : mem_zalloc(n * size);
}

static void *resize(void *p, size_t size, void *unused)
{
	(void)unused;
	return mem_resize(p, size);
}

static void release(void *p, void *unused)
{
	(void)unused;
	mem_free(p);
}

/* Notes what leaves the session unusable. */
static void note(struct h2 *h, int error)
{
	if (!h->fault && nghttp2_is_fatal(error))
		h->fault = nghttp2_strerror(error);
}

static struct h2_stream *stream_by_id(struct h2 *h, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h->session, id);
}

/* --- heads ----------------------------------------------------------------------------------- */

static void clear_head(struct head *head)
{
	if (head->text.capacity > HEAD_KEPT_BYTES) {
		str_release(&head->text);
		mem_free(head->headers);
		*head = (struct head){0};
	}
	str_clear(&head->text);
	head->stream = NULL;
	head->count = 0;
	head->fault = H2_HEAD_OK;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	int32_t id = frame->hd.stream_id;
	clear_head(&h->head);
	if (stream_by_id(h, id))
		return 0; /* a trailer */
	struct h2_stream *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	s->id = id;
	list_push_back(&h->streams, &s->link);
	nghttp2_session_set_stream_user_data(session, id, s);
	h->head.stream = s;
	return 0;
}

static bool make_room(struct head *head)
{
	enum { FIRST = 32 };
	if (head->count < head->capacity)
		return true;
	size_t capacity = head->capacity ? head->capacity * 2 : FIRST;
	struct h2_header *headers = mem_resize(head->headers, capacity * sizeof(*headers));
	if (!headers)
		return false;
	head->headers = headers;
	head->capacity = capacity;
	return true;
}

static enum h2_head_fault add_header(struct head *head, const struct h2_limits *limits,
				     struct slice name, struct slice value)
{
	if (head->count == limits->headers ||
	    head->text.len + name.len + value.len > limits->head_bytes)
		return H2_HEAD_TOO_LARGE;
	if (!make_room(head))
		return H2_HEAD_NO_MEMORY;
	str_add_slice(&head->text, name);
	str_add_slice(&head->text, value);
	head->headers[head->count++] =
		(struct h2_header){{NULL, name.len}, {NULL, value.len}, false};
	return head->text.failed ? H2_HEAD_NO_MEMORY : H2_HEAD_OK;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	(void)session, (void)frame, (void)flags;
	struct h2 *h = user;
	if (h->head.stream && !h->head.fault)
		h->head.fault = add_header(&h->head, &h->limits,
					   (struct slice){(const char *)name, name_len},
					   (struct slice){(const char *)value, value_len});
	return 0;
}

/* The text has stopped moving: now it is known where each name and value is. */
static void resolve(const char *at, struct h2_header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		headers[i].name.at = at;
		headers[i].value.at = at + headers[i].name.len;
		at += headers[i].name.len + headers[i].value.len;
	}
}

static void on_head_end(struct h2 *h, bool has_body)
{
	struct h2_stream *s = h->head.stream;
	struct h2_head head = {.fault = h->head.fault, .has_body = has_body};
	if (!head.fault) {
		resolve(h->head.text.at, h->head.headers, h->head.count);
		head.headers = h->head.headers;
		head.count = h->head.count;
	}
	s->owner = h->handler->head(h->owner, s->id, &head);
	clear_head(&h->head);
}

/* --- what comes ------------------------------------------------------------------------------ */

static void on_message_frame(struct h2 *h, const nghttp2_frame *frame)
{
	struct h2_stream *s = stream_by_id(h, frame->hd.stream_id);
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (!s)
		return;
	if (frame->hd.type == NGHTTP2_HEADERS)
		h->payload_bytes += frame->hd.length;
	if (h->head.stream == s)
		on_head_end(h, !ends);
	else if (ends && s->owner)
		h->handler->body_end(s->owner);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	(void)session;
	struct h2 *h = user;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		on_message_frame(h, frame);
		break;
	case NGHTTP2_PING:
		if (h->is_winding_down && frame->hd.flags & NGHTTP2_FLAG_ACK)
			h2_go_away(h);
		break;
	default:
		break;
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
		   size_t len, void *user)
{
	(void)flags;
	struct h2 *h = user;
	struct h2_stream *s = stream_by_id(h, id);
	h->payload_bytes += len;
	/* The connection's window is for all streams: one that is not read must not hold it. */
	note(h, nghttp2_session_consume_connection(session, len));
	if (s && s->owner)
		h->handler->body(s->owner, (const char *)bytes, len);
	return 0;
}

/* The stream is going to be reset. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
			    void *user)
{
	(void)session;
	struct h2 *h = user;
	struct h2_stream *s = stream_by_id(h, frame->hd.stream_id);
	h->faults += error != NGHTTP2_ERR_REFUSED_STREAM; /* it may not know our settings yet */
	if (s)
		s->is_bad = true;
	if (s && h->head.stream == s)
		clear_head(&h->head);
	return 0;
}

/* Left alone, nghttp2 would drop the header and go on: nobody should guess what was meant. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     const uint8_t *name, size_t name_len, const uint8_t *value,
			     size_t value_len, uint8_t flags, void *user)
{
	(void)session, (void)frame, (void)name, (void)name_len;
	(void)value, (void)value_len, (void)flags, (void)user;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void free_trailer(struct h2_stream *s)
{
	if (s->trailer)
		str_release(&s->trailer->text);
	mem_free(s->trailer);
	s->trailer = NULL;
}

static void free_stream(struct h2_stream *s)
{
	free_trailer(s);
	list_remove(&s->link);
	mem_free(s);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	(void)error;
	struct h2 *h = user;
	struct h2_stream *s = stream_by_id(h, id);
	if (!s)
		return 0;
	if (h->head.stream == s)
		clear_head(&h->head);
	if (s->owner)
		h->handler->closed(s->owner, s->is_bad ? H2_END_BAD_BODY : H2_END_CLIENT);
	nghttp2_session_set_stream_user_data(session, id, NULL);
	free_stream(s);
	return 0;
}

/* --- what goes ------------------------------------------------------------------------------- */

static void on_answer_sent(struct h2 *h, struct h2_stream *s)
{
	void *owner = s->owner;
	s->owner = NULL;
	h->handler->sent(owner);
	if (!nghttp2_session_get_stream_remote_close(h->session, s->id))
		note(h, nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id,
						  NGHTTP2_NO_ERROR));
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	(void)session;
	struct h2 *h = user;
	bool is_message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code && !h->fault)
		h->fault = nghttp2_http2_strerror(frame->goaway.error_code);
	if (!is_message || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	struct h2_stream *s = stream_by_id(h, frame->hd.stream_id);
	if (s && s->owner)
		on_answer_sent(h, s);
	return 0;
}

static nghttp2_nv nv(const struct h2_header *h)
{
	return (nghttp2_nv){(uint8_t *)h->name.at, (uint8_t *)h->value.at, h->name.len,
			    h->value.len,
			    h->is_unique ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
}

/* The body has been fetched: what follows is its end. */
static bool submit_trailer(struct h2 *h, struct h2_stream *s)
{
	nghttp2_nv list[TRAILERS_MAX];
	for (size_t i = 0; i < s->trailer->count; i++)
		list[i] = nv(&s->trailer->headers[i]);
	int error = nghttp2_submit_trailer(h->session, s->id, list, s->trailer->count);
	free_trailer(s);
	note(h, error);
	return !error;
}

static ssize_t on_fill(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t size,
		       uint32_t *flags, nghttp2_data_source *source, void *user)
{
	(void)session, (void)source;
	struct h2 *h = user;
	struct h2_stream *s = stream_by_id(h, id);
	bool is_last = false;
	size_t n = s && s->owner ? h->handler->fill(s->owner, (char *)bytes, size, &is_last) : 0;
	h->payload_bytes += n;
	if (!is_last)
		return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (!s->trailer)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	return submit_trailer(h, s) ? (ssize_t)n : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* --- the session ----------------------------------------------------------------------------- */

static nghttp2_session_callbacks *new_callbacks(void)
{
	nghttp2_session_callbacks *c;
	if (nghttp2_session_callbacks_new(&c))
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	return c;
}

static nghttp2_option *new_options(const struct h2_limits *limits)
{
	nghttp2_option *o;
	if (nghttp2_option_new(&o))
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
	nghttp2_option_set_max_settings(o, SETTINGS_MAX);
	nghttp2_option_set_max_continuations(o,
					     limits->head_bytes / FRAME_BYTES + CONTINUATIONS_MAX);
	nghttp2_option_set_max_send_header_block_length(o, ANSWER_HEAD_MAX_BYTES);
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS_AT_ONCE, RESETS_PER_S);
	return o;
}

static bool open_session(struct h2 *h)
{
	nghttp2_mem mem = {NULL, alloc, release, zalloc, resize};
	nghttp2_session_callbacks *callbacks = new_callbacks();
	nghttp2_option *options = new_options(&h->limits);
	int error = NGHTTP2_ERR_NOMEM;
	if (callbacks && options)
		error = nghttp2_session_server_new3(&h->session, callbacks, h, options, &mem);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(options);
	if (error)
		return false;
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->limits.streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->limits.window_bytes},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)h->limits.head_bytes},
	};
	return !nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
					sizeof(settings) / sizeof(*settings)) &&
	       !nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
						      CONNECTION_WINDOW_BYTES);
}

struct h2 *h2_new(const struct h2_limits *limits, const struct h2_handler *handler, void *owner)
{
	struct h2 *h = mem_zalloc(sizeof(*h));
	if (!h)
		return NULL;
	h->limits = *limits;
	h->handler = handler;
	h->owner = owner;
	list_init(&h->streams);
	if (!open_session(h)) {
		h2_free(h);
		return NULL;
	}
	return h;
}

void h2_free(struct h2 *h)
{
	if (!h)
		return;
	LIST_EACH(s, &h->streams, struct h2_stream, link)
		free_stream(s);
	str_release(&h->head.text);
	mem_free(h->head.headers);
	nghttp2_session_del(h->session);
	mem_free(h);
}

static const char *flood(const struct h2 *h)
{
	if (h->received_bytes / IDLE_SHARE > h->payload_bytes + IDLE_BYTES_MAX)
		return "a flood of frames that carry nothing";
	if (h->faults > FAULTS_MAX)
		return "too many malformed requests";
	if (nghttp2_session_get_outbound_queue_size(h->session) > QUEUED_MAX + h->limits.streams)
		return "too many frames to answer that are not read";
	return NULL;
}

void h2_feed(struct h2 *h, const char *bytes, size_t len)
{
	if (h->fault)
		return;
	h->received_bytes += len;
	ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, len);
	if (n < 0)
		note(h, (int)n);
	else
		h->fault = h->fault ? h->fault : flood(h);
	if (n == NGHTTP2_ERR_FLOODED || (n >= 0 && h->fault))
		nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

size_t h2_output(struct h2 *h, const char **bytes)
{
	const uint8_t *at = NULL;
	ssize_t n = nghttp2_session_mem_send(h->session, &at);
	*bytes = (const char *)at;
	if (n < 0)
		note(h, (int)n);
	return n > 0 ? (size_t)n : 0;
}

const char *h2_fault(const struct h2 *h)
{
	return h->fault;
}

/* --- answers --------------------------------------------------------------------------------- */

enum head_kind { HEAD_INTERIM, HEAD_ALONE, HEAD_WITH_BODY };

/* Hands a head to nghttp2, which copies it and lowers the names' case. */
static bool submit(struct h2 *h, int32_t stream, int status, const struct h2_header *headers,
		   size_t count, enum head_kind kind)
{
	char digits[16];
	nghttp2_data_provider body = {.read_callback = on_fill};
	nghttp2_nv *list = mem_alloc((count + 1) * sizeof(*list));
	if (!list)
		return false;
	snprintf(digits, sizeof(digits), "%03d", status);
	list[0] = nv(&(struct h2_header){SLICE(":status"), slice_of(digits), false});
	for (size_t i = 0; i < count; i++)
		list[i + 1] = nv(&headers[i]);
	int error = kind == HEAD_INTERIM
			    ? nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, stream, NULL,
						     list, count + 1, NULL)
			    : nghttp2_submit_response(h->session, stream, list, count + 1,
						      kind == HEAD_WITH_BODY ? &body : NULL);
	mem_free(list);
	note(h, error);
	return !error;
}

bool h2_respond(struct h2 *h, int32_t stream, int status, const struct h2_header *headers,
		size_t count, bool has_body)
{
	return submit(h, stream, status, headers, count, has_body ? HEAD_WITH_BODY : HEAD_ALONE);
}

bool h2_inform(struct h2 *h, int32_t stream, int status, const struct h2_header *headers,
	       size_t count)
{
	return submit(h, stream, status, headers, count, HEAD_INTERIM);
}

bool h2_trail(struct h2 *h, int32_t stream, const struct h2_header *headers, size_t count)
{
	struct h2_stream *s = stream_by_id(h, stream);
	struct trailer *t = s && count <= TRAILERS_MAX
				    ? mem_zalloc(sizeof(*t) + count * sizeof(*headers))
				    : NULL;
	if (!t)
		return false;
	free_trailer(s);
	s->trailer = t;
	t->count = count;
	for (size_t i = 0; i < count; i++) {
		str_add_slice(&t->text, headers[i].name);
		str_add_slice(&t->text, headers[i].value);
		t->headers[i] = headers[i];
	}
	if (t->text.failed) {
		free_trailer(s);
		return false;
	}
	resolve(t->text.at, t->headers, count);
	return true;
}

void h2_resume(struct h2 *h, int32_t stream)
{
	nghttp2_session_resume_data(h->session, stream); /* it fails where nothing is deferred */
}

void h2_consume(struct h2 *h, int32_t stream, size_t bytes)
{
	note(h, nghttp2_session_consume_stream(h->session, stream, bytes));
}

void h2_reset(struct h2 *h, int32_t stream)
{
	struct h2_stream *s = stream_by_id(h, stream);
	if (s)
		s->owner = NULL;
	note(h, nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, stream,
					  NGHTTP2_INTERNAL_ERROR));
}

/* --- the end --------------------------------------------------------------------------------- */

void h2_wind_down(struct h2 *h)
{
	if (h->is_winding_down)
		return;
	h->is_winding_down = true;
	note(h, nghttp2_submit_shutdown_notice(h->session));
	note(h, nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL));
}

bool h2_is_winding_down(const struct h2 *h)
{
	return h->is_winding_down;
}

void h2_go_away(struct h2 *h)
{
	if (h->has_gone_away)
		return;
	h->has_gone_away = true;
	note(h, nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
				      nghttp2_session_get_last_proc_stream_id(h->session),
				      NGHTTP2_NO_ERROR, NULL, 0));
}

bool h2_is_in_head(const struct h2 *h)
{
	return h->head.stream != NULL;
}

bool h2_is_over(const struct h2 *h)
{
	return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}
