/*
 * bench-load: so many clients, each on a connection of its own that it keeps, each with one request
 * at a time; and as cheap as that can be had.
 *
 *	bench-load --to 127.0.0.1:8080 --clients 64 --seconds 3 --warm-ms 500 --path /job
 *
 * It says "begin" when the warm-up is over and its account starts, and at the end a line of JSON. A
 * --body makes it POST. With several --to, client i goes to address i modulo their number.
 *
 * --up-rate and --down-rate (bytes a second, of each client) make it slow: it then sends or reads a
 * little every 10 ms. --once sends one request from each client and numbers them ("?n="), --pace-us
 * apart; it says "sent" when all are with the kernel, waits for the answers or the end of its
 * input, and then leaves, whatever is under way.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/net.h"
#include "tests/bench/histogram.h"
#include "tests/bench/message.h"

enum {
	EVENTS = 256,
	READ_BYTES = 1 << 20,
	ADDRESSES_MAX = 10000,
	HEAD_MAX = 512,
	SLOW_BUFFER_BYTES = 32 << 10,
	SLOW_SEGMENT_BYTES = 1448,
};
static const int64_t tick_ns = 10000000, ns_per_s = 1000000000;

enum client_state { CLIENT_IDLE, CLIENT_CONNECTING, CLIENT_SENDING, CLIENT_WAITING, CLIENT_DONE };

struct client {
	int index, fd;
	enum client_state state;
	bool is_read_slowly; /* by the tick, not by events */
	size_t sent;
	int64_t began_ns; /* the request */
	int64_t link_ns;  /* a slow client's link: looked at last, */
	int64_t link_may; /* and carries so many bytes now */
	struct message answer;
};

static struct {
	struct net_address to[ADDRESSES_MAX];
	long addresses, count, seconds, warm_ms, body, up_rate, down_rate, pace_us;
	bool once;
	const char *path;

	char *request; /* its head is alike for all but the number in it */
	size_t request_bytes, number_at;
	struct client *clients;
	int epoll;
	bool counts, leaves;
	long begun, sent_whole, done; /* with --once */
	int64_t began_ns, cpu_ns;
	uint64_t answers, refused, broken, bytes_up, bytes_down;
	struct histogram latency;
} bench;

static void die(const char *what)
{
	fprintf(stderr, "bench-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(struct client *c, uint32_t events, int how)
{
	struct epoll_event e = {.events = events, .data.ptr = c};
	if (epoll_ctl(bench.epoll, how, c->fd, &e) != 0)
		die("epoll_ctl");
}

/* --- a request ------------------------------------------------------------------------------- */

/* With --once the number in the request's head is this client's. */
static void number_request(const struct client *c)
{
	char digits[9];
	if (!bench.once)
		return;
	snprintf(digits, sizeof(digits), "%08d", c->index);
	memcpy(bench.request + bench.number_at, digits, 8);
}

/* As over a network: with the segments of one, and a window that is soon full. With loopback's 64
 * KiB segments the kernel would take all of an answer for its slow reader. */
static int connect_slowly(const struct net_address *a)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){SLOW_BUFFER_BYTES}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &(int){SLOW_SEGMENT_BYTES}, sizeof(int));
	if (connect(fd, &a->sa, a->len) != 0 && errno != EINPROGRESS)
		die("connect");
	return fd;
}

static void client_connect(struct client *c)
{
	const struct net_address *to = &bench.to[c->index % bench.addresses];
	c->fd = bench.up_rate || bench.down_rate ? connect_slowly(to) : net_connect(to);
	if (c->fd < 0)
		die("connect");
	c->state = CLIENT_CONNECTING;
	watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void client_broken(struct client *c)
{
	bench.broken += bench.counts;
	close(c->fd);
	c->is_read_slowly = false;
	if (bench.once) {
		c->state = CLIENT_DONE;
		bench.done++;
	} else {
		client_connect(c);
	}
}

/* A link keeps no time that was not used, but for what a late tick of ours has cost it. */
static int64_t link_carries(struct client *c, int64_t bytes_per_s)
{
	int64_t now_ns = bench_now_ns(), most = bytes_per_s / 10;
	c->link_may += (now_ns - c->link_ns) / 1000 * bytes_per_s / 1000000;
	c->link_ns = now_ns;
	if (c->link_may > most)
		c->link_may = most;
	return c->link_may;
}

/* How much of the request may be with the kernel by now. */
static size_t may_send(struct client *c)
{
	if (!bench.up_rate)
		return bench.request_bytes;
	size_t most = c->sent + (size_t)link_carries(c, bench.up_rate);
	return most < bench.request_bytes ? most : bench.request_bytes;
}

static void client_send(struct client *c)
{
	number_request(c);
	size_t most = may_send(c);
	while (c->sent < most) {
		ssize_t n = send(c->fd, bench.request + c->sent, most - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			if (!bench.up_rate)
				watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
			return;
		}
		if (n < 0) {
			client_broken(c);
			return;
		}
		bench.bytes_up += bench.counts ? (uint64_t)n : 0;
		c->sent += (size_t)n;
		c->link_may -= n;
	}
	if (c->sent < bench.request_bytes)
		return;
	c->state = CLIENT_WAITING;
	bench.sent_whole++;
}

static void client_begin(struct client *c)
{
	c->state = CLIENT_SENDING;
	c->sent = 0;
	c->began_ns = c->link_ns = bench_now_ns();
	c->link_may = 0;
	message_begin(&c->answer);
	client_send(c);
}

static void client_answered(struct client *c)
{
	if (bench.counts) {
		bool good = message_status(&c->answer) == 200;
		bench.answers += good;
		bench.refused += !good;
		histogram_add(&bench.latency, bench_now_ns() - c->began_ns);
	}
	if (c->is_read_slowly)
		watch(c, EPOLLIN, EPOLL_CTL_ADD);
	c->is_read_slowly = false;
	if (bench.once) {
		c->state = CLIENT_DONE;
		bench.done++;
	} else {
		client_begin(c);
	}
}

static void client_read(struct client *c, size_t most)
{
	size_t got;
	enum message_progress p = message_read(&c->answer, c->fd, most, &got);
	bench.bytes_down += bench.counts ? got : 0;
	c->link_may -= (int64_t)got;
	if (p == MESSAGE_END) {
		client_answered(c);
	} else if (p == MESSAGE_CLOSED || p == MESSAGE_BAD) {
		client_broken(c);
	} else if (bench.down_rate && c->answer.has_head && !c->is_read_slowly) {
		c->link_ns = bench_now_ns();
		c->link_may = 0;
		c->is_read_slowly = true;
		watch(c, 0, EPOLL_CTL_DEL);
	}
}

/* A slow reader's head comes alone, then what its link has carried since. */
static void client_read_slowly(struct client *c)
{
	int64_t may = link_carries(c, bench.down_rate);
	if (may > 0)
		client_read(c, (size_t)may);
}

/* --- the loop -------------------------------------------------------------------------------- */

static void on_event(struct client *c, uint32_t events)
{
	if (c->state == CLIENT_CONNECTING) {
		if (net_take_error(c->fd) != 0)
			die("connect");
		watch(c, EPOLLIN, EPOLL_CTL_MOD);
		client_begin(c);
		return;
	}
	if (c->state == CLIENT_SENDING && events & EPOLLOUT) {
		client_send(c);
		if (c->state == CLIENT_WAITING)
			watch(c, EPOLLIN, EPOLL_CTL_MOD);
	}
	/* An answer may come, and end, before the request has. */
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && c->state != CLIENT_DONE)
		client_read(c, bench.down_rate ? MESSAGE_HEAD_BYTES / 4 : READ_BYTES);
	else if (c->state == CLIENT_DONE)
		watch(c, 0, EPOLL_CTL_DEL); /* it has closed; so shall we, with all others */
}

static void tick(void)
{
	for (long i = 0; i < bench.count; i++) {
		struct client *c = &bench.clients[i];
		if (c->is_read_slowly)
			client_read_slowly(c);
		else if (bench.up_rate && c->state == CLIENT_SENDING)
			client_send(c);
	}
}

/* With --pace-us, or for slow clients that must not all do the same thing at once. */
static int64_t pace_ns(void)
{
	int64_t rate = bench.up_rate ? bench.up_rate : bench.down_rate;
	if (bench.pace_us || !rate)
		return bench.pace_us * 1000;
	return 3 * ns_per_s / bench.count;
}

static void begin_those_due(int64_t now_ns, int64_t start_ns)
{
	int64_t pace = pace_ns();
	while (bench.begun < bench.count && start_ns + bench.begun * pace <= now_ns)
		client_connect(&bench.clients[bench.begun++]);
}

static void report(int64_t now_ns)
{
	printf("{\"seconds\": %.6f, \"answers\": %llu, \"refused\": %llu, \"broken\": %llu, "
	       "\"bytes_up\": %llu, \"bytes_down\": %llu, \"cpu_us\": %.1f, \"latency\": ",
	       (double)(now_ns - bench.began_ns) / 1e9, (unsigned long long)bench.answers,
	       (unsigned long long)bench.refused, (unsigned long long)bench.broken,
	       (unsigned long long)bench.bytes_up, (unsigned long long)bench.bytes_down,
	       (double)(bench_cpu_ns() - bench.cpu_ns) / 1e3);
	histogram_print(&bench.latency, stdout);
	printf("}\n");
	fflush(stdout);
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void count_from(int64_t now_ns)
{
	bench.counts = true;
	bench.began_ns = now_ns;
	bench.cpu_ns = bench_cpu_ns();
	say("begin");
}

/* Whether it is all over. */
static bool is_over(int64_t now_ns)
{
	if (bench.once)
		return bench.leaves || bench.done == bench.count;
	return bench.leaves ||
	       (bench.counts && now_ns - bench.began_ns >= bench.seconds * ns_per_s);
}

static void wait_and_handle(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(bench.epoll, events, EVENTS, timeout_ms);
	for (int i = 0; i < n; i++) {
		char line[64];
		if (events[i].data.ptr)
			on_event(events[i].data.ptr, events[i].events);
		else if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
			bench.leaves = true;
	}
}

static void run(void)
{
	int64_t start_ns = bench_now_ns(), next_tick_ns = start_ns + tick_ns;
	bool said_sent = false, slow = bench.up_rate || bench.down_rate;
	if (bench.once)
		count_from(start_ns);
	for (int64_t now_ns = start_ns; !is_over(now_ns); now_ns = bench_now_ns()) {
		begin_those_due(now_ns, start_ns);
		if (!bench.counts && now_ns - start_ns >= bench.warm_ms * 1000000)
			count_from(now_ns);
		if (bench.once && !said_sent && bench.sent_whole == bench.count) {
			said_sent = true;
			say("sent");
		}
		if (slow && now_ns >= next_tick_ns) {
			next_tick_ns += tick_ns;
			tick();
		}
		bool hurries = bench.begun < bench.count || slow;
		wait_and_handle(hurries ? 1 : bench.once && said_sent ? -1 : 20);
	}
	report(bench_now_ns());
}

/* --- the start ------------------------------------------------------------------------------- */

static void make_request(void)
{
	char head[HEAD_MAX];
	int n = snprintf(head, sizeof(head),
			 "%s %s%s HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\n"
			 "Accept: */*\r\n",
			 bench.body ? "POST" : "GET", bench.path, bench.once ? "?n=00000000" : "");
	if (bench.body)
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			      "Content-Type: application/json\r\nContent-Length: %ld\r\n",
			      bench.body);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	bench.request_bytes = (size_t)n + (size_t)bench.body;
	bench.request = malloc(bench.request_bytes);
	if (!bench.request)
		die("memory");
	memcpy(bench.request, head, (size_t)n);
	memset(bench.request + n, 'y', (size_t)bench.body);
	bench.number_at = strlen(bench.body ? "POST " : "GET ") + strlen(bench.path) + 3;
}

static void add_address(const char *text)
{
	if (bench.addresses == ADDRESSES_MAX || net_parse(text, &bench.to[bench.addresses]))
		die(text);
	bench.addresses++;
}

static const struct option options[] = {{"to", required_argument, NULL, 't'},
					{"path", required_argument, NULL, 'p'},
					{"once", no_argument, NULL, 'o'},
					{"clients", required_argument, NULL, 'n'},
					{"seconds", required_argument, NULL, 's'},
					{"warm-ms", required_argument, NULL, 'w'},
					{"body", required_argument, NULL, 'b'},
					{"up-rate", required_argument, NULL, 'u'},
					{"down-rate", required_argument, NULL, 'd'},
					{"pace-us", required_argument, NULL, 'c'},
					{NULL, 0, NULL, 0}};

static long *number_for(int option)
{
	switch (option) {
	case 'n':
		return &bench.count;
	case 's':
		return &bench.seconds;
	case 'w':
		return &bench.warm_ms;
	case 'b':
		return &bench.body;
	case 'u':
		return &bench.up_rate;
	case 'd':
		return &bench.down_rate;
	case 'c':
		return &bench.pace_us;
	default:
		exit(2);
	}
}

static void read_options(int argc, char **argv)
{
	bench.count = bench.seconds = 1;
	bench.path = "/job";
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (o == 't')
			add_address(optarg);
		else if (o == 'p')
			bench.path = optarg;
		else if (o == 'o')
			bench.once = true;
		else
			*number_for(o) = strtol(optarg, NULL, 10);
	}
	if (bench.addresses == 0 || bench.count < 1 || strlen(bench.path) > HEAD_MAX / 2) {
		fprintf(stderr, "bench-load: --to or --clients is missing, or --path too long\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	net_raise_descriptor_limit();
	make_request();
	bench.epoll = epoll_create1(EPOLL_CLOEXEC);
	bench.clients = calloc((size_t)bench.count, sizeof(*bench.clients));
	if (!bench.clients)
		die("memory");
	for (int i = 0; i < bench.count; i++)
		bench.clients[i].index = i;
	struct epoll_event e = {.events = EPOLLIN};
	if (epoll_ctl(bench.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) != 0)
		die("standard input");
	run();
	return 0;
}
