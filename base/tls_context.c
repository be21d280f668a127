/* TLS contexts: what is configured. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/tls_openssl.h"

/* Mozilla's "intermediate", without the slow DHE; all are strong, so the client's order counts: it
 * knows whether it has AES in hardware. */
static const char CIPHERS[] =
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

enum { PEM_MAX_BYTES = 4 << 20 };

/* --- faults --------------------------------------------------------------------------------- */

void tls_last_error(char *text, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	if (reason)
		snprintf(text, size, "%s", reason);
	else
		snprintf(text, size, code ? "error %lx" : "no reason given", code);
	ERR_clear_error();
}

static bool is_at(struct tls_fault *f, enum tls_part part, size_t index, const char *path,
		  const char *why)
{
	f->part = part;
	f->index = index;
	snprintf(f->text, sizeof(f->text), "%.300s: %s", path, why);
	ERR_clear_error();
	return false;
}

static bool is_general(struct tls_fault *f)
{
	char why[TLS_WHY_BYTES];
	tls_last_error(why, sizeof(why));
	f->part = TLS_OTHER;
	f->index = 0;
	snprintf(f->text, sizeof(f->text), "OpenSSL: %s", why);
	return false;
}

/* --- files ---------------------------------------------------------------------------------- */

/* A whole file. NULL: the fault has been told. */
static BIO *open_pem(const char *path, enum tls_part part, size_t index, struct tls_fault *f)
{
	struct str text;
	str_init(&text);
	BIO *pem = BIO_new(BIO_s_mem());
	int error = pem ? file_read(path, PEM_MAX_BYTES, &text) : ENOMEM;
	if (!error && text.len && BIO_write(pem, text.at, (int)text.len) != (int)text.len)
		error = ENOMEM;
	if (text.len)
		OPENSSL_cleanse(text.at, text.len);
	str_release(&text);
	if (!error)
		return pem;
	is_at(f, part, index, path, strerror(error));
	BIO_free(pem);
	return NULL;
}

/* At the end of a PEM file, or behind it: not a fault. */
static bool has_ended(void)
{
	unsigned long code = ERR_peek_last_error();
	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool read_chain(struct tls_certificate *c, BIO *file)
{
	X509 *next;
	c->chain = sk_X509_new_null();
	while (c->chain && (next = PEM_read_bio_X509(file, NULL, NULL, NULL))) {
		if (sk_X509_push(c->chain, next) > 0)
			continue;
		X509_free(next);
		return false;
	}
	return c->chain && has_ended();
}

static bool read_certificate(struct tls_certificate *c, size_t i, const char *path,
			     struct tls_fault *f)
{
	BIO *file = open_pem(path, TLS_CERTIFICATE, i, f);
	if (!file)
		return false;
	bool ok = true;
	c->leaf = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL);
	if (!c->leaf)
		ok = is_at(f, TLS_CERTIFICATE, i, path,
			   has_ended() ? "holds no certificate in PEM form"
				       : "its certificate cannot be read");
	else if (!read_chain(c, file))
		ok = is_at(f, TLS_CERTIFICATE, i, path,
			   "a certificate of the chain behind the first one cannot be read");
	BIO_free(file);
	ERR_clear_error();
	return ok;
}

/* Nobody is there to be asked for a password. */
static int no_password(char *to, int size, int writes, void *asked)
{
	(void)to, (void)size, (void)writes;
	*(bool *)asked = true;
	return -1;
}

static bool read_key(struct tls_certificate *c, size_t i, const char *path, struct tls_fault *f)
{
	BIO *file = open_pem(path, TLS_KEY, i, f);
	if (!file)
		return false;
	bool asked = false;
	c->key = PEM_read_bio_PrivateKey(file, NULL, no_password, &asked);
	BIO_free(file);
	if (asked)
		return is_at(f, TLS_KEY, i, path,
			     "the key is encrypted: store it without a password");
	if (!c->key)
		return is_at(f, TLS_KEY, i, path, "holds no private key in PEM form");
	if (X509_check_private_key(c->leaf, c->key) != 1)
		return is_at(f, TLS_KEY, i, path,
			     "the key does not belong to the certificate beside it");
	return true;
}

static bool read_pair(struct tls_certificate *c, size_t i, const struct tls_pair *pair,
		      struct tls_fault *f)
{
	return read_certificate(c, i, pair->certificate, f) && read_key(c, i, pair->key, f);
}

static void release_pair(struct tls_certificate *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
}

/* Trusts all that is in it, and closes it; NULL: the fault has been told. `names`: a server tells
 * its clients whom it trusts. */
static bool trust(SSL_CTX *ctx, BIO *file, const char *path, bool names, struct tls_fault *f)
{
	X509 *ca;
	int count = 0;
	bool ok = true;
	if (!file)
		return false;
	while (ok && (ca = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL))) {
		ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1 &&
		     (!names || SSL_CTX_add_client_CA(ctx, ca) == 1);
		X509_free(ca);
		count++;
	}
	if (!ok || !has_ended())
		ok = is_at(f, TLS_CA, 0, path, "a certificate in it cannot be read");
	else if (!count)
		ok = is_at(f, TLS_CA, 0, path, "holds no certificate in PEM form");
	BIO_free(file);
	ERR_clear_error();
	return ok;
}

static bool read_ca(SSL_CTX *ctx, const char *path, bool names, struct tls_fault *f)
{
	return trust(ctx, open_pem(path, TLS_CA, 0, f), path, names, f);
}

/* --- both sides ----------------------------------------------------------------------------- */

static bool set_common(SSL_CTX *ctx, enum tls_version min)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1); /* a record is one system call, not two */
	return SSL_CTX_set_min_proto_version(ctx,
					     min == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS);
}

static struct tls_context *new_context(bool is_server, size_t pairs)
{
	struct tls_context *c = mem_must_zalloc(sizeof(*c));
	c->references = 1;
	c->is_server = is_server;
	c->certificates = mem_must_zalloc((pairs + 1) * sizeof(*c->certificates));
	c->count = pairs;
	c->ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	return c;
}

struct tls_context *tls_context_hold(struct tls_context *c)
{
	c->references++;
	return c;
}

void tls_context_drop(struct tls_context *c)
{
	if (!c || --c->references)
		return;
	for (size_t i = 0; i < c->count; i++)
		release_pair(&c->certificates[i]);
	mem_free(c->certificates);
	mem_free(c->options.ca);
	mem_free(c->options.name);
	mem_free(c->options.pair.certificate);
	mem_free(c->options.pair.key);
	SSL_CTX_free(c->ctx);
	mem_free(c);
}

static struct tls_context *complete(struct tls_context *c, bool ok)
{
	if (ok)
		return c;
	tls_context_drop(c);
	return NULL;
}

/* --- a server ------------------------------------------------------------------------------- */

static bool use(SSL *ssl, const struct tls_certificate *c)
{
	return SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) == 1;
}

/* The certificates that hold the name; of those of one kind the first counts, so it comes last. */
static int use_those_of(SSL *ssl, const struct tls_context *c, const char *name, unsigned flags)
{
	int used = 0;
	for (size_t i = c->count; i-- > 0;)
		if (X509_check_host(c->certificates[i].leaf, name, 0, flags, NULL) == 1)
			used += use(ssl, &c->certificates[i]);
	return used;
}

static int choose_certificate(SSL *ssl, void *arg)
{
	static const unsigned exact = X509_CHECK_FLAG_NO_WILDCARDS;
	static const unsigned any = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
	const struct tls_context *c = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	bool ok = (name && *name &&
		   (use_those_of(ssl, c, name, exact) || use_those_of(ssl, c, name, any))) ||
		  use(ssl, &c->certificates[0]);
	ERR_clear_error();
	return ok;
}

/* None in common: the connection goes on without a protocol, that is with HTTP/1.1 (RFC 7301 would
 * refuse it, but clients that offer only what they dream of are better served than refused). */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *len,
			   const unsigned char *offered, unsigned offered_len, void *arg)
{
	(void)ssl;
	const struct tls_context *c = arg;
	for (const char *const *p = c->protocols; p && *p; p++) {
		size_t n = strlen(*p);
		for (unsigned i = 0; i < offered_len; i += offered[i] + 1U) {
			if (offered[i] != n || memcmp(&offered[i + 1], *p, n) != 0)
				continue;
			*chosen = &offered[i + 1];
			*len = offered[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	/* Who wants to speak something else must not be taken for HTTP (RFC 7301, 3.2). */
	return c->protocols ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

/*
 * A session is resumed without looking at the client's certificate again, so only where the same
 * was asked for: the session's context names the demand and the authorities.
 */
static bool name_sessions(SSL_CTX *ctx, const struct tls_server_options *o)
{
	unsigned char name[EVP_MAX_MD_SIZE], one[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
		  EVP_DigestUpdate(md, &o->clients, sizeof(o->clients));
	STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
	for (int i = 0; ok && i < sk_X509_OBJECT_num(trusted); i++) {
		const X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
		ok = ca && X509_digest(ca, EVP_sha256(), one, &len) &&
		     EVP_DigestUpdate(md, one, len);
	}
	ok = ok && EVP_DigestFinal_ex(md, name, &len) &&
	     SSL_CTX_set_session_id_context(ctx, name, len) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

static bool trust_text(SSL_CTX *ctx, struct slice pem, struct tls_fault *f)
{
	BIO *text = BIO_new_mem_buf(pem.at, (int)pem.len);
	if (!text)
		return is_general(f);
	return trust(ctx, text, "the clients' authorities", true, f);
}

static bool demand_certificates(SSL_CTX *ctx, const struct tls_server_options *o,
				struct tls_fault *f)
{
	if (o->clients == TLS_NO_CERTIFICATE)
		return true;
	if (o->client_ca ? !read_ca(ctx, o->client_ca, true, f)
			 : !trust_text(ctx, o->client_ca_text, f))
		return false;
	SSL_CTX_set_verify(
		ctx,
		SSL_VERIFY_PEER |
			(o->clients == TLS_MUST_CERTIFY ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
		NULL);
	return true;
}

/* Tries what a handshake will do: a key may be too short for what OpenSSL lets pass. */
static bool try_pair(const struct tls_context *c, size_t i, const char *path, struct tls_fault *f)
{
	SSL *ssl = SSL_new(c->ctx);
	bool ok = ssl && use(ssl, &c->certificates[i]);
	SSL_free(ssl);
	if (ok)
		return true;
	char why[TLS_WHY_BYTES];
	tls_last_error(why, sizeof(why));
	return is_at(f, TLS_CERTIFICATE, i, path, why);
}

static bool set_up_server(struct tls_context *c, const struct tls_server_options *o,
			  struct tls_fault *f)
{
	if (!c->ctx || !set_common(c->ctx, o->min_version) || !tls_tickets_use(c->ctx))
		return is_general(f);
	for (size_t i = 0; i < o->count; i++)
		if (!read_pair(&c->certificates[i], i, &o->pairs[i], f) ||
		    !try_pair(c, i, o->pairs[i].certificate, f))
			return false;
	if (!demand_certificates(c->ctx, o, f))
		return false;
	if (!name_sessions(c->ctx, o))
		return is_general(f);
	c->protocols = o->protocols;
	SSL_CTX_set_cert_cb(c->ctx, choose_certificate, c);
	SSL_CTX_set_alpn_select_cb(c->ctx, choose_protocol, c);
	return true;
}

struct tls_context *tls_server_new(const struct tls_server_options *o, struct tls_fault *f)
{
	struct tls_context *c = new_context(true, o->count);
	return complete(c, set_up_server(c, o, f));
}

int64_t tls_context_expiry(const struct tls_context *c, size_t pair)
{
	int days = 0, seconds = 0;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	bool ok = epoch && ASN1_TIME_diff(&days, &seconds, epoch,
					  X509_get0_notAfter(c->certificates[pair].leaf));
	ASN1_TIME_free(epoch);
	return ok ? (int64_t)days * 86400 + seconds : 0;
}

/* --- a client ------------------------------------------------------------------------------- */

static bool set_up_client(struct tls_context *c, const struct tls_client_options *o,
			  struct tls_fault *f)
{
	if (!c->ctx || !set_common(c->ctx, TLS_1_2))
		return is_general(f);
	if (o->ca ? !read_ca(c->ctx, o->ca, false, f)
		  : SSL_CTX_set_default_verify_paths(c->ctx) != 1 && !is_general(f))
		return false;
	if (o->pair.certificate) {
		struct tls_certificate own = {0};
		bool ok = read_pair(&own, 0, &o->pair, f);
		if (ok && SSL_CTX_use_cert_and_key(c->ctx, own.leaf, own.key, own.chain, 1) != 1)
			ok = is_general(f);
		release_pair(&own);
		if (!ok)
			return false;
	}
	SSL_CTX_set_verify(c->ctx, o->trusts_anybody ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, tls_keep_session);
	return true;
}

static char *copy(const char *text)
{
	return text ? mem_must_strdup(text) : NULL;
}

const struct tls_client_options *tls_client_options(const struct tls_context *c)
{
	return &c->options;
}

struct tls_context *tls_client_new(const struct tls_client_options *o, struct tls_fault *f)
{
	struct tls_context *c = new_context(false, 0);
	c->options = (struct tls_client_options){
		.ca = copy(o->ca),
		.name = copy(o->name),
		.pair = {copy(o->pair.certificate), copy(o->pair.key)},
		.trusts_anybody = o->trusts_anybody,
	};
	return complete(c, set_up_client(c, o, f));
}
