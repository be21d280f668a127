/* TLS sessions and contexts, both ends in one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/tls_pair.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct tls_ends ends;
static struct stream *const server = &ends.server.stream, *const client = &ends.client.stream;
static struct tls_context *offered, *trusted;

static int set_up(void **state)
{
	(void)state;
	ends = (struct tls_ends){.loop = loop_new()};
	offered = tls_server_of(NAMES("local"), TLS_NO_CERTIFICATE);
	trusted = tls_client_of("ca.pem", "localhost", NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_ends_close(&ends);
	tls_context_drop(offered);
	tls_context_drop(trusted);
	loop_free(ends.loop);
	return 0;
}

static void open_ends(void)
{
	tls_ends_open(&ends, offered, trusted, NULL);
}

static void serve(const char *const *names, enum tls_demand demand)
{
	tls_context_drop(offered);
	offered = NULL; /* making the next one may fail */
	offered = tls_server_of(names, demand);
}

static void trust(const char *ca, const char *name, const char *own)
{
	tls_context_drop(trusted);
	trusted = NULL;
	trusted = tls_client_of(ca, name, own);
}

/* Both ends, for a client that expects this name (NULL: the address), with their hands shaken. */
static void meet(const char *name)
{
	trust("ca.pem", name, NULL);
	open_ends();
	assert_true(tls_ends_shake(&ends));
}

/* --- the handshake --------------------------------------------------------------------------- */

static void shakes_hands(void **state)
{
	(void)state;
	open_ends();
	assert_null(tls_version(server->tls)); /* nothing is known before its end */
	assert_true(tls_ends_shake(&ends));
	assert_string_equal(tls_version(server->tls), "TLSv1.3");
	assert_non_null(tls_cipher(server->tls));
	assert_string_equal(tls_server_name(server->tls), "localhost");
	assert_null(stream_protocol(server)); /* the client has offered none */
	assert_false(tls_is_resumed(server->tls));
	tls_ends_say(client, server, "question");
	tls_ends_say(server, client, "answer");
}

static void a_plain_stream_has_shaken_hands(void **state)
{
	(void)state;
	char why[TLS_WHY_BYTES];
	tls_ends_open(&ends, NULL, NULL, NULL);
	assert_int_equal(stream_handshake(server, why), TLS_DONE);
	assert_null(stream_protocol(server));
	assert_null(tls_version(server->tls));
	assert_false(stream_has_output(server));
	tls_ends_say(client, server, "question");
}

static void a_numeric_name_is_checked_and_not_sent(void **state)
{
	(void)state;
	meet(NULL);
	assert_null(tls_server_name(server->tls));
}

/* The client must refuse, for this reason, and the server must hear of it. */
static void refuses(const char *reason)
{
	assert_false(tls_ends_shake(&ends));
	assert_int_equal(ends.client.result, TLS_FAILED);
	assert_non_null(strstr(ends.client.why, reason));
	char byte;
	assert_int_equal(stream_read(client, &byte, 1), -1);
	assert_int_not_equal(errno, EAGAIN);
	if (ends.server.result == TLS_DONE) {
		assert_int_equal(stream_read(server, &byte, 1), -1);
		assert_int_equal(errno, EPROTO);
	} else {
		assert_int_equal(ends.server.result, TLS_FAILED);
		assert_non_null(strstr(ends.server.why, "alert"));
	}
}

static void refuses_a_wrong_name(void **state)
{
	(void)state;
	trust("ca.pem", "other.test", NULL);
	open_ends();
	refuses("hostname mismatch");
}

static void refuses_a_wrong_address(void **state)
{
	(void)state;
	trust("ca.pem", "127.0.0.2", NULL);
	open_ends();
	refuses("IP address mismatch");
}

static void refuses_an_expired_certificate(void **state)
{
	(void)state;
	serve(NAMES("expired"), TLS_NO_CERTIFICATE);
	open_ends();
	refuses("certificate has expired");
}

static void refuses_a_self_signed_certificate(void **state)
{
	(void)state;
	serve(NAMES("self"), TLS_NO_CERTIFICATE);
	open_ends();
	refuses("self-signed certificate");
}

static void refuses_an_unknown_authority(void **state)
{
	(void)state;
	serve(NAMES("stranger"), TLS_NO_CERTIFICATE);
	open_ends();
	refuses("unable to get local issuer certificate");
}

static void trusts_anybody_when_told_to(void **state)
{
	(void)state;
	serve(NAMES("expired"), TLS_NO_CERTIFICATE);
	trust(NULL, "other.test", NULL);
	open_ends();
	assert_true(tls_ends_shake(&ends));
}

static void sends_the_chain(void **state)
{
	(void)state;
	serve(NAMES("chain"), TLS_NO_CERTIFICATE);
	meet("chain.test");
}

static void garbage_instead_of_a_hello(void **state)
{
	(void)state;
	tls_ends_open(&ends, offered, NULL, NULL);
	struct iovec plain = {(char *)"GET / HTTP/1.1\r\n\r\n", 18};
	assert_int_equal(stream_write(client, &plain, 1), 18);
	assert_int_equal(stream_handshake(server, ends.server.why), TLS_FAILED);
	assert_string_equal(ends.server.why, "http request");
	/* The second failure is no other. */
	assert_int_equal(stream_handshake(server, ends.server.why), TLS_FAILED);
}

static void a_stalled_handshake_just_waits(void **state)
{
	(void)state;
	tls_ends_open(&ends, offered, NULL, NULL);
	struct iovec part = {(char *)"\x16\x03\x01\x02\x00\x01", 6};
	for (int i = 0; i < 3; i++)
		assert_int_equal(stream_handshake(server, ends.server.why), TLS_AGAIN);
	assert_int_equal(stream_write(client, &part, 1), 6);
	assert_int_equal(stream_handshake(server, ends.server.why), TLS_AGAIN);
	stream_close(client);
	assert_int_equal(stream_handshake(server, ends.server.why), TLS_FAILED);
	assert_string_equal(ends.server.why, "the peer has closed the connection");
}

/* --- resumption ------------------------------------------------------------------------------ */

/* Meets the server with what is kept of earlier sessions; whether that made it short. */
static bool resumes(struct tls_kept *kept)
{
	tls_ends_open(&ends, offered, trusted, kept);
	assert_true(tls_ends_shake(&ends));
	assert_true(stream_is_silent(client)); /* takes the tickets */
	assert_int_equal(tls_is_resumed(client->tls), tls_is_resumed(server->tls));
	bool is_resumed = tls_is_resumed(server->tls);
	tls_ends_say(client, server, "question");
	tls_ends_close(&ends);
	return is_resumed;
}

static void resumes_sessions(void **state)
{
	(void)state;
	struct tls_kept kept = {0};
	assert_false(resumes(&kept));
	for (int i = 0; i < 5; i++)
		assert_true(resumes(&kept));
	/* Another context of the same kind, as a reload makes it. */
	serve(NAMES("local"), TLS_NO_CERTIFICATE);
	assert_true(resumes(&kept));
	tls_kept_clear(&kept);
	assert_false(resumes(&kept));
	tls_kept_clear(&kept);
}

static void tickets_outlive_a_change_of_keys_but_not_three(void **state)
{
	(void)state;
	struct tls_kept kept = {0};
	assert_false(resumes(&kept));
	tls_tickets_rotate();
	assert_true(resumes(&kept)); /* and gets a ticket of the new key */
	tls_tickets_rotate();
	tls_tickets_rotate();
	assert_true(resumes(&kept));
	for (int i = 0; i < 3; i++)
		tls_tickets_rotate();
	assert_false(resumes(&kept));
	tls_kept_clear(&kept);
}

static void a_session_is_good_for_its_context_only(void **state)
{
	(void)state;
	struct tls_kept kept = {0};
	assert_false(resumes(&kept));
	trust("ca.pem", "localhost", NULL); /* might trust others by now */
	assert_false(resumes(&kept));
	assert_true(resumes(&kept));
	/* Nor does a server resume what was agreed on without a certificate where it wants one. */
	serve(NAMES("local"), TLS_MAY_CERTIFY);
	assert_false(resumes(&kept));
	assert_true(resumes(&kept));
	tls_kept_clear(&kept);
}

/* --- the server's choices -------------------------------------------------------------------- */

static void chooses_a_certificate_by_name(void **state)
{
	(void)state;
	serve(NAMES("local", "wild", "exact", "one"), TLS_NO_CERTIFICATE);
	static const char *const names[] = {"localhost",       "any.wild.test", "wild.test",
					    "exact.wild.test", "one.test",	"ONE.Test"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		meet(names[i]); /* which checks the certificate */
		assert_string_equal(tls_server_name(server->tls), names[i]);
		tls_ends_close(&ends);
	}
	trust("ca.pem", "two.any.wild.test", NULL);
	open_ends();
	refuses("hostname mismatch");
	tls_ends_close(&ends);
	meet(NULL); /* no name: the first one */
}

static void demands_a_certificate(void **state)
{
	(void)state;
	struct str name;
	str_init(&name);
	serve(NAMES("local"), TLS_MUST_CERTIFY);
	trust("ca.pem", NULL, "client");
	open_ends();
	assert_true(tls_ends_shake(&ends));
	assert_true(stream_peer_name(server, &name));
	assert_string_equal(name.at, "CN=client");
	str_release(&name);
	tls_ends_close(&ends);
	static const char *const bad[] = {NULL, "other-client", "one"};
	for (size_t i = 0; i < 3; i++) {
		trust("ca.pem", NULL, bad[i]);
		open_ends();
		assert_false(tls_ends_shake(&ends));
		assert_int_equal(ends.server.result, TLS_FAILED);
		assert_false(stream_peer_name(server, &name));
		tls_ends_close(&ends);
	}
}

static void asks_for_a_certificate(void **state)
{
	(void)state;
	struct str name;
	str_init(&name);
	serve(NAMES("local"), TLS_MAY_CERTIFY);
	meet(NULL);
	assert_false(stream_peer_name(server, &name));
	tls_ends_close(&ends);
	trust("ca.pem", NULL, "client");
	struct tls_kept kept = {0};
	for (int i = 0; i < 2; i++) { /* also when it is resumed */
		tls_ends_open(&ends, offered, trusted, &kept);
		assert_true(tls_ends_shake(&ends));
		assert_true(stream_is_silent(client));
		assert_int_equal(tls_is_resumed(server->tls), i);
		str_clear(&name);
		assert_true(stream_peer_name(server, &name));
		assert_string_equal(name.at, "CN=client");
		tls_ends_close(&ends);
	}
	tls_kept_clear(&kept);
	str_release(&name);
	trust("ca.pem", NULL, "other-client");
	open_ends();
	assert_false(tls_ends_shake(&ends));
}

static void faulty(const char *certificate, const char *key, enum tls_part part, const char *why)
{
	struct tls_fault fault = {0};
	struct tls_pair pairs[] = {{(char *)tls_file("local.pem"), (char *)tls_file("local.key")},
				   {(char *)tls_file(certificate), (char *)tls_file(key)}};
	struct tls_server_options o = {.pairs = pairs, .count = 2};
	assert_null(tls_server_new(&o, &fault));
	assert_int_equal(fault.part, part);
	assert_int_equal(fault.index, 1);
	assert_non_null(strstr(fault.text, tls_file(part == TLS_KEY ? key : certificate)));
	if (!strstr(fault.text, why))
		fail_msg("%s", fault.text);
}

static void tells_what_is_wrong_with_files(void **state)
{
	(void)state;
	faulty("none.pem", "one.key", TLS_CERTIFICATE, "No such file");
	faulty("one.pem", "none.key", TLS_KEY, "No such file");
	faulty("one.pem", "local.key", TLS_KEY, "does not belong to the certificate");
	faulty("one.key", "one.key", TLS_CERTIFICATE, "holds no certificate");
	faulty("one.pem", "one.pem", TLS_KEY, "holds no private key");
	faulty("one.pem", "encrypted.key", TLS_KEY, "is encrypted");
	faulty("garbled.pem", "one.key", TLS_CERTIFICATE, "cannot be read");
	faulty("garbled-chain.pem", "one.key", TLS_CERTIFICATE, "chain");
	faulty("weak.pem", "weak.key", TLS_CERTIFICATE, "key too small");
	faulty(".", "one.key", TLS_CERTIFICATE, "Is a directory");
	faulty("large.pem", "one.key", TLS_CERTIFICATE, "too large");
}

static void tells_what_is_wrong_with_authorities(void **state)
{
	(void)state;
	struct tls_fault fault = {0};
	static const char *const files[] = {"none.pem", "one.key", "garbled-chain.pem"};
	static const char *const whys[] = {"No such file", "holds no certificate",
					   "cannot be read"};
	for (size_t i = 0; i < 3; i++) {
		struct tls_client_options o = {.ca = (char *)tls_file(files[i])};
		assert_null(tls_client_new(&o, &fault));
		assert_int_equal(fault.part, TLS_CA);
		if (!strstr(fault.text, whys[i]))
			fail_msg("%s", fault.text);
	}
}

/* --- bytes ----------------------------------------------------------------------------------- */

enum { MEGABYTES = 3 << 20 };

struct flow {
	struct stream *from, *to;
	size_t sent, got;
};

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 251 + i / 65536);
}

/* Sends in odd pieces, from several places in memory. */
static void push(struct flow *f)
{
	unsigned char bytes[5000];
	while (f->sent < MEGABYTES) {
		size_t n =
			MEGABYTES - f->sent < sizeof(bytes) ? MEGABYTES - f->sent : sizeof(bytes);
		for (size_t i = 0; i < n; i++)
			bytes[i] = byte_at(f->sent + i);
		size_t cut = n / 3;
		struct iovec iov[3] = {{bytes, cut}, {NULL, 0}, {bytes + cut, n - cut}};
		ssize_t taken = stream_write(f->from, iov, 3);
		if (taken < 0) {
			assert_int_equal(errno, EAGAIN);
			return;
		}
		assert_true(taken > 0 && (size_t)taken <= n);
		f->sent += (size_t)taken;
	}
}

static void pull(struct flow *f)
{
	unsigned char bytes[7000];
	ssize_t n;
	while ((n = stream_read(f->to, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != byte_at(f->got++))
				fail_msg("byte %zu is not the one that was sent", f->got - 1);
	assert_int_equal(n, -1);
	assert_int_equal(errno, EAGAIN);
}

static void megabytes_both_ways_through_tiny_buffers(void **state)
{
	(void)state;
	ends.small_buffers = 4096;
	open_ends();
	assert_true(tls_ends_shake(&ends));
	struct flow there = {client, server, 0, 0}, back = {server, client, 0, 0};
	bool was_full = false;
	for (int i = 0; there.got < MEGABYTES || back.got < MEGABYTES; i++) {
		assert_true(i < 100000);
		push(&there);
		push(&back);
		was_full |= stream_has_output(client) && stream_has_output(server);
		pull(&there);
		pull(&back);
		assert_true(stream_flush(client) && stream_flush(server));
	}
	assert_true(was_full);
	assert_false(stream_has_output(client) || stream_has_output(server));
}

static void what_is_left_goes_out_by_itself(void **state)
{
	(void)state;
	static char bytes[16 << 10];
	ends.small_buffers = 4096;
	open_ends();
	assert_true(tls_ends_shake(&ends));
	struct iovec iov = {bytes, sizeof(bytes)};
	assert_int_equal(stream_write(server, &iov, 1), sizeof(bytes));
	assert_true(stream_has_output(server));
	assert_int_equal(stream_write(server, &iov, 1), -1);
	assert_int_equal(errno, EAGAIN);
	stream_end(server); /* its end comes behind all that */
	size_t got = 0;
	for (ssize_t n = -1; n != 0;) {
		struct task stop;
		task_init(&stop, (task_fn *)(void *)loop_stop, ends.loop);
		loop_defer_to_next_turn(ends.loop, &stop);
		loop_run(ends.loop); /* nobody but the loop flushes */
		n = stream_read(client, bytes, sizeof(bytes));
		got += n > 0 ? (size_t)n : 0;
		assert_true(n >= 0 || errno == EAGAIN);
	}
	assert_int_equal(got, sizeof(bytes));
	assert_false(stream_has_output(server));
	assert_true(ends.client.events & IO_HANGUP);
}

static void small_pieces_become_one_record(void **state)
{
	(void)state;
	char plain[4096];
	open_ends();
	assert_true(tls_ends_shake(&ends));
	stream_is_silent(client); /* takes the tickets */
	struct iovec iov[20];
	for (int i = 0; i < 20; i++)
		iov[i] = (struct iovec){(char *)"0123456789", 10};
	assert_int_equal(stream_write(server, iov, 20), 200);
	ssize_t n = recv(client->io.fd, plain, sizeof(plain), MSG_PEEK);
	assert_in_range(n, 200, 200 + 40);
	assert_int_equal(stream_read(client, plain, sizeof(plain)), 200);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void an_end_is_announced(void **state)
{
	(void)state;
	char bytes[16];
	open_ends();
	assert_true(tls_ends_shake(&ends));
	struct iovec last = {(char *)"last", 4};
	assert_int_equal(stream_write(server, &last, 1), 4);
	stream_end(server);
	assert_int_equal(stream_read(client, bytes, sizeof(bytes)), 4);
	for (int i = 0; i < 2; i++)
		assert_int_equal(stream_read(client, bytes, sizeof(bytes)), 0);
	/* The other half goes on. */
	tls_ends_say(client, server, "thanks");
}

static void a_cut_is_no_end(void **state)
{
	(void)state;
	char bytes[16];
	open_ends();
	assert_true(tls_ends_shake(&ends));
	struct iovec part = {(char *)"part", 4};
	assert_int_equal(stream_write(server, &part, 1), 4);
	shutdown(server->io.fd, SHUT_WR);
	assert_int_equal(stream_read(client, bytes, sizeof(bytes)), 4);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stream_read(client, bytes, sizeof(bytes)), -1);
		assert_int_equal(errno, ECONNABORTED);
	}
}

static void a_close_says_so_and_an_abort_does_not(void **state)
{
	(void)state;
	char byte;
	for (int aborts = 0; aborts < 2; aborts++) {
		open_ends();
		assert_true(tls_ends_shake(&ends));
		stream_is_silent(client);
		if (aborts)
			stream_abort(server);
		stream_close(server);
		ssize_t n = stream_read(client, &byte, 1);
		assert_int_equal(n, aborts ? -1 : 0);
		tls_ends_close(&ends);
	}
}

static void what_came_before_a_break_can_be_read(void **state)
{
	(void)state;
	char bytes[16];
	open_ends();
	assert_true(tls_ends_shake(&ends));
	struct iovec early = {(char *)"no!", 3};
	stream_is_silent(client);
	assert_int_equal(stream_write(server, &early, 1), 3);
	stream_close(server);
	assert_int_equal(stream_write(client, &early, 1), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(stream_read(client, bytes, sizeof(bytes)), 3);
	assert_int_equal(stream_read(client, bytes, sizeof(bytes)), 0);
	assert_int_equal(stream_write(client, &early, 1), -1);
}

static void silence(void **state)
{
	(void)state;
	open_ends();
	assert_true(tls_ends_shake(&ends));
	char byte;
	/* Tickets lie on the socket, and are no data. */
	assert_true(recv(client->io.fd, &byte, 1, MSG_PEEK) == 1);
	assert_true(stream_is_silent(client));
	assert_true(recv(client->io.fd, &byte, 1, MSG_PEEK) == -1);
	assert_true(stream_is_silent(client) && stream_is_silent(server));
	struct iovec one = {(char *)"x", 1};
	assert_int_equal(stream_write(server, &one, 1), 1);
	assert_false(stream_is_silent(client));
	assert_int_equal(stream_read(client, &byte, 1), 1);
	assert_true(stream_is_silent(client));
	stream_end(server);
	assert_false(stream_is_silent(client));
	shutdown(client->io.fd, SHUT_WR);
	assert_false(stream_is_silent(server));
}

/* --- without memory -------------------------------------------------------------------------- */

static void a_session_without_memory(void **state)
{
	(void)state;
	mem_fail_after(0);
	assert_null(tls_accept(offered));
	mem_fail_after(0);
	assert_null(tls_connect(trusted, "127.0.0.1", NULL));
	mem_fail_after(-1);
	open_ends(); /* the contexts are as good as before */
	assert_true(tls_ends_shake(&ends));
}

static void no_memory_for_what_the_socket_does_not_take(void **state)
{
	(void)state;
	static char bytes[16 << 10];
	ends.small_buffers = 4096;
	open_ends();
	assert_true(tls_ends_shake(&ends));
	struct iovec iov = {bytes, sizeof(bytes)};
	mem_fail_after(0);
	assert_int_equal(stream_write(server, &iov, 1), -1);
	mem_fail_after(-1);
	assert_int_equal(errno, ENOMEM);
	/* A part of a record is out: nothing can follow it, and nothing counts as delivered. */
	assert_true(stream_has_output(server));
	assert_false(stream_flush(server));
	assert_int_equal(stream_write(server, &iov, 1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(shakes_hands),
		TEST(a_plain_stream_has_shaken_hands),
		TEST(a_numeric_name_is_checked_and_not_sent),
		TEST(refuses_a_wrong_name),
		TEST(refuses_a_wrong_address),
		TEST(refuses_an_expired_certificate),
		TEST(refuses_a_self_signed_certificate),
		TEST(refuses_an_unknown_authority),
		TEST(trusts_anybody_when_told_to),
		TEST(sends_the_chain),
		TEST(garbage_instead_of_a_hello),
		TEST(a_stalled_handshake_just_waits),
		TEST(resumes_sessions),
		TEST(tickets_outlive_a_change_of_keys_but_not_three),
		TEST(a_session_is_good_for_its_context_only),
		TEST(chooses_a_certificate_by_name),
		TEST(demands_a_certificate),
		TEST(asks_for_a_certificate),
		TEST(tells_what_is_wrong_with_files),
		TEST(tells_what_is_wrong_with_authorities),
		TEST(megabytes_both_ways_through_tiny_buffers),
		TEST(what_is_left_goes_out_by_itself),
		TEST(small_pieces_become_one_record),
		TEST(an_end_is_announced),
		TEST(a_cut_is_no_end),
		TEST(a_close_says_so_and_an_abort_does_not),
		TEST(what_came_before_a_break_can_be_read),
		TEST(silence),
		TEST(a_session_without_memory),
		TEST(no_memory_for_what_the_socket_does_not_take),
	};
	tls_file("ca.pem"); /* they are made once for all tests */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
