/* Tests of config/: what is accepted and what it becomes, files, reloads, and the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/options.h"
#include "config/units.h"
#include "tests/unit/config_text.h"

/* --- what is accepted -------------------------------------------------------------------- */

/* Word for word the example of DESIGN.md. */
static const char design_example[] =
	"{\n"
	"  'listeners': [{'address': '0.0.0.0:8080'}],\n"
	"  'admin': {'address': '127.0.0.1:9090'},\n"
	"  'services': [{\n"
	"    'name': 'stable-diffusion',\n"
	"    'hosts': ['sd.example.com'],\n"
	"    'containerConcurrency': 1,\n"
	"    'slots': ['POST /sdapi/v1/txt2img', 'POST /sdapi/v1/img2img'],\n"
	"    'queue': {'maxRequests': 10000, 'maxWait': '300s', 'coldStartMaxWait': '900s'},\n"
	"    'timeouts': {'connect': '2s', 'response': '600s'},\n"
	"    'pods': {'static': ['127.0.0.1:7860', '127.0.0.1:7861']},\n"
	"    'readiness': {'httpGet': '/sdapi/v1/memory'},\n"
	"    'autoscaling': {'minScale': 0, 'maxScale': 10, 'targetUtilizationPercentage': 100,\n"
	"                    'stableWindow': '60s', 'scaleToZeroGracePeriod': '30s'}\n"
	"  }]\n"
	"}\n";

static void test_design_example(void **state)
{
	(void)state;
	struct config *c = parse_good(design_example);
	const struct service_config *s = &c->services[0];
	assert_int_equal(c->listener_count, 1);
	assert_string_equal(c->listeners[0].address, "0.0.0.0:8080");
	assert_int_equal(net_port(&c->listeners[0].parsed), 8080);
	assert_null(c->listeners[0].service);
	assert_int_equal(net_port(&c->admin.parsed), 9090);
	assert_int_equal(c->service_count, 1);
	assert_string_equal(s->name, "stable-diffusion");
	assert_int_equal(s->host_count, 1);
	assert_string_equal(s->hosts[0], "sd.example.com");
	assert_int_equal(s->slot_count, 2);
	assert_string_equal(s->slots[1].text, "POST /sdapi/v1/img2img");
	assert_string_equal(s->slots[1].method, "POST");
	assert_string_equal(s->slots[1].path, "/sdapi/v1/img2img");
	assert_true(s->queue.cold_start_max_wait_us == 900 * US_PER_S);
	assert_int_equal(s->provider, PROVIDER_STATIC);
	assert_int_equal(s->static_pods.count, 2);
	assert_int_equal(net_port(&s->static_pods.parsed[1]), 7861);
	assert_int_equal(s->readiness.kind, CHECK_HTTP_GET);
	assert_string_equal(s->readiness.path, "/sdapi/v1/memory");
	assert_int_equal(s->idle.kind, CHECK_NONE);
	assert_int_equal(s->autoscaling.max_scale, 10);
	assert_true(s->autoscaling.target_utilization == 1.0);
	config_drop(c);
}

static void test_defaults_of_a_service(void **state)
{
	(void)state;
	struct service_config s;
	config_service_defaults(&s);
	assert_int_equal(s.container_concurrency, 1);
	assert_int_equal(s.queue.max_requests, 10000);
	assert_true(s.queue.max_wait_us == 300 * US_PER_S);
	assert_int_equal(s.pass_through.max_requests, 10000);
	assert_int_equal(s.pass_through.max_requests_per_pod, 100);
	assert_true(s.pass_through.wait_when_cold);
	assert_null(s.pass_through.sticky_cookie);
	assert_int_equal(s.body.max_bytes, 64 << 20);
	assert_int_equal(s.spool.max_bytes, 256 << 20);
	assert_true(s.timeouts.tunnel_idle_us == 3600 * US_PER_S);
	assert_int_equal(s.readiness.kind, CHECK_TCP_SOCKET);
	assert_int_equal(s.readiness.cold_period_us, 4000);
	assert_int_equal(s.idle.kind, CHECK_NONE);
	assert_int_equal(s.idle.period_us, 500000);
	assert_null(s.interrupt_path);
	assert_null(s.hosts);
	assert_true(s.autoscaling.panic_window_percentage == 10);
	assert_true(s.autoscaling.target_utilization == 1);
	assert_true(s.autoscaling.max_scale_up_rate == 1000);
	assert_int_equal(s.slot_count, 15);
	assert_string_equal(s.slots[0].text, "POST /sdapi/v1/txt2img");
	assert_false(s.slots[0].exclusive);
	assert_string_equal(s.slots[9].path, "/sdapi/v1/train/*");
	assert_true(s.slots[9].exclusive);
	assert_string_equal(s.slots[14].text, "POST /v1/images/edits");
	assert_int_equal(s.blocked_count, 1);
	assert_non_null(slot_pattern_match(s.blocked, s.blocked_count, SLICE("POST"),
					   SLICE("//sdapi/v1/%73erver-kill")));
	config_service_release(&s);
}

static void test_defaults_of_the_whole(void **state)
{
	(void)state;
	struct config *c = parse_good("{" LISTENERS ", " ONE_SERVICE "}");
	assert_string_equal(c->admin.address, "127.0.0.1:9090");
	assert_string_equal(c->listeners[0].address, "0.0.0.0:8080");
	assert_false(c->listeners[0].half_close);
	assert_string_equal(c->log_level, "info");
	assert_string_equal(c->access_log, "stdout");
	assert_string_equal(c->spool_directory, "/tmp");
	assert_int_equal(c->limits.max_header_bytes, 65536);
	config_drop(c);
}

static void test_everything(void **state)
{
	(void)state;
	struct config *c = parse_good(
		"{'listeners': [{'address': '[::1]:0', 'service': 'b', 'halfClose': true},"
		"               {'address': '*:81'}],"
		" 'admin': {'address': 'localhost:0'},"
		" 'limits': {'maxConnections': 5, 'maxHeaderBytes': '8KiB', 'maxHeaders': 10,"
		"            'headerTimeout': '1.5s', 'keepAlive': '0s', 'spoolMemory': 1048576,"
		"            'spoolDisk': 0},"
		" 'log': {'level': 'debug', 'access': '/var/log/access.json'},"
		" 'spoolDirectory': '/var/tmp', 'drainTimeout': '2m',"
		" 'services': [{'name': 'a', 'hosts': ['A.Example.com', '*.b.org', '[::1]'],"
		"   'containerConcurrency': 0, 'slots': [], 'blocked': [],"
		"   'passThrough': {'maxRequestsPerPod': 7, 'whenCold': 'refuse', 'stickyCookie': "
		"'pod'},"
		"   'pods': {'process': {'command': ['webui', '{port}'], 'env': {'A': 'b=c', 'B': "
		"''},"
		"            'directory': '/srv', 'firstPort': 7860, 'stopGracePeriod': '0s'}},"
		"   'readiness': {'none': true, 'period': '20ms'},"
		"   'interrupt': {'httpPost': '/sdapi/v1/interrupt'},"
		"   'autoscaling': {'maxScale': 4, 'target': 2.5, 'targetUtilizationPercentage': "
		"70}},"
		"  {'name': 'b', " PODS ", 'containerConcurrency': 2,"
		"   'slots': [{'match': 'POST /prompt', 'exclusive': true, 'freedBy': 'idle'},"
		"             '* /x/*'],"
		"   'idle': {'httpGet': '/prompt?x=1', 'jsonPath': 'exec_info.queue_remaining',"
		"            'equals': 0, 'period': '500ms', 'timeout': '5s', 'successThreshold': "
		"2}}]}");
	const struct service_config *a = &c->services[0], *b = &c->services[1];
	assert_true(c->listeners[0].half_close);
	assert_string_equal(c->listeners[0].service, "b");
	assert_string_equal(c->listeners[0].address, "[::1]:0");
	assert_string_equal(c->admin.address, "127.0.0.1:0");
	assert_true(c->limits.header_timeout_us == 1500 * US_PER_MS);
	assert_int_equal(c->limits.keep_alive_us, 0);
	assert_int_equal(c->limits.max_header_bytes, 8192);
	assert_string_equal(c->log_level, "debug");
	assert_string_equal(a->hosts[0], "a.example.com");
	assert_int_equal(a->slot_count, 0);
	assert_int_equal(a->blocked_count, 0);
	assert_false(a->pass_through.wait_when_cold);
	assert_string_equal(a->pass_through.sticky_cookie, "pod");
	assert_int_equal(a->provider, PROVIDER_PROCESS);
	assert_string_equal(a->process.command[1], "{port}");
	assert_null(a->process.command[2]);
	assert_string_equal(a->process.env[0], "A=b=c");
	assert_string_equal(a->process.env[1], "B=");
	assert_null(a->process.env[2]);
	assert_int_equal(a->process.stop_grace_us, 0);
	assert_int_equal(a->readiness.kind, CHECK_NONE);
	assert_string_equal(a->interrupt_path, "/sdapi/v1/interrupt");
	assert_true(a->autoscaling.target == 2.5);
	assert_true(a->autoscaling.target_utilization > 0.699999 &&
		    a->autoscaling.target_utilization < 0.700001);
	assert_true(b->slots[0].exclusive && b->slots[0].freed_by_idle);
	assert_string_equal(b->slots[0].path, "/prompt");
	assert_string_equal(b->slots[1].method, "*");
	assert_int_equal(b->idle.kind, CHECK_HTTP_GET);
	assert_string_equal(b->idle.json_path, "exec_info.queue_remaining");
	config_drop(c);
}

static void test_the_collectors_url(void **state)
{
	(void)state;
	static const char *const urls[][2] = {
		{"http://c", "http://c/v1/traces"},
		{"https://c:4318/", "https://c:4318/v1/traces"},
		{"http://[::1]:4318", "http://[::1]:4318/v1/traces"},
		{"http://c/otlp/v1/traces", "http://c/otlp/v1/traces"},
		{"http://c/x/", "http://c/x/"},
	};
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct str text;
		str_init_must(&text);
		str_printf(&text, TOP("'tracing': {'endpoint': '%s', 'headers': ['A: b']}"),
			   urls[i][0]);
		struct config *c = parse_good(text.at);
		assert_string_equal(c->tracing.url, urls[i][1]);
		assert_string_equal(c->tracing.headers[0], "A: b");
		assert_null(c->tracing.headers[1]);
		config_drop(c);
		str_release(&text);
	}
}

static void test_boundaries_are_allowed(void **state)
{
	(void)state;
	static const char *const texts[] = {
		SERVICE("'containerConcurrency': 0"),
		SERVICE("'containerConcurrency': 1000"),
		SERVICE("'containerConcurrency': 1e3"),
		SERVICE("'queue': {'maxRequests': 1000000, 'maxAttempts': 100, 'maxWait': '24h'}"),
		SERVICE("'queue': {'maxRequests': 1, 'maxAttempts': 1, 'maxWait': '1ms'}"),
		SERVICE("'autoscaling': {'stableWindow': '1s'}"),
		SERVICE("'autoscaling': {'stableWindow': '1h'}"),
		SERVICE("'autoscaling': {'stableWindow': '60m'}"),
		SERVICE("'autoscaling': {'panicWindowPercentage': 1, 'panicThresholdPercentage': "
			"110}"),
		SERVICE("'autoscaling': {'panicWindowPercentage': 100, 'maxScaleUpRate': 1.01}"),
		SERVICE("'autoscaling': {'minScale': 3, 'maxScale': 3}"),
		SERVICE("'autoscaling': {'minScale': 3, 'maxScale': 0}"),
		SERVICE("'autoscaling': {'initialScale': 0}"),
		SERVICE("'body': {'maxBytes': 0, 'memory': '0KiB'}"),
		SERVICE("'body': {'maxBytes': '1024GiB', 'memory': '0.5MiB'}"),
		SERVICE("'readiness': {}"),
		SERVICE("'readiness': {'tcpSocket': true}"),
		SERVICE("'idle': {'httpGet': '/'}"),
		SERVICE("'idle': {'httpGet': '/', 'jsonPath': 'n', 'equals': -1.5}"),
		SERVICE("'ejection': {'base': '60s', 'max': '60s'}"),
		SERVICE("'passThrough': {'stickyCookie': '!#$_~'}"),
		SERVICE("'slots': ['GET /', 'M-SEARCH *', '* *', 'POST /a b', 'GET "
			"/.well-known/*']"),
		SERVICE("'hosts': ['a', '127.0.0.1', '[::1]', '*.x', 'under_score.org']"),
		SERVICES(NAMED("a123456789012345678901234567890123456789012345678901234567890-z",
			       "")),
		SERVICES(NAMED("0", "")),
		PROCESS("'env': {}"),
		PROCESS("'firstPort': 65532"),
		PROCESS_OF("'command': ['pod'], 'firstPort': 80",
			   ", 'autoscaling': {'maxScale': 1}"),
		PROCESS_OF("'command': ['pod'], 'env': {'PORT': '{port}'}", SCALE),
		PROCESS_OF("'command': ['pod', '{index}'], 'firstPort': 80", SCALE),
		TOP("'drainTimeout': '0s'"),
		TOP("'log': {'access': 'off'}"),
		TOP("'limits': {'memory': 0}"),
		TOP("'limits': {'memory': '4MiB'}"),
		/* Two services for every host, of which a listener names one. */
		"{'listeners': [{'address': ':1', 'service': 'a'}, {'address': ':2'}],"
		" 'services': [" NAMED("a",
				       "") ", {'name': 'b', 'pods': {'static': ['[::1]:1']}}]}",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		config_drop(parse_good(texts[i]));
}

static void test_unlimited_concurrency_has_no_exclusive_defaults(void **state)
{
	(void)state;
	struct config *c = parse_good(SERVICE("'containerConcurrency': 0"));
	for (size_t i = 0; i < c->services[0].slot_count; i++)
		assert_false(c->services[0].slots[i].exclusive);
	config_drop(c);
}

/* Any prefix of a good configuration is a clear fault, and leaks nothing. */
static void test_every_prefix(void **state)
{
	(void)state;
	struct str faults;
	str_init(&faults);
	for (size_t n = 0; n + 2 < strlen(design_example); n += 7) {
		char *text = mem_must_printf("%.*s", (int)n, design_example);
		str_clear(&faults);
		assert_null(parse(text, &faults));
		assert_memory_equal(faults.at, "test.json:", 10);
		mem_free(text);
	}
	str_release(&faults);
}

/* --- files ------------------------------------------------------------------------------- */

static void check_load(const char *path, const char *expected)
{
	struct str faults;
	str_init(&faults);
	assert_null(config_load(path, &faults));
	assert_false(faults.failed);
	assert_string_equal(faults.at, expected);
	str_release(&faults);
}

static void test_files(void **state)
{
	(void)state;
	char path[] = "/tmp/slotgate-test-XXXXXX", expected[128];
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	snprintf(expected, sizeof(expected), "%s:1:1: the text is empty\n", path);
	check_load(path, expected);
	assert_int_equal(ftruncate(fd, JSON_MAX_BYTES + 1), 0);
	snprintf(expected, sizeof(expected), "%s: a configuration must not be larger than 16 MiB\n",
		 path);
	check_load(path, expected);
	assert_int_equal(ftruncate(fd, 0), 0);
	for (const char *c = design_example; *c; c++)
		assert_int_equal(write(fd, *c == '\'' ? "\"" : c, 1), 1);
	struct str faults;
	str_init(&faults);
	struct config *c = config_load(path, &faults);
	assert_non_null(c);
	assert_int_equal(faults.len, 0);
	config_drop(c);
	str_release(&faults);
	close(fd);
	unlink(path);
	snprintf(expected, sizeof(expected), "%s: No such file or directory\n", path);
	check_load(path, expected);
	check_load("/tmp", "/tmp: Is a directory\n");
}

/* --- holding and comparing --------------------------------------------------------------- */

static void test_references(void **state)
{
	(void)state;
	struct config *c = parse_good(design_example);
	assert_ptr_equal(config_hold(c), c);
	config_drop(c);
	assert_string_equal(c->services[0].name, "stable-diffusion");
	config_drop(c);
	config_drop(NULL);
}

static void check_changes(const char *old_text, const char *new_text, const char *expected)
{
	struct config *old = parse_good(old_text), *now = parse_good(new_text);
	struct str lines;
	str_init(&lines);
	config_unreloadable(old, now, &lines);
	assert_string_equal(lines.at ? lines.at : "", expected);
	str_release(&lines);
	config_drop(old);
	config_drop(now);
}

static void test_unreloadable(void **state)
{
	(void)state;
	check_changes(design_example, design_example, "");
	check_changes(design_example, SERVICE("'queue': {'maxRequests': 5}"), "");
	check_changes(
		SERVICE("'containerConcurrency': 2"),
		TOP("'admin': {'address': ':9091'}, 'spoolDirectory': '/a'"),
		"admin.address: a reload cannot change it from 127.0.0.1:9090 to 0.0.0.0:9091: "
		"restart slotgate\n"
		"spoolDirectory: a reload cannot change it from /tmp to /a: restart slotgate\n");
	check_changes("{'listeners': [{'address': ':80'}], " ONE_SERVICE "}",
		      "{'listeners': [{'address': '0.0.0.0:80', 'halfClose': true}], " ONE_SERVICE
		      "}",
		      "");
	check_changes(
		"{'listeners': [{'address': ':80'}], " ONE_SERVICE "}",
		"{'listeners': [{'address': ':81'}], " ONE_SERVICE "}",
		"listeners[0].address: a reload cannot change it from 0.0.0.0:80 to 0.0.0.0:81: "
		"restart slotgate\n");
	check_changes(
		"{'listeners': [{'address': ':80'}], " ONE_SERVICE "}",
		"{'listeners': [{'address': ':80'}, {'address': ':81'}], " ONE_SERVICE "}",
		"listeners: a reload cannot change their number from 1 to 2: restart slotgate\n");
	check_changes(SERVICES(NAMED("a", "")), PROCESS_OF(COMMAND, SCALE),
		      "services[0].pods: a reload cannot change it from static to process: restart "
		      "slotgate\n");
	check_changes(
		PROCESS("'firstPort': 80"), PROCESS("'firstPort': 90"),
		"services[0].pods.process.firstPort: a reload cannot change it from 80 to 90: "
		"restart slotgate\n");
}

/* --- the table itself -------------------------------------------------------------------- */

static void check_option(const struct option *o)
{
	struct str s;
	str_init(&s);
	assert_true(o->help && strlen(o->help) > 5 && o->help[strlen(o->help) - 1] == '.');
	assert_null(strchr(o->help, '|')); /* it would end its cell in the Markdown */
	if (o->type <= OPTION_SIZE)
		assert_true(o->max > o->min && o->fallback);
	if (o->type == OPTION_EITHER || o->type == OPTION_WORD || o->type == OPTION_LIST)
		assert_non_null(o->values);
	bool by_code = strcmp(o->path, "match") == 0 || strcmp(o->path, "sha256") == 0;
	if (o->type == OPTION_TEXT && !by_code)
		assert_non_null(o->form);
	option_add_expected(&s, o);
	assert_true(s.len > 0);
	str_release(&s);
}

/* Every row is complete, and no path is there twice. */
static void test_the_table(void **state)
{
	(void)state;
	for (int id = 0; id < SCOPE_COUNT; id++) {
		const struct scope *scope = &option_scopes[id];
		for (size_t i = 0; i < scope->count; i++) {
			check_option(&scope->options[i]);
			for (size_t k = 0; k < i; k++)
				assert_string_not_equal(scope->options[i].path,
							scope->options[k].path);
		}
	}
}

/* What the table says of a number's default is what becomes of it. */
static void test_defaults_are_in_range(void **state)
{
	(void)state;
	struct service_config s;
	struct str shown;
	config_service_defaults(&s);
	str_init(&shown);
	for (size_t i = 0; i < option_scopes[SCOPE_SERVICE].count; i++) {
		const struct option *o = &option_scopes[SCOPE_SERVICE].options[i];
		if (o->type > OPTION_SIZE)
			continue;
		double n = 0, expected = 0;
		str_clear(&shown);
		option_add_value(&shown, o, &s);
		bool timed = o->type == OPTION_DURATION, sized = o->type == OPTION_SIZE;
		if (timed)
			assert_true(units_parse_duration(shown.at, &n) &&
				    units_parse_duration(o->fallback, &expected));
		else if (sized)
			assert_true(units_parse_size(shown.at, &n) &&
				    units_parse_size(o->fallback, &expected));
		else
			n = strtod(shown.at, NULL), expected = strtod(o->fallback, NULL);
		if (n != expected || n < o->min || n > o->max)
			fail_msg("%s: %s", o->path, shown.at);
	}
	str_release(&shown);
	config_service_release(&s);
}

static void test_units(void **state)
{
	(void)state;
	static const struct {
		double us;
		const char *text;
	} durations[] = {{0, "0s"},	{1500, "1.5ms"}, {4000, "4ms"},	 {1500000, "1500ms"},
			 {90e6, "90s"}, {60e6, "1m"},	 {3600e6, "1h"}, {5400e6, "90m"}};
	double us;
	struct str s;
	str_init(&s);
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
		str_clear(&s);
		units_add_duration(&s, durations[i].us);
		assert_false(s.failed);
		assert_string_equal(s.at, durations[i].text);
		assert_true(units_parse_duration(s.at, &us) && us == durations[i].us);
	}
	assert_true(units_parse_duration("2.3s", &us) && us == 2300000);
	assert_true(units_parse_duration("0.1ms", &us) && us == 100);
	str_clear(&s);
	units_add_size(&s, 0);
	units_add_size(&s, 1536);
	units_add_size(&s, 1048576);
	assert_false(s.failed);
	assert_string_equal(s.at, "015361MiB");
	str_release(&s);
}

static void test_markdown(void **state)
{
	(void)state;
	struct str s;
	str_init(&s);
	options_write_markdown(&s);
	assert_false(s.failed);
	assert_non_null(strstr(s.at, "\n## `services[]`: "));
	assert_non_null(strstr(s.at,
			       "\n| `queue.maxWait` | a duration from 1ms to 24h | `\"300s\"` | "
			       "yes | "));
	assert_non_null(
		strstr(s.at, "\n| `admin.address` | a text | `\"127.0.0.1:9090\"` | no | "));
	const char *dump = getenv("OPTIONS_MD"); /* for whom has no slotgate to ask */
	FILE *file = dump ? fopen(dump, "w") : NULL;
	if (file) {
		fwrite(s.at, 1, s.len, file);
		fclose(file);
	}
	str_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_design_example),
		cmocka_unit_test(test_defaults_of_a_service),
		cmocka_unit_test(test_defaults_of_the_whole),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_the_collectors_url),
		cmocka_unit_test(test_boundaries_are_allowed),
		cmocka_unit_test(test_unlimited_concurrency_has_no_exclusive_defaults),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_unreloadable),
		cmocka_unit_test(test_the_table),
		cmocka_unit_test(test_defaults_are_in_range),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_markdown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
