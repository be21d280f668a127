/* The process provider under the real ledger, with real processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "activator/providers/process.h"
#include "activator/providers/supervisor.h"
#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "tests/torture/failing.h"
#include "tests/unit/deaf_observer.h"

enum { PODS_MAX = 8 };

static char directory[] = "/tmp/slotgate-test-XXXXXX";
static struct loop *loop;
static struct supervisor *supervisor;
static struct service *service;
static struct provider *provider;
static struct config *config;
static struct timer pulse, deadline;
static struct task drain_task;
static enum pod_answer answer; /* of every pod to every question */
static uint64_t newly_ready[PODS_MAX];
static int ready_count;
static struct ticket ticket;
static int granted, refused, shut;
static int backoff_ms;

/* --- a small activator ----------------------------------------------------------------------- */

static void on_pod_moved(void *arg, struct pod *p, enum pod_state from)
{
	(void)arg;
	if (p->state == POD_READY && from != POD_FULL && ready_count < PODS_MAX)
		newly_ready[ready_count++] = p->id;
}

static struct service_observer observer;

static void changed(void *owner)
{
	(void)owner;
	loop_defer(loop, &drain_task);
}

static void carry_out(const struct decision *d)
{
	if (d->kind == DECIDE_SCALE)
		provider_scale(provider, d->replicas);
	else if (d->kind == DECIDE_REMOVE)
		provider_remove(provider, d->pod);
	else if (d->kind == DECIDE_PROBE || d->kind == DECIDE_CHECK_IDLE)
		service_pod_answered(service, d->pod, d->question, answer, loop_now_us(loop));
	granted += d->kind == DECIDE_GRANT;
	refused += d->kind == DECIDE_REFUSE;
}

static void drain(void *owner)
{
	(void)owner;
	struct decision d;
	while (service_next(service, loop_now_us(loop), &d))
		carry_out(&d);
	while (ready_count)
		provider_became_ready(provider, newly_ready[--ready_count]);
	timer_set(&deadline, service_next_deadline_us(service));
}

static void on_deadline(void *owner)
{
	service_tick(service, loop_now_us(loop));
	changed(owner);
}

static void on_pulse(void *owner)
{
	(void)owner;
	loop_stop(loop);
}

/* --- a service ------------------------------------------------------------------------------- */

static struct config *parse(const char *script, int pods, const char *more)
{
	static const char *const form =
		"{\"services\": [{\"name\": \"sd\", \"readiness\": {\"none\": true, "
		"\"period\": \"5ms\", \"coldPeriod\": \"5ms\"}, "
		"\"autoscaling\": {\"minScale\": %d, \"initialScale\": %d, "
		"\"maxScale\": 4, \"tickInterval\": \"10ms\"}, "
		"\"pods\": {\"process\": {\"command\": [\"sh\", \"-c\", \"%s\", \"pod-{index}\"], "
		"\"env\": {\"AT\": \"{index}:{port}{\"}, \"directory\": \"%s\", "
		"\"backoffBase\": \"%dms\", \"backoffMax\": \"%dms\"%s}}}], "
		"\"listeners\": [{\"address\": \"127.0.0.1:0\"}]}";
	struct str text, faults;
	str_init(&text);
	str_init(&faults);
	str_printf(&text, form, pods, pods, script, directory, backoff_ms, 5 * backoff_ms / 2,
		   more);
	struct config *c = config_parse("test", text.at, text.len, &faults);
	if (!c)
		fail_msg("%s", faults.at);
	str_release(&text);
	str_release(&faults);
	return c;
}

/* Replaces what the service runs by this. */
static void reconfigure(const char *script, int pods, const char *more)
{
	struct config *old = config;
	config = parse(script, pods, more);
	service_configure(service, &config->services[0], loop_now_us(loop));
	provider_reload(provider, &config->services[0]);
	config_drop(old);
	changed(NULL);
}

static void start(const char *script, int pods, const char *more)
{
	config = parse(script, pods, more);
	observer = deaf_observer;
	observer.pod_moved = on_pod_moved;
	service = service_new(&config->services[0], true, &observer, NULL, loop_now_us(loop));
	assert_non_null(service);
	struct provider_host host = {
		.loop = loop, .supervisor = supervisor, .service = service, .changed = changed};
	provider = process_provider_new(&host, &config->services[0]);
	assert_non_null(provider);
	service_tick(service, loop_now_us(loop));
	changed(NULL);
}

static int remove_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	loop = loop_new();
	supervisor = supervisor_new(loop);
	assert_non_null(supervisor);
	answer = ANSWER_YES;
	ready_count = granted = refused = shut = 0;
	backoff_ms = 40;
	task_init(&drain_task, drain, NULL);
	bool ok = mkdtemp(directory) && timer_init(&pulse, loop, on_pulse, NULL) &&
		  timer_init(&deadline, loop, on_deadline, NULL);
	return ok ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	pid_t pid = supervisor_pid(supervisor);
	provider_free(provider);
	task_cancel(&drain_task);
	if (service) {
		service_cancel(service, &ticket, 0);
		service_free(service);
	}
	supervisor_free(supervisor);
	if (pid)
		waitpid(pid, NULL, 0);
	timer_release(&pulse);
	timer_release(&deadline);
	loop_free(loop);
	config_drop(config);
	nftw(directory, remove_file, 8, FTW_DEPTH | FTW_PHYS);
	provider = NULL;
	service = NULL;
	config = NULL;
	return 0;
}

/* --- looking --------------------------------------------------------------------------------- */

static void turn_for(int64_t us)
{
	timer_set(&pulse, clock_now_us() + us);
	loop_run(loop);
}

#define WAIT_FOR(condition)                                                                        \
	for (int64_t until_us = clock_now_us() + test_patience_us(); !(condition);                 \
	     turn_for(2 * US_PER_MS))                                                              \
	assert_true(clock_now_us() < until_us)

static int64_t pods_in(enum pod_state state)
{
	struct service_counts counts;
	service_count(service, loop_now_us(loop), &counts);
	return counts.pods[state];
}

static int64_t pods(void)
{
	int64_t n = 0;
	for (int i = 0; i < POD_STATES; i++)
		n += pods_in((enum pod_state)i);
	return n;
}

/* What the pods wrote into this file of their directory. */
static const char *content(const char *name)
{
	static char text[4096];
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

static int lines(const char *name)
{
	int n = 0;
	for (const char *c = content(name); *c; c++)
		n += *c == '\n';
	return n;
}

static uint64_t found_pod;
static const char *wanted_prefix;

static void find_pod(void *arg, const struct pod *p)
{
	(void)arg;
	if (strncmp(p->name, wanted_prefix, strlen(wanted_prefix)) == 0)
		found_pod = p->id;
}

static uint64_t pod_named(const char *prefix)
{
	found_pod = 0;
	wanted_prefix = prefix;
	service_each_pod(service, find_pod, NULL);
	return found_pod;
}

static bool is_gone(pid_t pid)
{
	waitpid(pid, NULL, WNOHANG);
	return kill(pid, 0) != 0 && errno == ESRCH;
}

static void on_gone(void *owner)
{
	(void)owner;
	shut++;
}

#define FOREVER "exec sleep 1000"

/* --- the tests ------------------------------------------------------------------------------- */

static void starts_what_is_wanted(void **state)
{
	(void)state;
	start("echo $0 $AT > $0; echo hello; " FOREVER, 2, ", \"firstPort\": 7860");
	WAIT_FOR(pods_in(POD_READY) == 2 && lines("pod-0") && lines("pod-1"));
	assert_string_equal(content("pod-0"), "pod-0 0:7860{\n");
	assert_string_equal(content("pod-1"), "pod-1 1:7861{\n");
	uint64_t pod = pod_named("process-1@127.0.0.1:7861#");
	assert_int_not_equal(pod, 0);
	assert_int_equal(net_port(provider_address(provider, pod)), 7861);
	assert_null(provider_address(provider, pod + 999));
	const struct pod *p = service_pod(service, pod);
	assert_true(p->past_is_known);
}

static void finds_free_ports(void **state)
{
	(void)state;
	start("echo $AT >> all; " FOREVER, 4, "");
	WAIT_FOR(pods_in(POD_READY) == 4 && lines("all") == 4);
	int ports[4], index;
	const char *at = content("all");
	for (int i = 0; i < 4; i++, at = strchr(at, '\n') + 1) {
		assert_int_equal(sscanf(at, "%d:%d{", &index, &ports[i]), 2);
		assert_true(ports[i] > 1023);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(ports[i], ports[j]);
	}
}

static void removes_and_takes_the_smallest_index_again(void **state)
{
	(void)state;
	start("echo $$ >> $0; " FOREVER, 3, ", \"firstPort\": 7860");
	WAIT_FOR(pods_in(POD_READY) == 3 && lines("pod-0") && lines("pod-1") && lines("pod-2"));
	pid_t pid = (pid_t)atol(content("pod-1"));
	provider_remove(provider, pod_named("process-1@"));
	provider_remove(provider, pod_named("process-1@"));	  /* once is enough */
	WAIT_FOR(lines("pod-1") == 2 && pods_in(POD_READY) == 3); /* the ledger wants it back */
	assert_true(is_gone(pid));
	provider_remove(provider, 12345);
}

static void an_index_is_taken_until_its_pod_has_ended(void **state)
{
	(void)state;
	start("trap '' TERM; echo up >> $0; while :; do sleep 1; done", 4,
	      ", \"stopGracePeriod\": \"100ms\"");
	WAIT_FOR(pods_in(POD_READY) == 4 && lines("pod-0") && lines("pod-3"));
	int64_t before_us = clock_now_us();
	provider_remove(provider, pod_named("process-3@"));
	provider_scale(provider, 4); /* maxScale is 4: there is no other index */
	WAIT_FOR(lines("pod-3") == 2);
	assert_true(clock_now_us() - before_us >= 100 * US_PER_MS);
}

static void a_command_that_cannot_run_is_told_at_once(void **state)
{
	(void)state;
	ticket_init(&ticket, TICKET_SLOT);
	start("", 1, "");
	struct service_config *c = &config->services[0];
	char nowhere[] = "/nowhere/webui.sh", *real = c->process.command[0];
	c->process.command[0] = nowhere;
	assert_true(service_admit(service, &ticket, loop_now_us(loop)));
	service_enqueue(service, &ticket, loop_now_us(loop));
	changed(NULL);
	WAIT_FOR(refused);
	c->process.command[0] = real;
	assert_int_equal(ticket.refusal, REFUSAL_SCALING_FAILED);
	assert_string_equal(service_scaling_failure(service),
			    "cannot execute \"/nowhere/webui.sh\": No such file or directory");
	reconfigure(FOREVER, 1, ""); /* mended */
	WAIT_FOR(pods_in(POD_READY) == 1);
	assert_string_equal(service_scaling_failure(service), "");
}

static void a_missing_directory_is_told_at_once(void **state)
{
	(void)state;
	start(FOREVER, 1, "");
	char nowhere[] = "/nowhere/at/all";
	char *real = config->services[0].process.directory;
	config->services[0].process.directory = nowhere;
	WAIT_FOR(service_scaling_failure(service)[0]);
	config->services[0].process.directory = real;
	assert_string_equal(service_scaling_failure(service),
			    "cannot enter the directory \"/nowhere/at/all\": "
			    "No such file or directory");
}

static void failures_to_start_back_off_and_are_told(void **state)
{
	(void)state;
	answer = ANSWER_NO;
	int64_t before_us = clock_now_us();
	start("echo up >> $0; exit 7", 1, ", \"startupFailures\": 3");
	WAIT_FOR(lines("pod-0") == 2 && pods() == 0);
	assert_true(clock_now_us() - before_us >= 40 * US_PER_MS);
	assert_string_equal(service_scaling_failure(service), "");
	WAIT_FOR(service_scaling_failure(service)[0]);
	assert_int_equal(lines("pod-0"), 3);
	assert_true(clock_now_us() - before_us >= (40 + 80) * US_PER_MS);
	assert_non_null(strstr(service_scaling_failure(service),
			       "#3 exited with status 7 before it was ready"));
	WAIT_FOR(lines("pod-0") == 5); /* it goes on trying */
	assert_true(clock_now_us() - before_us >= (40 + 80 + 100 + 100) * US_PER_MS);
	answer = ANSWER_YES;
	reconfigure("echo up >> $0; " FOREVER, 1, "");
	WAIT_FOR(pods_in(POD_READY) == 1);
	assert_string_equal(service_scaling_failure(service), "");
}

static void a_port_that_a_stranger_has_is_a_failure(void **state)
{
	(void)state;
	struct net_address any, bound;
	net_parse("127.0.0.1:0", &any);
	int fd = net_listen(&any, &bound);
	assert_true(fd >= 0);
	char more[80], expected[80];
	snprintf(more, sizeof(more), ", \"firstPort\": %d, \"startupFailures\": 1",
		 net_port(&bound));
	start("echo up >> $0; " FOREVER, 1, more);
	WAIT_FOR(service_scaling_failure(service)[0]);
	snprintf(expected, sizeof(expected), "port %d of process-0 cannot be used: %s",
		 net_port(&bound), strerror(EADDRINUSE));
	assert_string_equal(service_scaling_failure(service), expected);
	/* Another index does better, while the stranger stays (the next
	 * ports may have some too). */
	WAIT_FOR(pods_in(POD_READY) == 1);
	WAIT_FOR(lines("pod-1") + lines("pod-2") + lines("pod-3") == 1);
	assert_int_equal(lines("pod-0"), 0);
	close(fd);
}

static void pods_that_fail_together_are_one_failure(void **state)
{
	(void)state;
	answer = ANSWER_NO;
	backoff_ms = 500; /* nobody is started anew until all have ended */
	start("echo up >> $0; exit 7", 4, ", \"startupFailures\": 2");
	WAIT_FOR(lines("pod-0") == 1 && lines("pod-3") == 1 && pods() == 0);
	assert_string_equal(service_scaling_failure(service), "");
	WAIT_FOR(service_scaling_failure(service)[0]);
}

static void a_pod_that_is_not_ready_in_time_is_stopped(void **state)
{
	(void)state;
	answer = ANSWER_NO;
	start("echo $$ >> $0; " FOREVER, 1,
	      ", \"startupTimeout\": \"200ms\", \"startupFailures\": 1");
	WAIT_FOR(lines("pod-0") == 1);
	pid_t pid = (pid_t)atol(content("pod-0"));
	WAIT_FOR(service_scaling_failure(service)[0]);
	assert_non_null(strstr(service_scaling_failure(service), "was not ready within 0.2 s"));
	WAIT_FOR(is_gone(pid));
	WAIT_FOR(lines("pod-0") == 2);
	answer = ANSWER_YES;
	WAIT_FOR(pods_in(POD_READY) == 1);
	assert_string_equal(service_scaling_failure(service), "");
	turn_for(250 * US_PER_MS); /* its time limit is over */
	assert_int_equal(pods_in(POD_READY), 1);
}

static void a_pod_that_ends_is_replaced_but_not_in_haste(void **state)
{
	(void)state;
	int64_t before_us = clock_now_us();
	start("echo up >> $0", 1, "");
	WAIT_FOR(lines("pod-0") == 4);
	assert_true(clock_now_us() - before_us >= 3 * 40 * US_PER_MS);
}

static void a_lost_supervisor_is_replaced_with_its_pods(void **state)
{
	(void)state;
	start("echo $$ >> $0; " FOREVER, 1, "");
	WAIT_FOR(pods_in(POD_READY) == 1 && lines("pod-0") == 1);
	pid_t pid = (pid_t)atol(content("pod-0"));
	kill(supervisor_pid(supervisor), SIGKILL);
	WAIT_FOR(is_gone(pid));
	WAIT_FOR(lines("pod-0") == 2 && pods_in(POD_READY) == 1);
}

static void shutting_down_ends_all(void **state)
{
	(void)state;
	start("echo $$ >> all; trap 'echo bye >> bye; exit' TERM; while :; do sleep 0.01; done", 3,
	      "");
	WAIT_FOR(lines("all") == 3);
	service_close(service, loop_now_us(loop));
	provider_shutdown(provider, on_gone, NULL);
	assert_int_equal(shut, 0);
	WAIT_FOR(shut);
	assert_int_equal(lines("bye"), 3);
	assert_int_equal(pods(), 0);
	const char *at = content("all");
	for (int i = 0; i < 3; i++, at = strchr(at, '\n') + 1)
		assert_true(is_gone((pid_t)atol(at)));
	turn_for(60 * US_PER_MS);
	assert_int_equal(lines("all"), 3); /* and no more are started */
	assert_int_equal(shut, 1);
}

static void shutting_down_nothing_is_quick(void **state)
{
	(void)state;
	start(FOREVER, 0, "");
	provider_shutdown(provider, on_gone, NULL);
	assert_int_equal(shut, 0);
	turn_for(US_PER_MS);
	assert_int_equal(shut, 1);
}

static void freeing_leaves_no_process(void **state)
{
	(void)state;
	start("echo $$ >> all; " FOREVER, 2, "");
	WAIT_FOR(lines("all") == 2);
	pid_t one = (pid_t)atol(content("all")), two = (pid_t)atol(strchr(content("all"), '\n'));
	provider_free(provider);
	provider = NULL;
	task_cancel(&drain_task);
	timer_clear(&deadline);
	WAIT_FOR(is_gone(one) && is_gone(two));
}

static void runs_out_of_memory_at_every_place(void **state)
{
	(void)state;
	start("echo up >> $0; " FOREVER, 1, "");
	for (int i = 0; i < 60; i++) {
		WAIT_FOR(pods_in(POD_READY) == 1);
		provider_remove(provider, pod_named("process-0@"));
		mem_fail_after(i);
		turn_for(60 * US_PER_MS);
		mem_fail_after(-1);
	}
	WAIT_FOR(pods_in(POD_READY) == 1);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], SUPERVISOR_ARGUMENT) == 0)
		return supervisor_main(atoi(argv[2]));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(starts_what_is_wanted),
		TEST(finds_free_ports),
		TEST(removes_and_takes_the_smallest_index_again),
		TEST(an_index_is_taken_until_its_pod_has_ended),
		TEST(a_command_that_cannot_run_is_told_at_once),
		TEST(a_missing_directory_is_told_at_once),
		TEST(failures_to_start_back_off_and_are_told),
		TEST(a_port_that_a_stranger_has_is_a_failure),
		TEST(pods_that_fail_together_are_one_failure),
		TEST(a_pod_that_is_not_ready_in_time_is_stopped),
		TEST(a_pod_that_ends_is_replaced_but_not_in_haste),
		TEST(a_lost_supervisor_is_replaced_with_its_pods),
		TEST(shutting_down_ends_all),
		TEST(shutting_down_nothing_is_quick),
		TEST(freeing_leaves_no_process),
		TEST(runs_out_of_memory_at_every_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
