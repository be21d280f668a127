/* What bounds clients: the count of an address's connections, the floor under rates, and the
 * budget of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <netinet/in.h>

#include <cmocka.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/mem.h"
#include "gateway/clients.h"
#include "gateway/rate_floor.h"

static struct net_address address(const char *text)
{
	struct net_address a;
	assert_null(net_parse(text, &a));
	return a;
}

/* As an IPv6 socket shows an IPv4 client: net_parse takes no such address. */
static struct net_address mapped(uint8_t last)
{
	struct net_address a = address("[::1]:1");
	struct sockaddr_in6 *v6 = &a.v6;
	v6->sin6_addr = (struct in6_addr){
		.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = last}};
	return a;
}

/* --- clients --------------------------------------------------------------------------------- */

static void an_address_stands_for_one_client(void **state)
{
	(void)state;
	static const struct {
		const char *address, *client;
	} rows[] = {
		{"192.0.2.7:1000", "192.0.2.7"},
		{"192.0.2.7:2000", "192.0.2.7"},
		{"[2001:db8:1:2::1]:1", "2001:0db8:0001:0002::/64"},
		{"[2001:db8:1:2:ffff::1]:1", "2001:0db8:0001:0002::/64"},
		{"[2001:db8:1:3::1]:1", "2001:0db8:0001:0003::/64"},
	};
	char text[NET_TEXT_BYTES];
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct net_address a = address(rows[i].address);
		net_format_client(&a, text);
		assert_string_equal(text, rows[i].client);
		assert_false(net_is_loopback(&a));
	}
	struct net_address a = mapped(9);
	net_format_client(&a, text);
	assert_string_equal(text, "192.0.2.9"); /* not all IPv4 clients in one /64 */
	assert_false(net_is_loopback(&a));
	a = address("127.8.0.1:1");
	assert_true(net_is_loopback(&a));
	a = address("[::1]:1");
	assert_true(net_is_loopback(&a));
}

static void connections_are_counted_by_client(void **state)
{
	(void)state;
	struct map clients;
	map_init(&clients);
	struct net_address one = address("192.0.2.7:1"), other = mapped(8),
			   v6 = address("[2001::1]:1");
	struct net_address neighbour = address("[2001::2]:1");
	struct client *a = clients_enter(&clients, &one), *b = clients_enter(&clients, &one);
	struct client *c = clients_enter(&clients, &other), *d = clients_enter(&clients, &v6);
	struct client *e = clients_enter(&clients, &neighbour);
	assert_int_equal(clients_count(&clients, &one), 2);
	assert_int_equal(clients_count(&clients, &other), 1);
	assert_int_equal(clients_count(&clients, &neighbour), 2);
	assert_int_equal(clients.count, 3);
	clients_leave(&clients, a);
	assert_int_equal(clients_count(&clients, &one), 1);
	clients_leave(&clients, b);
	assert_int_equal(clients_count(&clients, &one), 0);
	clients_leave(&clients, c);
	clients_leave(&clients, d);
	clients_leave(&clients, e);
	clients_leave(&clients, NULL);
	assert_int_equal(clients.count, 0); /* entries go with their last connection */
	map_release(&clients);
}

static void without_memory_a_client_is_not_counted(void **state)
{
	(void)state;
	struct net_address one = address("192.0.2.7:1");
	for (int i = 0; i < 2; i++) {
		struct map clients;
		map_init(&clients);
		mem_fail_after(i);
		assert_null(clients_enter(&clients, &one));
		mem_fail_after(-1);
		assert_int_equal(clients_count(&clients, &one), 0);
		clients_leave(&clients, clients_enter(&clients, &one));
		map_release(&clients);
	}
}

/* --- rates ----------------------------------------------------------------------------------- */

#define S US_PER_S

static void a_rate_is_judged_window_by_window(void **state)
{
	(void)state;
	struct rate_floor f;
	rate_floor_begin(&f, rate_floor_bytes(240, 5 * S), 5 * S, 1000, 100 * S);
	assert_int_equal(f.least_bytes, 1200);
	assert_int_equal(rate_floor_due_us(&f), 105 * S);
	assert_true(rate_floor_is_met(&f, 1000, 105 * S - 1)); /* nothing, but in its grace */
	assert_true(rate_floor_is_met(&f, 2200, 105 * S));     /* just enough */
	assert_int_equal(rate_floor_due_us(&f), 110 * S);
	assert_false(rate_floor_is_met(&f, 3399, 110 * S)); /* a byte too few */
	assert_false(rate_floor_is_met(&f, 3399, 111 * S));
}

static void a_fast_start_is_no_credit(void **state)
{
	(void)state;
	struct rate_floor f;
	rate_floor_begin(&f, 100, S, 0, 0);
	assert_true(rate_floor_is_met(&f, 1 << 30, S));
	assert_false(rate_floor_is_met(&f, (1 << 30) + 99, 2 * S));
}

/* Whoever was not looked at for a minute need not have sent a minute's worth. */
static void a_late_look_asks_for_one_window(void **state)
{
	(void)state;
	struct rate_floor f;
	rate_floor_begin(&f, 100, S, 0, 0);
	assert_true(rate_floor_is_met(&f, 100, 60 * S));
	assert_int_equal(rate_floor_due_us(&f), 61 * S);
}

static void no_floor_is_never_due(void **state)
{
	(void)state;
	struct rate_floor f;
	rate_floor_begin(&f, rate_floor_bytes(0, S), S, 0, 0);
	assert_int_equal(rate_floor_due_us(&f), INT64_MAX);
	assert_true(rate_floor_is_met(&f, 0, INT64_MAX - 1));
	assert_int_equal(rate_floor_bytes(1, US_PER_MS), 1); /* less than a byte is still one */
	assert_true(rate_floor_bytes(INT64_C(1) << 30, 86400 * S) > INT64_C(1) << 40);
}

/* --- memory ---------------------------------------------------------------------------------- */

static void a_budget_has_two_marks(void **state)
{
	(void)state;
	struct budget b = {.limit_bytes = 1000};
	int64_t one = 0, other = 0;
	budget_hold(&b, &one, 500);
	budget_hold(&b, &other, 399);
	assert_false(budget_is_tight(&b));
	budget_hold(&b, &other, 400);
	assert_true(budget_is_tight(&b));
	assert_false(budget_is_spent(&b));
	budget_hold(&b, &one, 600);
	assert_true(budget_is_spent(&b));
	b.limit_bytes = 2000; /* a reload */
	assert_false(budget_is_tight(&b));
	budget_hold(&b, &one, 0);
	budget_hold(&b, &other, 0);
	assert_int_equal(b.used_bytes, 0);
}

static void the_machine_has_some_memory(void **state)
{
	(void)state;
	assert_true(budget_machine_bytes() > 16 << 20);
	assert_true(budget_machine_bytes() < INT64_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_stands_for_one_client),
		cmocka_unit_test(connections_are_counted_by_client),
		cmocka_unit_test(without_memory_a_client_is_not_counted),
		cmocka_unit_test(a_rate_is_judged_window_by_window),
		cmocka_unit_test(a_fast_start_is_no_credit),
		cmocka_unit_test(a_late_look_asks_for_one_window),
		cmocka_unit_test(no_floor_is_never_due),
		cmocka_unit_test(a_budget_has_two_marks),
		cmocka_unit_test(the_machine_has_some_memory),
	};
	return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
