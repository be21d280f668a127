/*
 * TLS sessions over non-blocking sockets.
 *
 * OpenSSL writes through a BIO of ours that always accepts: what the socket does not take stays in
 * `out`, and while there is any, tls_write accepts nothing more; what is written after a failure is
 * thrown away. So OpenSSL never has a write under
 * way, its rule that such a write be repeated with the same bytes concerns nobody, and a read needs
 * nothing of the socket but to be readable. `out` holds a record or a flight of the handshake; it
 * exists only while the socket is full.
 */
#include "base/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/tls_openssl.h"

enum {
	RECORD_BYTES = 16 << 10,
	/* A flight with a long chain; who makes us say more, and does not listen, is dropped. */
	OUT_MAX_BYTES = 256 << 10,
};

struct tls {
	SSL *ssl;
	struct tls_context *context;
	struct tls_kept *kept; /* a client's, or NULL */
	int fd;
	struct str out; /* what the socket did not take; from `out_start` on */
	size_t out_start;
	/* An errno: it is broken for good. What the peer sent before it broke off can still be read
	 * when nothing can be written any more. */
	int read_error, write_error;
	bool is_open;	   /* the handshake is done */
	bool has_eof;	   /* the socket has ended */
	bool has_said_end; /* close_notify, or nothing is to be said any more */
};

/* --- the socket ------------------------------------------------------------------------------ */

static bool would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

/* How much the socket takes; it takes all of it, and loses it, once it is broken. */
static size_t send_some(struct tls *t, const char *bytes, size_t len)
{
	ssize_t n;
	do
		n = send(t->fd, bytes, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (would_block(errno))
		return 0;
	t->write_error = errno;
	return len;
}

static void keep_output(struct tls *t, const char *bytes, size_t len)
{
	if (t->out.len + len > OUT_MAX_BYTES) {
		t->read_error = t->write_error = ENOBUFS;
		return;
	}
	str_add(&t->out, bytes, len);
	if (t->out.failed)
		t->read_error = t->write_error = ENOMEM;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
	struct tls *t = BIO_get_data(bio);
	size_t sent = 0, n = len > 0 ? (size_t)len : 0;
	BIO_clear_retry_flags(bio);
	if (t->write_error)
		return len;
	if (!tls_has_output(t))
		sent = send_some(t, bytes, n);
	if (sent < n)
		keep_output(t, bytes + sent, n - sent);
	return len;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t n;
	BIO_clear_retry_flags(bio);
	do
		n = recv(t->fd, bytes, (size_t)size, 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		t->has_eof = true;
	else if (n < 0 && would_block(errno))
		BIO_set_retry_read(bio);
	else if (n < 0)
		t->read_error = errno;
	return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)number, (void)pointer;
	const struct tls *t = BIO_get_data(bio);
	return command == BIO_CTRL_FLUSH || (command == BIO_CTRL_EOF && t->has_eof);
}

/* Made once, by the first session. */
static BIO_METHOD *socket_method(void)
{
	static BIO_METHOD *method;
	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "slotgate");
	if (method && BIO_meth_set_write(method, bio_write) &&
	    BIO_meth_set_read(method, bio_read) && BIO_meth_set_ctrl(method, bio_control))
		return method;
	BIO_meth_free(method);
	return method = NULL;
}

bool tls_has_output(const struct tls *t)
{
	return t->out_start < t->out.len ||
	       t->write_error; /* what was lost is not with the kernel */
}

bool tls_flush(struct tls *t)
{
	while (!t->write_error && tls_has_output(t)) {
		size_t n = send_some(t, t->out.at + t->out_start, t->out.len - t->out_start);
		if (n == 0)
			return true;
		t->out_start += n;
	}
	str_release(&t->out);
	t->out_start = 0;
	errno = t->write_error;
	return !t->write_error;
}

/* --- beginning and end ----------------------------------------------------------------------- */

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	str_release(&t->out);
	tls_context_drop(t->context);
	mem_free(t);
	ERR_clear_error();
}

static struct tls *new_session(struct tls_context *context)
{
	struct tls *t = mem_zalloc(sizeof(*t));
	if (!t)
		return NULL;
	t->context = tls_context_hold(context);
	t->fd = -1;
	str_init(&t->out);
	t->ssl = SSL_new(context->ctx);
	BIO *bio = t->ssl && socket_method() ? BIO_new(socket_method()) : NULL;
	if (!bio) {
		tls_free(t);
		return NULL;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	return t;
}

struct tls *tls_accept(struct tls_context *context)
{
	struct tls *t = new_session(context);
	if (t)
		SSL_set_accept_state(t->ssl);
	return t;
}

static bool is_numeric(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* Whom the peer must prove to be. */
static bool expect_name(SSL *ssl, const char *name)
{
	if (is_numeric(name))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct tls *tls_connect(struct tls_context *context, const char *address, struct tls_kept *kept)
{
	const char *name = context->options.name ? context->options.name : address;
	struct tls *t = new_session(context);
	if (!t)
		return NULL;
	SSL_set_connect_state(t->ssl);
	t->kept = kept;
	if (!expect_name(t->ssl, name)) {
		tls_free(t);
		return NULL;
	}
	if (kept && kept->context == context && kept->session)
		SSL_set_session(t->ssl, kept->session); /* at worst, a full handshake */
	ERR_clear_error();
	return t;
}

void tls_attach(struct tls *t, int fd)
{
	t->fd = fd;
}

void tls_kept_clear(struct tls_kept *kept)
{
	SSL_SESSION_free(kept->session);
	tls_context_drop(kept->context);
	*kept = (struct tls_kept){0};
}

/* Also called behind the handshake: TLS 1.3 sends its tickets when it likes. */
int tls_keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);
	if (!t || !t->kept)
		return 0;
	tls_kept_clear(t->kept);
	t->kept->context = tls_context_hold(t->context);
	t->kept->session = session;
	return 1; /* the reference is ours now */
}

/* --- the handshake --------------------------------------------------------------------------- */

/* Reading is over for good. -1 and errno. */
static ssize_t fail(struct tls *t)
{
	if (!t->read_error)
		t->read_error = t->has_eof ? ECONNABORTED : EPROTO;
	ERR_clear_error();
	errno = t->read_error;
	return -1;
}

static void say_why(const struct tls *t, char why[TLS_WHY_BYTES])
{
	int error = t->read_error || t->has_eof ? t->read_error : t->write_error;
	unsigned long code = ERR_peek_last_error();
	bool is_certificate = ERR_GET_LIB(code) == ERR_LIB_SSL &&
			      ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
	if (is_certificate)
		snprintf(why, TLS_WHY_BYTES, "the peer's certificate: %s",
			 X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
	else if (error)
		snprintf(why, TLS_WHY_BYTES, "%s", strerror(error));
	else if (t->has_eof)
		snprintf(why, TLS_WHY_BYTES, "the peer has closed the connection");
	else
		tls_last_error(why, TLS_WHY_BYTES);
	ERR_clear_error();
}

enum tls_result tls_handshake(struct tls *t, char why[TLS_WHY_BYTES])
{
	bool is_broken = t->read_error || t->write_error;
	ERR_clear_error();
	if (t->is_open)
		return TLS_DONE;
	int result = is_broken ? -1 : SSL_do_handshake(t->ssl);
	if (result == 1) {
		t->is_open = true;
		return TLS_DONE;
	}
	if (!t->read_error && !t->write_error &&
	    SSL_get_error(t->ssl, result) == SSL_ERROR_WANT_READ)
		return TLS_AGAIN;
	say_why(t, why);
	fail(t);
	return TLS_FAILED;
}

/* --- bytes ----------------------------------------------------------------------------------- */

/* One record's worth at most; 0: the peer has ended properly. */
static ssize_t read_once(struct tls *t, void *bytes, size_t size)
{
	size_t n = 0;
	if (t->read_error)
		return fail(t);
	ERR_clear_error();
	int result = SSL_read_ex(t->ssl, bytes, size, &n);
	if (result == 1)
		return (ssize_t)n;
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return fail(t);
	}
}

ssize_t tls_read(struct tls *t, void *bytes, size_t size)
{
	size_t n = 0;
	while (n < size) {
		ssize_t more = read_once(t, (char *)bytes + n, size - n);
		if (more <= 0)
			return n ? (ssize_t)n : more; /* it will be told again */
		n += (size_t)more;
	}
	return (ssize_t)n;
}

/* Where small pieces become one record. The loop's thread is the only one that writes. */
static char record[RECORD_BYTES];

struct pieces {
	const struct iovec *iov;
	int count;
	size_t used; /* of the first one */
};

/* The next record's bytes: a large piece as it lies, small ones gathered. */
static struct slice next_record(struct pieces *p)
{
	size_t n = 0;
	for (; p->count; p->iov++, p->count--, p->used = 0) {
		const char *at = (const char *)p->iov->iov_base + p->used;
		size_t left = p->iov->iov_len - p->used;
		size_t take = left < RECORD_BYTES - n ? left : RECORD_BYTES - n;
		if (take == RECORD_BYTES) {
			p->used += take;
			return (struct slice){at, take};
		}
		if (take)
			memcpy(record + n, at, take);
		n += take;
		if (take < left) {
			p->used += take;
			break;
		}
	}
	return (struct slice){record, n};
}

static ssize_t write_failed(struct tls *t)
{
	if (!t->write_error)
		t->write_error = EPROTO;
	errno = t->write_error;
	return -1;
}

ssize_t tls_write(struct tls *t, const struct iovec *iov, int count)
{
	struct pieces pieces = {iov, count, 0};
	size_t taken = 0;
	if (!tls_flush(t))
		return write_failed(t);
	while (!tls_has_output(t)) {
		struct slice bytes = next_record(&pieces);
		if (!bytes.len)
			return (ssize_t)taken;
		size_t n = 0;
		ERR_clear_error();
		if (SSL_write_ex(t->ssl, bytes.at, bytes.len, &n) != 1 || t->write_error)
			return taken ? (ssize_t)taken : write_failed(t); /* none of this record */
		taken += n; /* all of it, as the BIO accepts all */
	}
	if (taken)
		return (ssize_t)taken;
	errno = EAGAIN;
	return -1;
}

bool tls_is_silent(struct tls *t)
{
	char byte;
	size_t n;
	if (t->read_error || t->write_error || !t->is_open)
		return false;
	ERR_clear_error();
	/* Tickets and their like are taken in passing. */
	int result = SSL_peek_ex(t->ssl, &byte, 1, &n);
	if (result == 1)
		return false;
	int error = SSL_get_error(t->ssl, result);
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN)
		fail(t);
	return error == SSL_ERROR_WANT_READ;
}

void tls_end(struct tls *t)
{
	if (t->has_said_end || t->read_error || !t->is_open)
		return;
	t->has_said_end = true;
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

void tls_abort(struct tls *t)
{
	t->has_said_end = true;
}

/* --- what it came to ------------------------------------------------------------------------- */

static const SSL *opened(const struct tls *t)
{
	return t && t->is_open ? t->ssl : NULL;
}

const char *tls_protocol(const struct tls *t)
{
	const unsigned char *chosen = NULL;
	unsigned len = 0;
	if (!opened(t))
		return NULL;
	SSL_get0_alpn_selected(t->ssl, &chosen, &len);
	for (const char *const *p = t->context->protocols; p && *p && len; p++)
		if (strlen(*p) == len && memcmp(*p, chosen, len) == 0)
			return *p;
	return NULL;
}

const char *tls_server_name(const struct tls *t)
{
	return opened(t) ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

const char *tls_version(const struct tls *t)
{
	return opened(t) ? SSL_get_version(t->ssl) : NULL;
}

const char *tls_cipher(const struct tls *t)
{
	return opened(t) ? SSL_get_cipher_name(t->ssl) : NULL;
}

bool tls_is_resumed(const struct tls *t)
{
	return opened(t) && SSL_session_reused(t->ssl);
}

bool tls_peer_name(const struct tls *t, struct str *name)
{
	X509 *peer = opened(t) ? SSL_get0_peer_certificate(t->ssl) : NULL;
	if (!peer || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return false;
	BIO *memory = BIO_new(BIO_s_mem());
	char *at = NULL;
	long len = 0;
	if (memory &&
	    X509_NAME_print_ex(memory, X509_get_subject_name(peer), 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_get_mem_data(memory, &at);
	if (len > 0)
		str_add(name, at, (size_t)len);
	BIO_free(memory);
	ERR_clear_error();
	return len > 0 && !name->failed;
}

bool tls_peer_common_name(const struct tls *t, struct str *name)
{
	X509 *peer = opened(t) ? SSL_get0_peer_certificate(t->ssl) : NULL;
	if (!peer || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return false;
	X509_NAME *subject = X509_get_subject_name(peer);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return false;
	unsigned char *text = NULL;
	int len = ASN1_STRING_to_UTF8(&text,
				      X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	bool ok = len > 0 && !memchr(text, '\0', (size_t)len);
	if (ok)
		str_add(name, text, (size_t)len);
	OPENSSL_free(text);
	ERR_clear_error();
	return ok && !name->failed;
}
