/*
 * bench-pod: so many pods in one process, each on a port of its own, each with one GPU: jobs
 * that come together are worked off one after the other, and one whose client has left goes
 * on. They keep account of what a gateway in front of them does: the highest number of jobs
 * at once, the time that a pod idles between an answer's last byte and the next request's
 * first, the order of arrival.
 *
 *	bench-pod --pods 8 --first-port 21000 --work-us 5000 --answer-bytes 64
 *
 * It is told on its standard input: "open" and "shut" its ports, "reset" its account, "report" it
 * as a line of JSON; it answers each with a line, and ends with its input. It begins shut.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/net.h"
#include "tests/bench/histogram.h"
#include "tests/bench/message.h"

enum {
	EVENTS = 256,
	READ_BYTES = 1 << 20,
	PODS_MAX = 10000,
};

/* What a connection's request has come to. The states from RECEIVING on count as a job. */
enum job_state { JOB_NONE, JOB_RECEIVING, JOB_WAITING, JOB_WORKING, JOB_ANSWERING };

struct connection {
	struct pod *pod;
	int fd; /* -1: it is gone, and its job goes on without it */
	enum job_state state;
	struct message request;
	size_t sent; /* of the answer */
	int64_t due_ns;
	TAILQ_ENTRY(connection) turn; /* in its pod's queue, then among those at work */
	TAILQ_ENTRY(connection) link; /* among its pod's connections */
};
TAILQ_HEAD(connections, connection);

struct pod {
	struct net_address address;
	int listener; /* -1: shut */
	struct connections all, waiting;
	bool works;
	int jobs, most;
	int64_t ended_ns; /* the last answer's last byte; 0: none since the reset */
};

static struct {
	struct pod *pods;
	int count;
	int64_t work_ns;
	char *answer;
	size_t answer_bytes;
	int epoll;
	struct connections working; /* all work takes equally long: first in, first out */

	uint64_t requests, abandoned, out_of_order;
	int64_t opened_ns, first_ns, cpu_ns; /* first_ns: of a request since "open" */
	int64_t number_max, arrivals, worst_place;
	struct histogram gap;
} bench;

static void die(const char *what)
{
	fprintf(stderr, "bench-pod: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int fd, void *owner, uint32_t events, int how)
{
	struct epoll_event e = {.events = events, .data.ptr = owner};
	if (epoll_ctl(bench.epoll, how, fd, &e) != 0)
		die("epoll_ctl");
}

/* --- the account ----------------------------------------------------------------------------- */

static void account_first_byte(struct pod *p)
{
	int64_t now_ns = bench_now_ns();
	if (!bench.first_ns)
		bench.first_ns = now_ns;
	if (p->jobs == 0 && p->ended_ns)
		histogram_add(&bench.gap, now_ns - p->ended_ns);
	if (++p->jobs > p->most)
		p->most = p->jobs;
}

static void account_arrival(const struct connection *c)
{
	int64_t number = message_number(&c->request), place = bench.arrivals;
	bench.requests++;
	if (number < 0)
		return;
	bench.arrivals++;
	if (number < bench.number_max)
		bench.out_of_order++;
	else
		bench.number_max = number;
	if (llabs(number - place) > bench.worst_place)
		bench.worst_place = llabs(number - place);
}

static void account_reset(void)
{
	histogram_clear(&bench.gap);
	bench.requests = bench.abandoned = bench.out_of_order = 0;
	bench.number_max = bench.arrivals = bench.worst_place = 0;
	bench.cpu_ns = bench_cpu_ns();
	for (int i = 0; i < bench.count; i++) {
		bench.pods[i].most = bench.pods[i].jobs;
		bench.pods[i].ended_ns = 0;
	}
}

static void account_report(void)
{
	int most = 0;
	for (int i = 0; i < bench.count; i++)
		if (bench.pods[i].most > most)
			most = bench.pods[i].most;
	printf("{\"requests\": %llu, \"abandoned\": %llu, \"most_jobs\": %d, \"out_of_order\": "
	       "%llu, "
	       "\"worst_place\": %lld, \"first_us\": %.1f, \"cpu_us\": %.1f, \"gap\": ",
	       (unsigned long long)bench.requests, (unsigned long long)bench.abandoned, most,
	       (unsigned long long)bench.out_of_order, (long long)bench.worst_place,
	       bench.first_ns ? (double)(bench.first_ns - bench.opened_ns) / 1e3 : -1,
	       (double)(bench_cpu_ns() - bench.cpu_ns) / 1e3);
	histogram_print(&bench.gap, stdout);
	printf("}\n");
}

/* --- jobs ------------------------------------------------------------------------------------ */

static void serve(struct connection *);

static void job_end(struct connection *c)
{
	struct pod *p = c->pod;
	p->jobs--;
	p->ended_ns = bench_now_ns();
	c->state = JOB_NONE;
	message_begin(&c->request);
}

static void connection_close(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
	if (c->state == JOB_WAITING || c->state == JOB_WORKING)
		return; /* the GPU goes on */
	if (c->state != JOB_NONE)
		job_end(c);
	TAILQ_REMOVE(&c->pod->all, c, link);
	free(c);
}

/* False: the connection is no more. */
static bool answer(struct connection *c)
{
	while (c->sent < bench.answer_bytes) {
		ssize_t n = send(c->fd, bench.answer + c->sent, bench.answer_bytes - c->sent,
				 MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			watch(c->fd, c, EPOLLOUT, EPOLL_CTL_MOD);
			return true;
		}
		if (n < 0) {
			connection_close(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	job_end(c);
	return true;
}

static void work_begin(struct connection *c, int64_t now_ns)
{
	c->pod->works = true;
	c->state = JOB_WORKING;
	c->due_ns = now_ns + bench.work_ns;
	TAILQ_INSERT_TAIL(&bench.working, c, turn);
}

static void work_end(struct connection *c, int64_t now_ns)
{
	struct pod *p = c->pod;
	TAILQ_REMOVE(&bench.working, c, turn);
	p->works = false;
	struct connection *next = TAILQ_FIRST(&p->waiting);
	if (next) {
		TAILQ_REMOVE(&p->waiting, next, turn);
		work_begin(next, now_ns);
	}
	c->state = JOB_ANSWERING;
	c->sent = 0;
	if (c->fd >= 0) {
		answer(c);
		return;
	}
	bench.abandoned++;
	job_end(c);
	TAILQ_REMOVE(&p->all, c, link);
	free(c);
}

static void job_begin(struct connection *c)
{
	account_arrival(c);
	if (bench.work_ns == 0) {
		c->state = JOB_ANSWERING;
		c->sent = 0;
		answer(c);
	} else if (c->pod->works) {
		c->state = JOB_WAITING;
		TAILQ_INSERT_TAIL(&c->pod->waiting, c, turn);
	} else {
		work_begin(c, bench_now_ns());
	}
}

static void serve(struct connection *c)
{
	size_t got;
	if (c->state == JOB_ANSWERING) {
		if (answer(c) && c->state == JOB_NONE)
			watch(c->fd, c, EPOLLIN, EPOLL_CTL_MOD);
		return;
	}
	if (c->state > JOB_RECEIVING) { /* there is nothing to read but that it has gone */
		connection_close(c);
		return;
	}
	enum message_progress progress = message_read(&c->request, c->fd, READ_BYTES, &got);
	if (progress == MESSAGE_CLOSED || progress == MESSAGE_BAD) {
		connection_close(c);
		return;
	}
	if (got && c->state == JOB_NONE) {
		c->state = JOB_RECEIVING;
		account_first_byte(c->pod);
	}
	if (progress == MESSAGE_END)
		job_begin(c);
}

/* --- ports and orders ------------------------------------------------------------------------ */

static void accept_all(struct pod *p)
{
	struct net_address peer;
	for (int fd; (fd = net_accept(p->listener, &peer)) >= 0;) {
		struct connection *c = calloc(1, sizeof(*c));
		if (!c)
			die("memory");
		c->pod = p;
		c->fd = fd;
		message_begin(&c->request);
		TAILQ_INSERT_TAIL(&p->all, c, link);
		watch(fd, c, EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void open_ports(void)
{
	bench.first_ns = 0;
	bench.opened_ns = bench_now_ns();
	for (int i = 0; i < bench.count; i++) {
		struct pod *p = &bench.pods[i];
		if (p->listener >= 0)
			continue;
		p->listener = net_listen(&p->address, &p->address);
		if (p->listener < 0)
			die("listen");
		watch(p->listener, p, EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void shut_ports(void)
{
	for (int i = 0; i < bench.count; i++) {
		struct pod *p = &bench.pods[i];
		struct connection *c, *next;
		if (p->listener >= 0)
			close(p->listener);
		p->listener = -1;
		for (c = TAILQ_FIRST(&p->all); c; c = next) {
			next = TAILQ_NEXT(c, link);
			if (c->fd >= 0)
				connection_close(c);
		}
	}
}

static void obey(void)
{
	char line[64];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);
	if (n <= 0)
		exit(0);
	line[n] = '\0';
	if (strcmp(line, "report\n") == 0) {
		account_report();
	} else {
		if (strcmp(line, "open\n") == 0)
			open_ports();
		else if (strcmp(line, "shut\n") == 0)
			shut_ports();
		else if (strcmp(line, "reset\n") == 0)
			account_reset();
		else
			exit(2);
		printf("done\n");
	}
	fflush(stdout);
}

static void run_due(void)
{
	struct connection *c = TAILQ_FIRST(&bench.working);
	if (!c)
		return;
	int64_t now_ns = bench_now_ns();
	for (; c && c->due_ns <= now_ns; c = TAILQ_FIRST(&bench.working))
		work_end(c, now_ns);
}

static int wait_for(struct epoll_event *events)
{
	const struct connection *first = TAILQ_FIRST(&bench.working);
	if (!first)
		return epoll_wait(bench.epoll, events, EVENTS, -1);
	int64_t wait_ns = first->due_ns - bench_now_ns();
	if (wait_ns < 0)
		wait_ns = 0;
	struct timespec t = {wait_ns / 1000000000, wait_ns % 1000000000};
	return epoll_pwait2(bench.epoll, events, EVENTS, &t, NULL);
}

static bool is_pod(const void *owner)
{
	const struct pod *p = owner;
	return p >= bench.pods && p < bench.pods + bench.count;
}

/* One event a descriptor and turn, so a connection freed by its own is not met again. "shut" may
 * free any: what is left of that turn is dropped. */
static void run(void)
{
	struct epoll_event events[EVENTS];
	for (;;) {
		int n = wait_for(events);
		bool told = false;
		for (int i = 0; i < n && !told; i++) {
			void *owner = events[i].data.ptr;
			if (!owner) {
				obey();
				told = true;
			} else if (is_pod(owner)) {
				accept_all(owner);
			} else {
				serve(owner);
			}
		}
		run_due();
	}
}

/* --- the start ------------------------------------------------------------------------------- */

static void make_answer(size_t body_bytes)
{
	char head[128];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 body_bytes);
	bench.answer_bytes = (size_t)n + body_bytes;
	bench.answer = malloc(bench.answer_bytes);
	if (!bench.answer)
		die("memory");
	memcpy(bench.answer, head, (size_t)n);
	memset(bench.answer + n, 'x', body_bytes);
}

static void make_pods(int count, int first_port)
{
	bench.count = count;
	bench.pods = calloc((size_t)count, sizeof(*bench.pods));
	if (!bench.pods)
		die("memory");
	for (int i = 0; i < count; i++) {
		char text[NET_TEXT_BYTES];
		snprintf(text, sizeof(text), "127.0.0.1:%d", first_port + i);
		if (net_parse(text, &bench.pods[i].address))
			die(text);
		bench.pods[i].listener = -1;
		TAILQ_INIT(&bench.pods[i].all);
		TAILQ_INIT(&bench.pods[i].waiting);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"pods", required_argument, NULL, 'n'},
						{"first-port", required_argument, NULL, 'p'},
						{"work-us", required_argument, NULL, 'w'},
						{"answer-bytes", required_argument, NULL, 'a'},
						{NULL, 0, NULL, 0}};
	long pods = 1, port = 0, work_us = 0, answer_bytes = 64;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		long *into = o == 'n'	? &pods
			     : o == 'p' ? &port
			     : o == 'w' ? &work_us
			     : o == 'a' ? &answer_bytes
					: NULL;
		if (!into)
			return 2;
		*into = strtol(optarg, NULL, 10);
	}
	if (pods < 1 || pods > PODS_MAX || port < 1 || port + pods > 65536 || answer_bytes < 0) {
		fprintf(stderr, "bench-pod: --pods, --first-port or --answer-bytes is missing\n");
		return 2;
	}
	net_raise_descriptor_limit();
	bench.epoll = epoll_create1(EPOLL_CLOEXEC);
	TAILQ_INIT(&bench.working);
	bench.work_ns = work_us * 1000;
	make_answer((size_t)answer_bytes);
	make_pods((int)pods, (int)port);
	account_reset();
	watch(STDIN_FILENO, NULL, EPOLLIN, EPOLL_CTL_ADD);
	run();
}
