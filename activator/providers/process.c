/* Pods that are local processes. */
#include "activator/providers/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "activator/providers/output.h"
#include "activator/providers/process_spec.h"
#include "activator/providers/supervisor.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

enum { PORT_MAX = 65535, PORT_TRIES = 20, INDEX_MAX = 1023, NAME_BYTES = 64, REASON_BYTES = 240 };

enum process_state { STARTING, READY, STOPPING, ENDED, PROCESS_STATES };

struct process_provider {
	struct provider base;
	struct provider_host host;
	const struct service_config *config;
	struct list processes[PROCESS_STATES];
	int64_t wanted;
	uint64_t starts; /* so far */
	bool closing;
	bool let_go;	    /* its processes are another gateway's */
	int first_choice;   /* the index behind the one that failed last: it may do better */
	int failures;	    /* in a row */
	int64_t failed_us;  /* when the last of them was counted */
	bool failure_told;  /* the ledger knows that scaling fails */
	struct timer retry; /* set: no starts until then */
	struct task reaper; /* frees what has ended, and says when all are gone */
	provider_gone_fn *gone_fn;
	void *gone_owner;
};

/* When to look again while somebody may be about to take over. */
static const int64_t PAUSE_US = 100 * US_PER_MS;

struct process {
	struct list link;
	enum process_state state;
	struct process_provider *provider;
	int index;
	struct net_address address;
	uint64_t pod;	     /* 0: its program does not run yet */
	struct child *child; /* NULL: it has ended */
	int64_t started_us;
	struct timer startup; /* when it must be ready */
	struct output output;
	char name[NAME_BYTES];
};

static void reconcile(struct process_provider *s);

static int64_t now_us(const struct process_provider *s)
{
	return loop_now_us(s->host.loop);
}

static void move(struct process *p, enum process_state to)
{
	p->state = to;
	list_remove(&p->link);
	list_push_back(&p->provider->processes[to], &p->link);
	if (to != STARTING)
		timer_clear(&p->startup);
}

/* --- failures -------------------------------------------------------------------------------- */

static int64_t back_off_us(const struct process_provider *s)
{
	const struct process_pods_config *c = &s->config->process;
	int64_t us = c->backoff_base_us;
	for (int i = 1; i < s->failures && us < c->backoff_max_us; i++)
		us *= 2;
	return us < c->backoff_max_us ? us : c->backoff_max_us;
}

static void pause_until(struct process_provider *s, int64_t at_us)
{
	if (!timer_is_set(&s->retry) || s->retry.node.key < at_us)
		timer_set(&s->retry, at_us);
}

/* `hopeless`: another try will not go better by itself. */
static void fail(struct process_provider *s, int64_t started_us, bool hopeless, const char *reason)
{
	int64_t now = now_us(s);
	log_warn("%s: %s", s->config->name, reason);
	if (started_us > s->failed_us) { /* else it was started with one that has been counted */
		s->failures++;
		s->failed_us = now;
		pause_until(s, now + back_off_us(s));
	}
	if (!hopeless && s->failures < s->config->process.startup_failures)
		return;
	s->failure_told = true;
	int64_t until_us = timer_is_set(&s->retry) ? s->retry.node.key : now;
	service_scaling_failed(s->host.service, reason, until_us, now);
	s->host.changed(s->host.owner);
}

static void succeed(struct process_provider *s)
{
	s->failures = 0;
	s->failed_us = INT64_MIN;
	if (!s->failure_told)
		return;
	s->failure_told = false;
	service_scaling_failed(s->host.service, NULL, 0, now_us(s));
	s->host.changed(s->host.owner);
}

static void on_retry(void *owner)
{
	reconcile(owner);
}

/* --- stopping and ending --------------------------------------------------------------------- */

static void stop(struct process *p)
{
	if (p->state == STOPPING || p->state == ENDED)
		return;
	log_info("%s: stopping %s", p->provider->config->name, p->name);
	move(p, STOPPING);
	supervisor_stop(p->child, p->provider->config->process.stop_grace_us);
}

static void on_startup_timeout(void *owner)
{
	struct process *p = owner;
	struct process_provider *s = p->provider;
	char reason[REASON_BYTES];
	snprintf(reason, sizeof(reason), "%s was not ready within %.1f s of its start", p->name,
		 (double)s->config->process.startup_timeout_us / US_PER_S);
	/* No grants any more, whatever it answers while it ends. */
	service_pod_absent(s->host.service, p->pod, now_us(s));
	stop(p);
	fail(s, p->started_us, false, reason);
	s->host.changed(s->host.owner);
}

static void process_free(struct process *p)
{
	list_remove(&p->link);
	timer_release(&p->startup);
	output_close(&p->output);
	mem_free(p);
}

static void reap(void *owner)
{
	struct process_provider *s = owner;
	while (!list_is_empty(&s->processes[ENDED]))
		process_free(LIST_FIRST(&s->processes[ENDED], struct process, link));
	for (int i = 0; i < ENDED && !s->let_go; i++)
		if (!list_is_empty(&s->processes[i]))
			return;
	provider_gone_fn *gone = s->gone_fn;
	s->gone_fn = NULL;
	if (gone)
		gone(s->gone_owner);
}

static void describe_end(const struct child_event *event, char text[REASON_BYTES / 2])
{
	int status = event->status;
	if (event->kind == CHILD_LOST)
		snprintf(text, REASON_BYTES / 2, "ended with its supervisor");
	else if (WIFSIGNALED(status))
		snprintf(text, REASON_BYTES / 2, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, REASON_BYTES / 2, "exited with status %d", WEXITSTATUS(status));
}

static void describe_fault(const struct process *p, const struct child_event *event,
			   char text[REASON_BYTES])
{
	const struct process_pods_config *c = &p->provider->config->process;
	const char *what = c->command[0], *doing = "start";
	if (event->step == CHILD_STEP_EXEC)
		doing = "execute";
	if (event->step == CHILD_STEP_SUPERVISOR)
		doing = "start a supervisor for";
	if (event->step == CHILD_STEP_DIRECTORY && c->directory) {
		doing = "enter the directory";
		what = c->directory;
	}
	snprintf(text, REASON_BYTES, "cannot %s \"%.150s\": %s", doing, what,
		 strerror(event->error));
}

/* It and all that it started are gone; what that means depends on where it was. */
static void judge_end(struct process *p, enum process_state was, const struct child_event *event)
{
	struct process_provider *s = p->provider;
	char reason[REASON_BYTES], end[REASON_BYTES / 2];
	describe_end(event, end);
	if (event->kind == CHILD_FAILED) {
		describe_fault(p, event, reason);
		bool hopeless =
			event->step == CHILD_STEP_DIRECTORY || event->step == CHILD_STEP_EXEC;
		fail(s, p->started_us, hopeless, reason);
	} else if (was == STARTING) {
		snprintf(reason, sizeof(reason), "%s %s before it was ready", p->name, end);
		fail(s, p->started_us, false, reason);
	} else if (was == READY) {
		log_warn("%s: %s %s", s->config->name, p->name, end);
		pause_until(s, p->started_us + s->config->process.backoff_base_us);
	} else {
		log_info("%s: %s %s", s->config->name, p->name, end);
	}
}

static struct coldstart *start_of(const struct process *p)
{
	return coldstarts_by_key(service_coldstarts(p->provider->host.service), p->name);
}

static void begin_start(const struct process *p)
{
	struct coldstarts *all = service_coldstarts(p->provider->host.service);
	struct coldstart *c =
		coldstarts_begin(all, p->name, p->name, COLDSTART_OF_PROCESS, p->started_us);
	if (!c)
		return;
	coldstart_set(c, COLDSTART_CREATED, p->started_us, COLDSTART_OWN);
	service_start_comes(p->provider->host.service, c, p->started_us);
}

static void on_end(struct process *p, const struct child_event *event)
{
	struct process_provider *s = p->provider;
	enum process_state was = p->state;
	p->child = NULL;
	output_finish(&p->output);
	move(p, ENDED);
	coldstarts_end(service_coldstarts(s->host.service), start_of(p));
	service_pod_gone(s->host.service, p->pod, now_us(s));
	judge_end(p, was, event);
	s->host.changed(s->host.owner);
	reconcile(s);
	loop_defer(s->host.loop, &s->reaper);
}

/* Only now does the ledger hear of it: a program that cannot be executed was never a pod. */
static void on_start(struct process *p, pid_t pid)
{
	struct process_provider *s = p->provider;
	log_info("%s: %s is process %d", s->config->name, p->name, (int)pid);
	if (p->state != STARTING)
		return; /* stopped before it ran */
	p->pod = service_pod_add(s->host.service, p->name, true, p, now_us(s));
	struct coldstart *c = start_of(p);
	if (c)
		coldstart_set(c, COLDSTART_STARTED, now_us(s), COLDSTART_OWN);
	service_pod_starts(s->host.service, p->pod, c);
	s->host.changed(s->host.owner);
	if (p->pod)
		return;
	stop(p);
	fail(s, p->started_us, false, "no memory for another pod");
}

static void on_child(void *owner, const struct child_event *event)
{
	struct process *p = owner;
	if (event->kind == CHILD_STARTED)
		on_start(p, event->pid);
	else
		on_end(p, event);
}

static void on_line(void *owner, const char *line, size_t len)
{
	const struct process *p = owner;
	log_info("[%s/%d] %.*s", p->provider->config->name, p->index, (int)len, line);
}

/* --- starting -------------------------------------------------------------------------------- */

static bool index_is_free(const struct process_provider *s, int index)
{
	for (int i = 0; i < ENDED; i++)
		LIST_EACH(p, &s->processes[i], struct process, link)
			if (p->index == index)
				return false;
	return true;
}

/* To a pod that may not have bound it yet. */
static bool port_is_promised(const struct process_provider *s, int port)
{
	for (int i = 0; i < ENDED; i++)
		LIST_EACH(p, &s->processes[i], struct process, link)
			if (net_port(&p->address) == port)
				return true;
	return false;
}

static int index_count(const struct process_provider *s)
{
	int64_t most = s->config->autoscaling.max_scale;
	return most > 0 && most <= INDEX_MAX ? (int)most : INDEX_MAX + 1;
}

/* The smallest, but those that have just failed come last: one dead GPU must not keep the others
 * from work. -1: all are in use. */
static int free_index(const struct process_provider *s)
{
	int count = index_count(s);
	for (int i = 0; i < count; i++) {
		int index = (s->first_choice + i) % count;
		if (index_is_free(s, index))
			return index;
	}
	return -1;
}

/* The port, or any for 0, if nobody listens there at the moment; 0: errno. */
static int free_port(int port)
{
	char text[32];
	struct net_address a = {0};
	snprintf(text, sizeof(text), "127.0.0.1:%d", port);
	net_parse(text, &a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && port) /* connections of a pod before it may linger there */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	bool bound = fd >= 0 && bind(fd, &a.sa, a.len) == 0 && getsockname(fd, &a.sa, &a.len) == 0;
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return bound ? net_port(&a) : 0;
}

/* 0: there is none; `why` says. A stranger on a pod's port would pass for the pod. */
static int choose_port(const struct process_provider *s, int index, char why[REASON_BYTES])
{
	int64_t first = s->config->process.first_port;
	if (first + index > PORT_MAX) {
		snprintf(why, REASON_BYTES, "there is no port %lld for process-%d",
			 (long long)first + index, index);
		return 0;
	}
	for (int i = 0; !first && i < PORT_TRIES; i++) {
		int port = free_port(0);
		if (port && !port_is_promised(s, port))
			return port;
	}
	int wanted = first ? (int)first + index : 0, port = wanted ? free_port(wanted) : 0;
	if (!port)
		snprintf(why, REASON_BYTES, "port %d of process-%d cannot be used: %s", wanted,
			 index, strerror(errno));
	return port;
}

static struct process *process_new(struct process_provider *s, int index, int port)
{
	struct process *p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	list_init(&p->link);
	p->provider = s;
	p->index = index;
	p->output.io.fd = -1;
	p->started_us = now_us(s);
	char text[32];
	snprintf(text, sizeof(text), "127.0.0.1:%d", port);
	net_parse(text, &p->address);
	snprintf(p->name, sizeof(p->name), "process-%d@%s#%llu", index, text,
		 (unsigned long long)++s->starts);
	if (timer_init(&p->startup, s->host.loop, on_startup_timeout, p))
		return p;
	mem_free(p);
	return NULL;
}

/* Its output's writing end; -1: errno. The reading end is watched. */
static int open_output(struct process *p)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	if (output_open(&p->output, p->provider->host.loop, ends[0], on_line, p))
		return ends[1];
	close(ends[1]);
	errno = ENOMEM;
	return -1;
}

/* Hands it to the supervisor. 0, or an errno. */
static int launch(struct process *p)
{
	struct process_provider *s = p->provider;
	int output = open_output(p);
	if (output < 0)
		return errno;
	struct process_spec spec;
	if (!process_spec_init(&spec, &s->config->process, net_port(&p->address), p->index)) {
		close(output);
		return ENOMEM;
	}
	p->child = supervisor_start(s->host.supervisor, &spec.child, output, on_child, p);
	process_spec_release(&spec);
	return p->child ? 0 : ENOMEM;
}

/* False: none can be started now. */
static bool start_one(struct process_provider *s)
{
	char reason[REASON_BYTES] = "no memory for another pod";
	int index = free_index(s);
	if (index < 0)
		return false; /* one that ends gives its index back */
	int port = choose_port(s, index, reason);
	struct process *p = port ? process_new(s, index, port) : NULL;
	int error = p ? launch(p) : 0;
	if (p && !error) {
		log_info("%s: starting %s", s->config->name, p->name);
		begin_start(p);
		move(p, STARTING);
		timer_set(&p->startup, p->started_us + s->config->process.startup_timeout_us);
		return true;
	}
	if (error)
		snprintf(reason, sizeof(reason), "cannot start another pod: %s", strerror(error));
	if (p)
		process_free(p);
	s->first_choice = index + 1;
	fail(s, now_us(s), false, reason);
	return false;
}

static int64_t running(const struct process_provider *s)
{
	int64_t n = 0;
	for (int i = STARTING; i <= READY; i++)
		LIST_EACH(p, &s->processes[i], struct process, link)
			n += p->child != NULL;
	return n;
}

/* Starts what is missing, unless a failure's back-off holds. */
static void reconcile(struct process_provider *s)
{
	int64_t missing =
		s->closing || s->let_go || !s->config->process.command ? 0 : s->wanted - running(s);
	if (missing > 0 && supervisor_is_paused(s->host.supervisor)) {
		pause_until(s, now_us(s) + PAUSE_US);
		return;
	}
	while (missing-- > 0 && !timer_is_set(&s->retry) && start_one(s))
		continue;
}

/* --- the interface --------------------------------------------------------------------------- */

static struct process_provider *self_of(struct provider *p)
{
	return (struct process_provider *)(void *)p;
}

/* NULL: it is no more. */
static struct process *process_of(const struct process_provider *s, uint64_t id)
{
	const struct pod *pod = service_pod(s->host.service, id);
	return pod ? pod->provider_data : NULL;
}

static void scale(struct provider *base, int64_t replicas)
{
	struct process_provider *s = self_of(base);
	s->wanted = replicas;
	coldstarts_ordered(service_coldstarts(s->host.service), replicas, now_us(s));
	reconcile(s);
}

static void remove_pod(struct provider *base, uint64_t pod)
{
	struct process *p = process_of(self_of(base), pod);
	if (p)
		stop(p);
}

static void became_ready(struct provider *base, uint64_t pod)
{
	struct process *p = process_of(self_of(base), pod);
	if (!p || p->state != STARTING)
		return;
	log_info("%s: %s is ready after %.1f s", p->provider->config->name, p->name,
		 (double)(now_us(p->provider) - p->started_us) / US_PER_S);
	move(p, READY);
	succeed(p->provider);
}

static const struct net_address *address(const struct provider *base, uint64_t pod)
{
	const struct process *p =
		process_of((const struct process_provider *)(const void *)base, pod);
	return p ? &p->address : NULL;
}

/* Whoever reloads may have mended what failed. */
static void reload(struct provider *base, const struct service_config *config)
{
	struct process_provider *s = self_of(base);
	s->config = config;
	timer_clear(&s->retry);
	succeed(s);
	reconcile(s);
}

static void shutdown_all(struct provider *base, provider_gone_fn *gone, void *owner)
{
	struct process_provider *s = self_of(base);
	s->closing = true;
	s->gone_fn = gone;
	s->gone_owner = owner;
	for (int i = STARTING; i <= READY && !s->let_go; i++) {
		LIST_EACH(p, &s->processes[i], struct process, link) {
			service_pod_absent(s->host.service, p->pod, now_us(s));
			stop(p);
		}
	}
	s->host.changed(s->host.owner);
	loop_defer(s->host.loop, &s->reaper);
}

static void free_provider(struct provider *base)
{
	struct process_provider *s = self_of(base);
	for (int i = 0; i < PROCESS_STATES; i++) {
		LIST_EACH(p, &s->processes[i], struct process, link) {
			if (p->child && !s->let_go)
				supervisor_abandon(p->child, s->config->process.stop_grace_us);
			process_free(p);
		}
	}
	timer_release(&s->retry);
	task_cancel(&s->reaper);
	mem_free(s);
}

/* --- to another process, and from one -------------------------------------------------------- */

static void each(const struct provider *base, provider_pod_fn *fn, void *arg)
{
	const struct process_provider *s = (const struct process_provider *)(const void *)base;
	for (int i = STARTING; i < ENDED; i++) {
		LIST_EACH(p, &s->processes[i], struct process, link) {
			struct provider_pod pod = {
				.name = p->name,
				.index = p->index,
				.port = net_port(&p->address),
				.starts = (int64_t)s->starts,
				.started_us = p->started_us,
				.state = p->state,
				.child = supervisor_child_id(p->child),
				.pid = supervisor_child_pid(p->child),
				.output = p->output.io.fd,
			};
			fn(arg, &pod);
		}
	}
}

static bool is_sane(const struct provider_pod *pod)
{
	return pod->index >= 0 && pod->index <= INDEX_MAX && pod->port > 0 &&
	       pod->port <= PORT_MAX && pod->state >= STARTING && pod->state < ENDED &&
	       pod->pid >= 0 && pod->pid <= INT32_MAX && pod->starts >= 0 &&
	       strlen(pod->name) < NAME_BYTES;
}

static bool adopt(struct provider *base, const struct provider_pod *pod)
{
	struct process_provider *s = self_of(base);
	struct process *p = is_sane(pod) ? process_new(s, (int)pod->index, (int)pod->port) : NULL;
	if (p)
		p->child = supervisor_adopt_child(s->host.supervisor, pod->child, (pid_t)pod->pid,
						  on_child, p);
	if (!p || !p->child) {
		if (pod->output >= 0)
			close(pod->output);
		if (p)
			process_free(p);
		return false;
	}
	if (pod->output >= 0)
		output_open(&p->output, s->host.loop, pod->output, on_line, p);
	snprintf(p->name, sizeof(p->name), "%s", pod->name);
	p->started_us = pod->started_us;
	if (s->starts < (uint64_t)pod->starts)
		s->starts = (uint64_t)pod->starts;
	const struct pod *known = service_pod_by_name(s->host.service, p->name);
	if (known)
		p->pod = service_pod_add(s->host.service, p->name, true, p, now_us(s));
	move(p, (enum process_state)pod->state);
	if (p->state == STARTING)
		timer_set(&p->startup, p->started_us + s->config->process.startup_timeout_us);
	return true;
}

static void let_go(struct provider *base)
{
	struct process_provider *s = self_of(base);
	s->let_go = true;
	timer_clear(&s->retry);
	for (int i = 0; i < PROCESS_STATES; i++) {
		LIST_EACH(p, &s->processes[i], struct process, link) {
			timer_clear(&p->startup);
			output_close(&p->output);
		}
	}
}

struct provider *process_provider_new(const struct provider_host *host,
				      const struct service_config *config)
{
	static const struct provider_ops ops = {
		.scale = scale,
		.remove = remove_pod,
		.became_ready = became_ready,
		.address = address,
		.reload = reload,
		.shutdown = shutdown_all,
		.free = free_provider,
		.each = each,
		.adopt = adopt,
		.let_go = let_go,
	};
	struct process_provider *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->base.ops = &ops;
	s->host = *host;
	s->config = config;
	s->failed_us = INT64_MIN;
	for (int i = 0; i < PROCESS_STATES; i++)
		list_init(&s->processes[i]);
	task_init(&s->reaper, reap, s);
	if (timer_init(&s->retry, host->loop, on_retry, s))
		return &s->base;
	mem_free(s);
	return NULL;
}
