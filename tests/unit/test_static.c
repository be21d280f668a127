/* The static provider under the real ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "activator/providers/static.h"
#include "base/loop.h"
#include "config/config.h"
#include "tests/unit/deaf_observer.h"

static struct loop *loop;
static struct service *service;
static struct provider *provider;
static struct config *config;
static struct ticket ticket;
static struct timer pulse;
static uint64_t grant, granted_pod;
static int changes, shut;

static void changed(void *owner)
{
	(void)owner;
	changes++;
}

static void on_pulse(void *owner)
{
	(void)owner;
	loop_stop(loop);
}

static struct config *parse(const char *addresses)
{
	struct str text, faults;
	str_init(&text);
	str_init(&faults);
	str_printf(&text,
		   "{\"listeners\": [{\"address\": \"127.0.0.1:0\"}], "
		   "\"services\": [{\"name\": \"sd\", \"pods\": {\"static\": [%s]}}]}",
		   addresses);
	struct config *c = config_parse("test", text.at, text.len, &faults);
	if (!c)
		fail_msg("%s", faults.at);
	str_release(&text);
	str_release(&faults);
	return c;
}

static void reload(const char *addresses)
{
	struct config *old = config;
	config = parse(addresses);
	service_configure(service, &config->services[0], loop_now_us(loop));
	provider_reload(provider, &config->services[0]);
	config_drop(old);
}

static int set_up(void **state)
{
	(void)state;
	loop = loop_new();
	config = parse("\"127.0.0.1:7860\", \"127.0.0.1:7861\"");
	service = service_new(&config->services[0], false, &deaf_observer, NULL, loop_now_us(loop));
	assert_non_null(service);
	struct provider_host host = {.loop = loop, .service = service, .changed = changed};
	changes = shut = 0;
	grant = granted_pod = 0;
	provider = static_provider_new(&host, &config->services[0]);
	ticket_init(&ticket, TICKET_SLOT);
	return provider && timer_init(&pulse, loop, on_pulse, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	provider_free(provider);
	service_free(service);
	timer_release(&pulse);
	loop_free(loop);
	config_drop(config);
	return 0;
}

static enum pod_state state_of(const char *name)
{
	const struct pod *p = service_pod_by_name(service, name);
	return p ? p->state : POD_STATES;
}

static uint64_t id_of(const char *name)
{
	const struct pod *p = service_pod_by_name(service, name);
	return p ? p->id : 0;
}

static void drain(void)
{
	struct decision d;
	while (service_next(service, loop_now_us(loop), &d)) {
		if (d.kind == DECIDE_PROBE || d.kind == DECIDE_CHECK_IDLE)
			service_pod_answered(service, d.pod, d.question, ANSWER_YES,
					     loop_now_us(loop));
		if (d.kind == DECIDE_GRANT) {
			grant = d.grant;
			granted_pod = d.pod;
		}
	}
}

/* Puts a job on some pod. */
static const char *start_job(void)
{
	service_tick(service, loop_now_us(loop));
	drain();
	assert_true(service_admit(service, &ticket, loop_now_us(loop)));
	service_enqueue(service, &ticket, loop_now_us(loop));
	drain();
	assert_int_not_equal(grant, 0);
	service_started(service, grant, loop_now_us(loop));
	return service_pod(service, granted_pod)->name;
}

static int port_of(const char *name)
{
	const struct net_address *a = provider_address(provider, id_of(name));
	return a ? net_port(a) : 0;
}

static void adds_what_is_configured(void **state)
{
	(void)state;
	assert_int_equal(changes, 1);
	assert_int_equal(state_of("127.0.0.1:7860"), POD_STARTING);
	assert_int_equal(state_of("127.0.0.1:7861"), POD_STARTING);
	assert_false(service_pod_by_name(service, "127.0.0.1:7861")->past_is_known);
	assert_int_equal(port_of("127.0.0.1:7861"), 7861);
	assert_null(provider_address(provider, 99999));
	provider_scale(provider, 7);
	provider_remove(provider, id_of("127.0.0.1:7861"));
	provider_became_ready(provider, id_of("127.0.0.1:7861"));
	assert_int_equal(state_of("127.0.0.1:7861"), POD_STARTING);
}

static void a_reload_adds_and_takes_away(void **state)
{
	(void)state;
	uint64_t kept = id_of("127.0.0.1:7861");
	reload("\"127.0.0.1:7861\", \"127.0.0.1:7862\"");
	assert_int_equal(changes, 2);
	assert_int_equal(state_of("127.0.0.1:7860"), POD_STATES); /* idle: forgotten at once */
	assert_int_equal(id_of("127.0.0.1:7861"), kept);
	assert_int_equal(port_of("127.0.0.1:7862"), 7862);
	reload("\"127.0.0.1:7860\"");
	reload("\"127.0.0.1:7860\", \"127.0.0.1:7861\"");
	assert_int_equal(port_of("127.0.0.1:7861"), 7861);
	assert_int_not_equal(id_of("127.0.0.1:7861"), kept);
}

static void one_that_is_taken_away_at_work_comes_back_with_its_count(void **state)
{
	(void)state;
	char name[NET_TEXT_BYTES];
	strcpy(name, start_job());
	uint64_t pod = granted_pod;
	reload("\"127.0.0.1:7999\"");
	assert_int_equal(state_of(name), POD_ABSENT);
	assert_non_null(provider_address(provider, pod)); /* its job still runs there */
	reload("\"127.0.0.1:7998\"");
	assert_non_null(provider_address(provider, pod));
	reload("\"127.0.0.1:7860\", \"127.0.0.1:7861\"");
	assert_int_equal(id_of(name), pod);
	assert_int_equal(service_pod(service, pod)->used, 1);
	reload("\"127.0.0.1:7999\"");
	service_finished(service, grant, loop_now_us(loop));
	drain();
	assert_null(provider_address(provider, pod));
	reload("\"127.0.0.1:7860\", \"127.0.0.1:7861\"");
	assert_int_not_equal(id_of(name), pod);
}

static void spellings_of_an_address_are_one_pod(void **state)
{
	(void)state;
	uint64_t kept = id_of("127.0.0.1:7860");
	reload("\"localhost:7860\"");
	assert_int_equal(id_of("127.0.0.1:7860"), kept);
}

static void on_gone(void *owner)
{
	assert_ptr_equal(owner, &shut);
	shut++;
	loop_stop(loop);
}

static void shutting_down_leaves_them_alone(void **state)
{
	(void)state;
	provider_shutdown(provider, on_gone, &shut);
	assert_int_equal(shut, 0);
	loop_run(loop);
	assert_int_equal(shut, 1);
	assert_int_equal(state_of("127.0.0.1:7860"), POD_STARTING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(adds_what_is_configured),
		TEST(a_reload_adds_and_takes_away),
		TEST(one_that_is_taken_away_at_work_comes_back_with_its_count),
		TEST(spellings_of_an_address_are_one_pod),
		TEST(shutting_down_leaves_them_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
