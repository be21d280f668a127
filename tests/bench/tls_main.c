/*
 * bench-tls: shakes hands with a server, over and over: connects, handshakes (TLS 1.3,
 * AES-128-GCM), asks for a page, reads the answer and closes.
 *
 *	bench-tls --to 127.0.0.1:8443 --seconds 3 [--resume]
 *
 * With --resume each handshake takes up the session of the one before. Says how many there were,
 * and how many of them were resumed, as a line of JSON.
 */
#include <getopt.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/net.h"
#include "tests/bench/message.h"

static const char request[] = "GET /job HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n";

static struct {
	struct net_address to;
	SSL_CTX *context;
	SSL_SESSION *session; /* the newest; NULL: none, or none is wanted */
	bool resumes;
	long handshakes, resumed;
} bench;

static void die(const char *what)
{
	fprintf(stderr, "bench-tls: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	if (!bench.resumes)
		return 0;
	SSL_SESSION_free(bench.session);
	bench.session = session;
	return 1;
}

static int connect_plainly(void)
{
	int fd = socket(bench.to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &bench.to.sa, bench.to.len) != 0)
		die("cannot connect");
	return fd;
}

static void shake_hands(void)
{
	char answer[4096];
	int fd = connect_plainly(), total = 0, n;
	SSL *ssl = SSL_new(bench.context);
	if (!ssl || !SSL_set_fd(ssl, fd))
		die("no memory");
	if (bench.session)
		SSL_set_session(ssl, bench.session);
	if (SSL_connect(ssl) != 1)
		die("the handshake failed");
	bench.handshakes++;
	bench.resumed += SSL_session_reused(ssl);
	if (SSL_write(ssl, request, sizeof(request) - 1) <= 0)
		die("cannot write");
	while ((n = SSL_read(ssl, answer, sizeof(answer))) > 0)
		total += n;
	if (total < 12)
		die("there was no answer");
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void make_context(void)
{
	bench.context = SSL_CTX_new(TLS_client_method());
	if (!bench.context || !SSL_CTX_set_min_proto_version(bench.context, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(bench.context, "TLS_AES_128_GCM_SHA256"))
		die("no context");
	SSL_CTX_set_session_cache_mode(bench.context,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(bench.context, keep_session);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"to", required_argument, NULL, 't'},
						{"seconds", required_argument, NULL, 's'},
						{"resume", no_argument, NULL, 'r'},
						{NULL, 0, NULL, 0}};
	long seconds = 1;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (o == 't' && net_parse(optarg, &bench.to))
			die(optarg);
		else if (o == 's')
			seconds = strtol(optarg, NULL, 10);
		else if (o == 'r')
			bench.resumes = true;
		else if (o == '?')
			return 2;
	}
	if (!bench.to.len)
		die("--to is missing");
	make_context();
	int64_t end_ns = bench_now_ns() + seconds * 1000000000;
	while (bench_now_ns() < end_ns)
		shake_hands();
	printf("{\"handshakes\": %ld, \"resumed\": %ld}\n", bench.handshakes, bench.resumed);
	return 0;
}
