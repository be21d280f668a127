/* base/: the heap, the list, the map, the table and text, each against a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/net_range.h"
#include "base/packet.h"
#include "base/str.h"
#include "base/table.h"

enum { MEMBERS = 64, STEPS = 200000 };

/* Numerical Recipes' 64-bit LCG, of which the high bits are good. */
static uint64_t random_below(uint64_t below)
{
	static uint64_t x = 42;
	x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (x >> 33) % below;
}

static int tear_down(void **state)
{
	(void)state;
	mem_fail_after(-1);
	return 0;
}

/* --- heap ------------------------------------------------------------------------------------ */

static void check_top(const struct heap *h, const struct heap_node *nodes)
{
	size_t count = 0;
	int64_t least = INT64_MAX;
	for (size_t i = 0; i < MEMBERS; i++) {
		if (!nodes[i].place)
			continue;
		count++;
		least = nodes[i].key < least ? nodes[i].key : least;
		assert_ptr_equal(h->nodes[nodes[i].place - 1], &nodes[i]);
	}
	assert_int_equal(h->count, count);
	if (count)
		assert_int_equal(heap_top(h)->key, least);
	else
		assert_null(heap_top(h));
}

static void heap_gives_the_least_key(void **state)
{
	(void)state;
	struct heap h;
	struct heap_node nodes[MEMBERS] = {{0}};
	heap_init(&h);
	assert_true(heap_reserve(&h, MEMBERS));
	for (int step = 0; step < STEPS; step++) {
		struct heap_node *n = &nodes[random_below(MEMBERS)];
		if (random_below(3) == 0)
			heap_remove(&h, n);
		else
			heap_set(&h, n, (int64_t)random_below(50) - 25);
		check_top(&h, nodes);
	}
	heap_release(&h);
}

static void heap_sorts(void **state)
{
	(void)state;
	enum { MANY = 5000 };
	struct heap h;
	struct heap_node *nodes = calloc(MANY, sizeof(*nodes));
	heap_init(&h);
	for (size_t i = 0; i < MANY; i++) {
		assert_true(heap_reserve(&h, i + 1));
		heap_set(&h, &nodes[i], (int64_t)random_below(1000000));
	}
	int64_t last = INT64_MIN;
	for (size_t i = 0; i < MANY; i++) {
		struct heap_node *top = heap_top(&h);
		assert_true(top->key >= last);
		last = top->key;
		heap_remove(&h, top);
		assert_int_equal(top->place, 0);
	}
	assert_null(heap_top(&h));
	heap_release(&h);
	free(nodes);
}

static void heap_without_memory_is_as_it_was(void **state)
{
	(void)state;
	struct heap h;
	struct heap_node node = {0};
	heap_init(&h);
	mem_fail_after(0);
	assert_false(heap_reserve(&h, 1));
	assert_true(heap_reserve(&h, 1));
	heap_set(&h, &node, 7);
	mem_fail_after(0);
	assert_false(heap_reserve(&h, 1000));
	assert_int_equal(heap_top(&h)->key, 7);
	heap_release(&h);
}

/* --- list ------------------------------------------------------------------------------------ */

struct member {
	int number;
	struct list link;
};

static void check_list(const struct list *head, const int *numbers, size_t count)
{
	size_t i = 0;
	LIST_EACH(it, head, struct member, link) {
		assert_true(i < count);
		assert_int_equal(it->number, numbers[i++]);
		assert_true(list_is_linked(&it->link));
	}
	assert_int_equal(i, count);
	assert_int_equal(list_is_empty(head), count == 0);
	for (struct list *l = head->prev; l != head; l = l->prev)
		assert_int_equal(LIST_OWNER(l, struct member, link)->number, numbers[--i]);
}

static size_t place_of(const int *numbers, size_t count, int number)
{
	size_t at = 0;
	while (at < count && numbers[at] != number)
		at++;
	return at;
}

static void insert_number(int *numbers, size_t *count, size_t at, int number)
{
	memmove(&numbers[at + 1], &numbers[at], (*count - at) * sizeof(*numbers));
	numbers[at] = number;
	++*count;
}

static void list_keeps_its_order(void **state)
{
	(void)state;
	enum { FEW = 12 };
	struct member members[FEW];
	int numbers[FEW + 1];
	size_t count = 0;
	struct list head;
	list_init(&head);
	for (int i = 0; i < FEW; i++) {
		members[i].number = i;
		list_init(&members[i].link);
	}
	for (int step = 0; step < STEPS / 4; step++) {
		struct member *it = &members[random_below(FEW)];
		const struct member *at = &members[random_below(FEW)];
		size_t place = place_of(numbers, count, it->number);
		assert_int_equal(list_is_linked(&it->link), place < count);
		list_remove(&it->link); /* harmless if it is on none */
		if (place < count)
			memmove(&numbers[place], &numbers[place + 1],
				(--count - place) * sizeof(*numbers));
		size_t before = place_of(numbers, count, at->number);
		switch (random_below(4)) {
		case 0:
			list_push_front(&head, &it->link);
			insert_number(numbers, &count, 0, it->number);
			break;
		case 1:
			list_push_back(&head, &it->link);
			insert_number(numbers, &count, count, it->number);
			break;
		case 2:
			if (before < count) {
				list_insert_before((struct list *)&at->link, &it->link);
				insert_number(numbers, &count, before, it->number);
			}
			break;
		default:
			break;
		}
		check_list(&head, numbers, count);
	}
}

static void list_may_lose_a_member_while_walked(void **state)
{
	(void)state;
	struct member members[5];
	struct list head;
	list_init(&head);
	for (int i = 0; i < 5; i++) {
		members[i].number = i;
		list_push_back(&head, &members[i].link);
	}
	LIST_EACH(it, &head, struct member, link)
		if (it->number != 2)
			list_remove(&it->link);
	check_list(&head, (int[]){2}, 1);
	assert_int_equal(LIST_FIRST(&head, struct member, link)->number, 2);
}

/* --- map ------------------------------------------------------------------------------------- */

/* So many names, put and removed at random; other names in each round, so that runs also wrap. */
static void use_map(int round, size_t names_count, int steps)
{
	enum { NAMES = 200 };
	static char names[NAMES][24];
	int values[NAMES][2];
	void *expected[NAMES] = {0};
	size_t count = 0;
	struct map m;
	map_init(&m);
	assert_null(map_get(&m, "nobody"));
	map_remove(&m, "nobody");
	for (size_t i = 0; i < names_count; i++)
		snprintf(names[i], sizeof(names[i]), "%d.%d", round, (int)i);
	for (int step = 0; step < steps; step++) {
		size_t i = random_below(names_count);
		/* For a while it grows, then it shrinks, so that holes close in long runs too. */
		if (random_below(10) < (step / 500 % 2 ? 3 : 7)) {
			void *value = &values[i][random_below(2)];
			assert_true(map_put(&m, names[i], value));
			count += !expected[i];
			expected[i] = value;
		} else {
			char other[24];
			snprintf(other, sizeof(other), "%s", names[i]); /* an equal name will do */
			map_remove(&m, other);
			count -= expected[i] != NULL;
			expected[i] = NULL;
		}
		assert_int_equal(m.count, count);
		for (size_t k = 0; (step % 500 == 0 || names_count < 20) && k < names_count; k++)
			assert_ptr_equal(map_get(&m, names[k]), expected[k]);
	}
	map_release(&m);
}

static void map_remembers_names(void **state)
{
	(void)state;
	use_map(0, 200, STEPS);
	for (int round = 1; round < 100; round++)
		use_map(round, 12, 500); /* three quarters of the least capacity */
}

static void map_without_memory_is_as_it_was(void **state)
{
	(void)state;
	static char names[12][16];
	struct map m;
	map_init(&m);
	mem_fail_after(0);
	assert_false(map_put(&m, "a", names));
	assert_null(map_get(&m, "a"));
	for (int i = 0; i < 12; i++) { /* three quarters of sixteen are full now */
		snprintf(names[i], sizeof(names[i]), "%d", i);
		assert_true(map_put(&m, names[i], names[i]));
	}
	mem_fail_after(0);
	assert_false(map_put(&m, "more", names));
	assert_null(map_get(&m, "more"));
	for (int i = 0; i < 12; i++)
		assert_ptr_equal(map_get(&m, names[i]), names[i]);
	map_release(&m);
}

/* --- table ----------------------------------------------------------------------------------- */

static void table_never_uses_an_id_twice(void **state)
{
	(void)state;
	enum { IDS = 300 };
	struct {
		uint64_t id;
		bool there;
	} known[IDS] = {{0}};
	int objects[IDS];
	struct table t;
	uint64_t last = 0;
	size_t count = 0;
	table_init(&t);
	assert_null(table_get(&t, 0));
	assert_null(table_get(&t, 1));
	for (int step = 0; step < STEPS; step++) {
		size_t i = random_below(IDS);
		table_remove(&t, known[i].id); /* harmless if it is gone */
		count -= known[i].there;
		known[i].there = false;
		assert_null(table_get(&t, known[i].id));
		if (random_below(2)) {
			known[i].id = table_add(&t, &objects[i]);
			known[i].there = true;
			count++;
			assert_true(known[i].id > last); /* the greater is the newer */
			last = known[i].id;
		}
		size_t j = random_below(IDS);
		assert_ptr_equal(table_get(&t, known[j].id), known[j].there ? &objects[j] : NULL);
		assert_int_equal(t.count, count);
	}
	assert_null(table_get(&t, UINT64_MAX));
	table_release(&t);
}

static void table_without_memory_gives_no_id(void **state)
{
	(void)state;
	int object;
	struct table t;
	table_init(&t);
	mem_fail_after(0);
	assert_int_equal(table_add(&t, &object), 0);
	uint64_t id = table_add(&t, &object);
	for (int i = 1; i < 64; i++)
		assert_int_not_equal(table_add(&t, &object), 0);
	mem_fail_after(0);
	assert_int_equal(table_add(&t, &object), 0);
	assert_ptr_equal(table_get(&t, id), &object);
	table_release(&t);
}

/* --- text ------------------------------------------------------------------------------------ */

static void slices_compare(void **state)
{
	(void)state;
	assert_true(slice_is(SLICE("GET"), "GET"));
	assert_false(slice_is(SLICE("GET"), "GETS"));
	assert_false(slice_is(SLICE("GETS"), "GET"));
	assert_false(slice_is(SLICE("get"), "GET"));
	assert_true(slice_is_nocase(SLICE("cOnTent"), "Content"));
	assert_false(slice_is_nocase(SLICE("content"), "contents"));
	assert_true(slice_starts(SLICE("/sdapi/v1"), "/sdapi/"));
	assert_false(slice_starts(SLICE("/sd"), "/sdapi/"));
	assert_true(slice_starts(SLICE(""), ""));
	assert_int_equal(slice_of(NULL).len, 0);
	assert_int_equal(slice_of("four").len, 4);
}

static void slices_trim(void **state)
{
	(void)state;
	static const struct {
		const char *text, *trimmed;
	} rows[] = {{" a ", "a"}, {"a", "a"},	      {"", ""},
		    {" \t ", ""}, {"\ta b\t", "a b"}, {"\r", "\r"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_true(slice_is(slice_trim(slice_of(rows[i].text)), rows[i].trimmed));
}

static void lists_of_text_are_taken_apart(void **state)
{
	(void)state;
	static const struct {
		const char *list, *elements;
	} rows[] = {{"a,b,c", "a|b|c|"}, {" a , b ", "a|b|"}, {"", ""},	    {",,", ""},
		    {"a,,b,", "a|b|"},	 {"a b", "a b|"},     {",a", "a|"}, {" , \t,x", "x|"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct slice list = slice_of(rows[i].list), element;
		char got[64] = "";
		while (slice_next_in_list(&list, &element)) {
			strncat(got, element.at, element.len);
			strcat(got, "|");
		}
		assert_string_equal(got, rows[i].elements);
	}
}

static void str_grows(void **state)
{
	(void)state;
	struct str s;
	char expected[5000] = "";
	size_t len = 0;
	str_init(&s);
	while (len < sizeof(expected) - 64) {
		char piece[64];
		int n = snprintf(piece, sizeof(piece), "%d,", (int)random_below(1000000));
		memcpy(expected + len, piece, (size_t)n + 1);
		len += (size_t)n;
		switch (random_below(4)) {
		case 0:
			str_add_text(&s, piece);
			break;
		case 1:
			str_add_slice(&s, slice_of(piece));
			break;
		case 2:
			str_printf(&s, "%s", piece);
			break;
		default:
			for (int i = 0; i < n; i++)
				str_add_char(&s, piece[i]);
		}
		assert_int_equal(s.len, len);
		assert_false(s.failed);
		assert_string_equal(s.at, expected);
	}
	str_clear(&s);
	assert_int_equal(s.len, 0);
	assert_string_equal(s.at, "");
	str_release(&s);
	assert_null(s.at);
}

static void str_writes_numbers(void **state)
{
	(void)state;
	static const uint64_t numbers[] = {0, 1, 9, 10, 99, 100, UINT32_MAX, UINT64_MAX};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		struct str s;
		char expected[32];
		str_init(&s);
		str_add_u64(&s, numbers[i]);
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)numbers[i]);
		assert_false(s.failed);
		assert_string_equal(s.at, expected);
		str_release(&s);
	}
}

static void str_writes_json(void **state)
{
	(void)state;
	static const struct {
		struct slice text;
		const char *json;
	} rows[] = {
		{{"", 0}, "\"\""},
		{{"plain", 5}, "\"plain\""},
		{{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
		{{"\n\t", 2}, "\"\\u000a\\u0009\""},
		{{"\0", 1}, "\"\\u0000\""},
		{{"\x7f\xe9", 2}, "\"\\u007f\\u00e9\""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct str s;
		str_init(&s);
		str_add_json(&s, rows[i].text.at, rows[i].text.len);
		assert_false(s.failed);
		assert_string_equal(s.at, rows[i].json);
		str_release(&s);
	}
}

static void str_without_memory_stays_as_it_was(void **state)
{
	(void)state;
	struct str s;
	char big[1000];
	memset(big, 'x', sizeof(big));
	str_init(&s);
	str_add_text(&s, "kept");
	assert_false(s.failed);
	mem_fail_after(0);
	str_add(&s, big, sizeof(big));
	assert_true(s.failed);
	str_add_text(&s, "no more");
	str_printf(&s, "%d", 1);
	assert_string_equal(s.at, "kept");
	str_clear(&s);
	assert_false(s.failed);
	str_add(&s, big, sizeof(big));
	assert_int_equal(s.len, sizeof(big));
	str_release(&s);
}

static void ranges_hold_their_addresses(void **state)
{
	static const struct {
		const char *range, *address;
		bool holds;
	} rows[] = {
		{"10.0.0.0/8", "10.255.0.1:1", true},
		{"10.0.0.0/8", "11.0.0.1:1", false},
		{"10.1.2.3", "10.1.2.3:1", true},
		{"10.1.2.3", "10.1.2.4:1", false},
		{"10.1.2.128/25", "10.1.2.129:1", true},
		{"10.1.2.128/25", "10.1.2.127:1", false},
		{"0.0.0.0/0", "1.2.3.4:1", true},
		{"0.0.0.0/0", "[::1]:1", false},
		{"::/0", "[2001:db8::1]:1", true},
		{"2001:db8::/32", "[2001:db8:1::]:1", true},
		{"2001:db8::/33", "[2001:db8:8000::]:1", false},
		{"2001:db8::/33", "[2001:db8:7fff::]:1", true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct net_range r;
		struct net_address a;
		assert_null(net_range_parse(rows[i].range, &r));
		assert_null(net_parse(rows[i].address, &a));
		assert_int_equal(net_range_holds(&r, &a), rows[i].holds);
	}
}

static void hosts_are_parsed_as_proxies_write_them(void **state)
{
	static const char *const rows[][2] = {
		{"1.2.3.4", "1.2.3.4"},
		{"1.2.3.4:80", "1.2.3.4"},
		{"2001:db8::1", "2001:db8::1"},
		{"[::1]", "::1"},
		{"[::1]:80", "::1"},
		{"", NULL},
		{"[", NULL},
		{"[]", NULL},
		{"[1.2.3.4]", NULL},
		{"1.2.3.4:", NULL},
		{"1.2.3.4:x", NULL},
		{"1.2.3.4:123456", NULL},
		{"[::1]80", NULL},
		{"1.2.3", NULL},
		{"unknown", NULL},
		{"_hidden", NULL},
		{"1.2.3.4]", NULL},
		{":80", NULL},
		{"1.2.3.4 ", NULL},
		{"1111111111111111111111111111111111111111111111111111111111", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct net_address a;
		char text[NET_TEXT_BYTES];
		assert_int_equal(net_parse_host(slice_of(rows[i][0]), &a), rows[i][1] != NULL);
		if (!rows[i][1])
			continue;
		net_format_host(&a, text);
		assert_string_equal(text, rows[i][1]);
	}
}

static void base64_there_and_back(void **state)
{
	(void)state;
	/* RFC 4648, 10. */
	static const char *const rows[][2] = {
		{"", ""},	 {"f", "Zg=="},	       {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xfb\xff\xbe", "+/++"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct str text, bytes;
		str_init_must(&text);
		str_init_must(&bytes);
		str_add(&text, "", 0);
		base64_encode(slice_of(rows[i][0]), &text);
		assert_string_equal(text.at, rows[i][1]);
		assert_true(base64_decode(slice_of(text.at), &bytes));
		str_add(&bytes, "", 0);
		assert_string_equal(bytes.at, rows[i][0]);
		str_release(&text);
		str_release(&bytes);
	}
}

static void dates_are_written_as_http_does(void **state)
{
	char text[CLOCK_TEXT_BYTES];
	(void)state;
	clock_format_http(INT64_C(784111777) * US_PER_S, text);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

/* The kernel tells of a reset before it gives what was said before that. */
static void who_leaves_words_unread_is_still_heard_out(void **state)
{
	int ends[2], fd;
	char bytes[8];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_true(packet_send(ends[0], "one", 3, -1));
	assert_true(packet_send(ends[0], "two", 3, -1));
	assert_true(packet_send(ends[1], "unread", 6, -1));
	close(ends[0]);
	assert_int_equal(packet_receive(ends[1], bytes, sizeof(bytes), &fd), 3);
	assert_memory_equal(bytes, "one", 3);
	assert_int_equal(packet_receive(ends[1], bytes, sizeof(bytes), &fd), 3);
	assert_memory_equal(bytes, "two", 3);
	assert_int_equal(packet_receive(ends[1], bytes, sizeof(bytes), &fd), 0);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_hold_their_addresses),
		cmocka_unit_test(hosts_are_parsed_as_proxies_write_them),
		cmocka_unit_test(base64_there_and_back),
		cmocka_unit_test(dates_are_written_as_http_does),
		cmocka_unit_test(who_leaves_words_unread_is_still_heard_out),
		cmocka_unit_test(heap_gives_the_least_key),
		cmocka_unit_test(heap_sorts),
		cmocka_unit_test_teardown(heap_without_memory_is_as_it_was, tear_down),
		cmocka_unit_test(list_keeps_its_order),
		cmocka_unit_test(list_may_lose_a_member_while_walked),
		cmocka_unit_test(map_remembers_names),
		cmocka_unit_test_teardown(map_without_memory_is_as_it_was, tear_down),
		cmocka_unit_test(table_never_uses_an_id_twice),
		cmocka_unit_test_teardown(table_without_memory_gives_no_id, tear_down),
		cmocka_unit_test(slices_compare),
		cmocka_unit_test(slices_trim),
		cmocka_unit_test(lists_of_text_are_taken_apart),
		cmocka_unit_test(str_grows),
		cmocka_unit_test(str_writes_numbers),
		cmocka_unit_test(str_writes_json),
		cmocka_unit_test_teardown(str_without_memory_stays_as_it_was, tear_down),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
