/* HTTP/2, the server's side, by nghttp2. */
#include "base/h2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "base/list.h"
#include "base/mem.h"

enum {
	CONNECTION_WINDOW_BYTES = 16 << 20,
	NV_MAX = 256,
	/* A client may cancel what it asked for, but not as fast as it can ask (CVE-2023-44487). */
	RESETS_AT_ONCE = 500,
	RESETS_PER_S = 50,
	CONTINUATIONS_MAX = 8, /* of a head; CVE-2024-28182 */
	ACKS_MAX = 256,	       /* PINGs and SETTINGS that wait to be answered */
	SETTINGS_MAX = 16,     /* entries in one frame */
	/* Bytes that carry no message, beyond one for each seven that do: then it is a flood. */
	IDLE_BYTES_MAX = 1 << 20,
	IDLE_SHARE = 8,
};

struct h2_stream {
	struct list link;
	int32_t id;
	void *owner; /* NULL: its head has not come */
	struct str text;
	struct h2_header *headers;
	size_t *lengths; /* while text grows: name, value, name, ... */
	size_t count;
	enum h2_head_fault fault;
	bool is_bad, is_sent;
};

struct h2 {
	nghttp2_session *session;
	struct h2_limits limits;
	const struct h2_handler *handler;
	void *owner;
	struct list streams;
	struct h2_stream *in_head; /* whose head is coming */
	bool is_trailer;	   /* the head that is coming ends a body: it is dropped */
	uint64_t received_bytes, payload_bytes;
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

/* --- heads ----------------------------------------------------------------------------------- */

static void release_head(struct h2_stream *s)
{
	str_release(&s->text);
	mem_free(s->headers);
	mem_free(s->lengths);
	s->headers = NULL;
	s->lengths = NULL;
	s->count = 0;
}

static void fail_head(struct h2_stream *s, enum h2_head_fault fault)
{
	s->fault = fault;
	release_head(s);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	int32_t id = frame->hd.stream_id;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	h->is_trailer = s != NULL;
	if (s)
		return 0;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	s->id = id;
	list_push_back(&h->streams, &s->link);
	nghttp2_session_set_stream_user_data(session, id, s);
	h->in_head = s;
	return 0;
}

static bool make_room(struct h2_stream *s)
{
	enum { FIRST = 32 };
	if (s->count && (s->count < FIRST || s->count & (s->count - 1)))
		return true; /* doubled when it is a power of two */
	size_t capacity = s->count ? s->count * 2 : FIRST;
	size_t *lengths = mem_resize(s->lengths, 2 * capacity * sizeof(*lengths));
	if (lengths)
		s->lengths = lengths;
	return lengths != NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	(void)session, (void)frame, (void)flags;
	struct h2 *h = user;
	struct h2_stream *s = h->in_head;
	if (h->is_trailer || !s || s->fault)
		return 0;
	if (s->count == h->limits.headers ||
	    s->text.len + name_len + value_len > h->limits.head_bytes) {
		fail_head(s, H2_HEAD_TOO_LARGE);
		return 0;
	}
	if (make_room(s)) {
		str_add(&s->text, name, name_len);
		str_add(&s->text, value, value_len);
		s->lengths[2 * s->count] = name_len;
		s->lengths[2 * s->count + 1] = value_len;
		s->count++;
	}
	if (s->text.failed || !s->count)
		fail_head(s, H2_HEAD_NO_MEMORY);
	return 0;
}

/* The text has stopped moving: the slices can be made. */
static void resolve_head(struct h2_stream *s)
{
	const char *at = s->text.at;
	s->headers = mem_alloc((s->count ? s->count : 1) * sizeof(*s->headers));
	if (!s->headers) {
		fail_head(s, H2_HEAD_NO_MEMORY);
		return;
	}
	for (size_t i = 0; i < s->count; i++) {
		size_t name_len = s->lengths[2 * i], value_len = s->lengths[2 * i + 1];
		s->headers[i].name = (struct slice){at, name_len};
		s->headers[i].value = (struct slice){at + name_len, value_len};
		at += name_len + value_len;
	}
}

static void on_head_end(struct h2 *h, struct h2_stream *s, bool has_body)
{
	if (!s->fault)
		resolve_head(s);
	struct h2_head head = {
		.headers = s->headers, .count = s->count, .fault = s->fault, .has_body = has_body};
	h->in_head = NULL;
	s->owner = h->handler->head(h->owner, s->id, &head);
	release_head(s);
}

/* --- what comes ------------------------------------------------------------------------------ */

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s)
		return 0;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		h->payload_bytes += frame->hd.length;
		if (!h->is_trailer)
			on_head_end(h, s, !ends);
		else if (ends && s->owner)
			h->handler->body_end(s->owner);
		break;
	case NGHTTP2_DATA:
		if (ends && s->owner)
			h->handler->body_end(s->owner);
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
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	h->payload_bytes += len;
	/* The connection's window is for all streams: one that is not read must not hold it. */
	nghttp2_session_consume_connection(session, len);
	if (s && s->owner)
		h->handler->body(s->owner, (const char *)bytes, len);
	return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
			    void *user)
{
	(void)error, (void)user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s)
		s->is_bad = true;
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

static void free_stream(struct h2_stream *s)
{
	list_remove(&s->link);
	release_head(s);
	mem_free(s);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (!s)
		return 0;
	enum h2_end end = H2_END_DONE;
	if (!s->is_sent && (error || s->is_bad))
		end = s->is_bad ? H2_END_BAD_BODY : H2_END_CLIENT;
	if (h->in_head == s)
		h->in_head = NULL;
	if (s->owner)
		h->handler->closed(s->owner, end);
	nghttp2_session_set_stream_user_data(session, id, NULL);
	free_stream(s);
	return 0;
}

/* --- what goes ------------------------------------------------------------------------------- */

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	bool is_message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
	if (!is_message || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s || !s->owner)
		return 0;
	s->is_sent = true;
	h->handler->sent(s->owner);
	return 0;
}

static ssize_t on_fill(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t size,
		       uint32_t *flags, nghttp2_data_source *source, void *user)
{
	(void)source;
	struct h2 *h = user;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	bool is_last = false;
	size_t n = s && s->owner ? h->handler->fill(s->owner, (char *)bytes, size, &is_last) : 0;
	h->payload_bytes += n;
	if (is_last)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!n)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
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

static nghttp2_option *new_options(void)
{
	nghttp2_option *o;
	if (nghttp2_option_new(&o))
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
	nghttp2_option_set_max_settings(o, SETTINGS_MAX);
	nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS_AT_ONCE, RESETS_PER_S);
	return o;
}

static bool open_session(struct h2 *h)
{
	nghttp2_mem mem = {NULL, alloc, release, zalloc, resize};
	nghttp2_session_callbacks *callbacks = new_callbacks();
	nghttp2_option *options = new_options();
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
	nghttp2_session_del(h->session);
	mem_free(h);
}

static bool is_flood(const struct h2 *h)
{
	return h->received_bytes / IDLE_SHARE > h->payload_bytes + IDLE_BYTES_MAX;
}

bool h2_feed(struct h2 *h, const char *bytes, size_t len, const char **fault)
{
	h->received_bytes += len;
	ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes, len);
	if (n < 0) {
		*fault = nghttp2_strerror((int)n);
		return false;
	}
	if (is_flood(h)) {
		nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
		*fault = "a flood of frames that carry nothing";
		return false;
	}
	return true;
}

size_t h2_output(struct h2 *h, const char **bytes)
{
	const uint8_t *at = NULL;
	ssize_t n = nghttp2_session_mem_send(h->session, &at);
	*bytes = (const char *)at;
	return n > 0 ? (size_t)n : 0;
}

/* --- answers --------------------------------------------------------------------------------- */

static nghttp2_nv nv(struct slice name, struct slice value)
{
	return (nghttp2_nv){(uint8_t *)name.at, (uint8_t *)value.at, name.len, value.len,
			    NGHTTP2_NV_FLAG_NONE};
}

bool h2_respond(struct h2 *h, int32_t stream, int status, const struct h2_header *headers,
		size_t count, bool has_body)
{
	char digits[16];
	nghttp2_nv *list = mem_alloc((count + 1) * sizeof(*list));
	if (!list)
		return false;
	snprintf(digits, sizeof(digits), "%03d", status);
	list[0] = nv(SLICE(":status"), slice_of(digits));
	for (size_t i = 0; i < count; i++)
		list[i + 1] = nv(headers[i].name, headers[i].value); /* nghttp2 lowers the case */
	nghttp2_data_provider body = {.read_callback = on_fill};
	int error = nghttp2_submit_response(h->session, stream, list, count + 1,
					    has_body ? &body : NULL);
	mem_free(list);
	return !error;
}

bool h2_inform(struct h2 *h, int32_t stream, int status)
{
	char digits[16];
	snprintf(digits, sizeof(digits), "%03d", status);
	nghttp2_nv head = nv(SLICE(":status"), slice_of(digits));
	return !nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, stream, NULL, &head, 1, NULL);
}

void h2_resume(struct h2 *h, int32_t stream)
{
	nghttp2_session_resume_data(h->session, stream); /* it fails where nothing is deferred */
}

void h2_consume(struct h2 *h, int32_t stream, size_t bytes)
{
	nghttp2_session_consume_stream(h->session, stream, bytes);
}

void h2_reset(struct h2 *h, int32_t stream, bool is_answered)
{
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, stream,
				  is_answered ? NGHTTP2_NO_ERROR : NGHTTP2_INTERNAL_ERROR);
}

void h2_go_away(struct h2 *h)
{
	nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
			      NULL, 0);
}

bool h2_is_in_head(const struct h2 *h)
{
	return h->in_head != NULL;
}

bool h2_is_over(const struct h2 *h)
{
	return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}
