/*
 * demo_pod: an AUTOMATIC1111-shaped HTTP/1.1 server that stands in for a GPU.
 *
 * A thread per connection; one FIFO lock as the GPU; an audit of who worked when. What it does
 * like the WebUI, where a gateway may trip over it: it goes on computing when the client has left;
 * interrupt and skip hit whatever runs; progress names no task, and shows an idle pod while
 * POST options or refresh-* hold the lock; 40 waiting handlers block progress and interrupt, too;
 * it listens before /sdapi exists; it closes idle connections after --keep-alive.
 *
 * Flags and the X-Demo-* headers that make it misbehave: options.c and fault.c, or --help.
 *
 * Life: parse -> bind -> cold start (bound, not listening: refused) -> listen -> /sdapi is 404
 * for --api-delay -> API up -> SIGTERM: stop accepting, finish what has arrived, exit 0.
 * The main thread does nothing but this; it waits for each step in sigtimedwait.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "pod.h"

#define STACK_SIZE (512 * 1024)
#define BACKLOG	   2048 /* uvicorn's */

struct listener {
	struct pod *pod;
	int fd;
	int stop_fd; /* -1 = accepts until the process ends */
	void (*serve)(struct pod *pod, int fd);
	pthread_mutex_t mutex;
	pthread_cond_t gone;
	uint64_t connections; /* open now */
};

struct connection {
	struct listener *listener;
	int fd;
};

static void fail(const char *what, const char *detail)
{
	fprintf(stderr, "demo-pod: %s%s: %s\n", what, detail, strerror(errno));
	exit(1);
}

/* Binds without listening: the port is ours, and connections to it are refused until then. */
static int bind_port(const char *host, uint64_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		fail("socket", "");
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		fprintf(stderr, "demo-pod: --host: \"%s\" is not an IPv4 address\n", host);
		exit(2);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		char text[32];

		snprintf(text, sizeof(text), "%" PRIu64, port);
		fail("cannot bind port ", text);
	}
	return fd;
}

static void *serve_connection(void *arg)
{
	struct connection c = *(struct connection *)arg;
	struct listener *l = c.listener;

	free(arg);
	l->serve(l->pod, c.fd);
	pthread_mutex_lock(&l->mutex);
	l->connections--;
	pthread_cond_broadcast(&l->gone);
	pthread_mutex_unlock(&l->mutex);
	return NULL;
}

static bool start_thread(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return error == 0;
}

static void refuse(struct listener *l, int fd)
{
	static const char full[] = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n"
				   "connection: close\r\n\r\n";

	if (send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		perror("demo-pod: refusing a connection");
	close(fd);
	pthread_mutex_lock(&l->mutex);
	l->connections--;
	pthread_cond_broadcast(&l->gone);
	pthread_mutex_unlock(&l->mutex);
}

static void handle_accepted(struct listener *l, int fd)
{
	struct connection *c;
	bool room;

	pthread_mutex_lock(&l->mutex);
	room = l->connections++ < l->pod->options.max_connections;
	pthread_mutex_unlock(&l->mutex);
	c = room ? malloc(sizeof(*c)) : NULL;
	if (c)
		*c = (struct connection){l, fd};
	if (!c || !start_thread(serve_connection, c)) {
		free(c);
		refuse(l, fd);
	}
}

static void *accept_loop(void *arg)
{
	struct listener *l = arg;
	struct pollfd p[2] = {{.fd = l->fd, .events = POLLIN},
			      {.fd = l->stop_fd, .events = POLLIN}};

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			break;
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				clock_sleep_us(10000); /* until a descriptor is free again */
			continue;
		}
		if (l->stop_fd >= 0)
			audit_connection(&l->pod->audit);
		handle_accepted(l, fd);
	}
	close(l->fd); /* from here on: refused */
	pthread_mutex_lock(&l->mutex);
	l->fd = -1;
	pthread_cond_broadcast(&l->gone);
	pthread_mutex_unlock(&l->mutex);
	return NULL;
}

static void listener_start(struct listener *l, const char *name)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	char text[INET_ADDRSTRLEN];

	pthread_mutex_init(&l->mutex, NULL);
	pthread_cond_init(&l->gone, NULL);
	if (listen(l->fd, BACKLOG) != 0 ||
	    getsockname(l->fd, (struct sockaddr *)&address, &len) != 0 ||
	    !inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text)))
		fail("listen", "");
	if (!start_thread(accept_loop, l))
		fail("pthread_create", "");
	printf("%s on %s:%u\n", name, text, ntohs(address.sin_port));
	fflush(stdout);
}

/* Waits until nobody is accepted or served any more. */
static void listener_drain(struct listener *l)
{
	pthread_mutex_lock(&l->mutex);
	while (l->fd >= 0 || l->connections)
		pthread_cond_wait(&l->gone, &l->mutex);
	pthread_mutex_unlock(&l->mutex);
}

/* True if the signal to stop came within the time. */
static bool stopped_within(const sigset_t *signals, uint64_t us)
{
	uint64_t until = clock_mono_us() + us;

	for (;;) {
		uint64_t now = clock_mono_us();
		struct timespec left = clock_timespec(now < until ? until - now : 0);

		if (sigtimedwait(signals, NULL, &left) > 0)
			return true;
		if (errno == EAGAIN)
			return false;
	}
}

static void api_up(struct pod *pod)
{
	audit_ready(&pod->audit);
	atomic_store(&pod->api_up, true);
	audit_write_file(&pod->audit);
}

/* The life of the pod after its sockets are bound. */
static int live(struct pod *pod, struct listener *l, const sigset_t *signals)
{
	const struct options *o = &pod->options;
	int signal_number;

	if (stopped_within(signals, o->cold_start_us - o->api_delay_us))
		return 0;
	if (o->fail_start) {
		fprintf(stderr, "demo-pod: failed to start, as --fail-start asked\n");
		return 1;
	}
	/* Without a delay nobody may ever see the 404: up first, then listening. */
	if (!o->api_delay_us)
		api_up(pod);
	listener_start(l, "listening");
	if (!o->api_delay_us || !stopped_within(signals, o->api_delay_us)) {
		if (o->api_delay_us)
			api_up(pod);
		sigwait(signals, &signal_number);
	}
	if (eventfd_write(pod->stop_fd, 1) != 0)
		fail("eventfd", "");
	listener_drain(l);
	return 0;
}

int main(int argc, char **argv)
{
	/* Static: the audit's threads may still read them while the process exits. */
	static struct pod pod;
	static struct listener listener, audit_listener;
	sigset_t signals;
	int status;

	if (!options_parse(&pod.options, argc, argv, &status))
		return status;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* inherited by every thread */

	gpu_init(&pod.gpu, pod.options.unlimited);
	gate_init(&pod.handlers, (uint32_t)pod.options.threads);
	audit_init(&pod.audit, pod.options.audit_file);
	pod.stop_fd = eventfd(0, EFD_CLOEXEC);
	if (pod.stop_fd < 0)
		fail("eventfd", "");
	listener = (struct listener){.pod = &pod, .stop_fd = pod.stop_fd, .serve = pod_serve};
	listener.fd = bind_port(pod.options.host, pod.options.port);
	if (pod.options.audit_port >= 0) {
		audit_listener =
			(struct listener){.pod = &pod, .stop_fd = -1, .serve = pod_serve_audit};
		audit_listener.fd = bind_port(pod.options.host, (uint64_t)pod.options.audit_port);
		listener_start(&audit_listener, "audit");
	}
	status = live(&pod, &listener, &signals);
	audit_write_file(&pod.audit);
	return status;
}
