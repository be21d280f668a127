/* Tests of config/: for each fault of a configuration the exact line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/config.h"
#include "tests/unit/config_text.h"

struct row {
	const char *text;
	const char *faults; /* all the lines, but for the last newline */
};

static void check_faults(const struct row *rows, size_t count)
{
	struct str faults, expected;
	str_init(&faults);
	str_init(&expected);
	for (size_t i = 0; i < count; i++) {
		str_clear(&faults);
		str_clear(&expected);
		str_printf(&expected, "%s\n", rows[i].faults);
		struct config *c = parse(rows[i].text, &faults);
		assert_false(expected.failed);
		if (c || !faults.at || strcmp(faults.at, expected.at) != 0)
			fail_msg("%s\nexpected %sbut got  %s", rows[i].text, expected.at,
				 faults.at ? faults.at : "none\n");
	}
	str_release(&faults);
	str_release(&expected);
}
#define CHECK_FAULTS(rows) check_faults(rows, sizeof(rows) / sizeof(*(rows)))

#define DURATION_HELP ": write it as \"1500ms\", \"300s\", \"2m\" or \"1h\""
#define SIZE_HELP     ": write it as 65536, \"64KiB\", \"1MiB\" or \"2GiB\""

static const struct row file_faults[] = {
	{"", "test.json:1:1: the text is empty"},
	{"{\n  'listeners': [},\n}", "test.json:2:17: expected a value"},
	{"{} {}", "test.json:1:4: there is something behind the end of the value"},
	{"[]", "test.json: must be one JSON object: {...}"},
	{"null", "test.json: must be one JSON object: {...}"},
	{"{}", "listeners: required\nservices: required"},
};

static const struct row key_faults[] = {
	{TOP("'lisseners': []"), "lisseners: unknown key; did you mean \"listeners\"?"},
	{TOP("'zzz': 1"),
	 "zzz: unknown key; known here are listeners, admin, keda, metricsApi, services, "
	 "limits, forwarding, log, "
	 "spoolDirectory, drainTimeout, drainTunnels, upgradeSocket, user, group"},
	{TOP("'': 1"),
	 "[\"\"]: unknown key; known here are listeners, admin, keda, metricsApi, services, "
	 "limits, forwarding, log, "
	 "spoolDirectory, drainTimeout, drainTunnels, upgradeSocket, user, group"},
	{TOP("'forwarding': {'trustedProxy': []}"),
	 "forwarding.trustedProxy: unknown key; did you mean \"trustedProxies\"?"},
	{TOP("'forwarding': {'headers': 'all'}"),
	 "forwarding.headers: must be \"both\", \"forwarded\", \"off\" or \"x-forwarded\", not "
	 "\"all\""},
	{TOP("'forwarding': {'via': 'a b'}"),
	 "forwarding.via: \"a b\": must be letters, digits and !#$%&'*+-.^_`|~ only"},
	{TOP("'forwarding': {'trustedProxies': '10.0.0.0/8'}"),
	 "forwarding.trustedProxies: must be a list of 0 to 1000 addresses or ranges, not "
	 "\"10.0.0.0/8\""},
	{TOP("'forwarding': {'trustedProxies': ['10.0.0.0/33', '10.0.0.1/8', 'ten', 4, '::/129', "
	     "'10.0.0.0/', '10.0.0.0/8x', '10.0.0.1:80']}"),
	 "forwarding.trustedProxies[0]: \"10.0.0.0/33\": what stands behind the \"/\" must be a "
	 "number up to 32, or 128 with IPv6\n"
	 "forwarding.trustedProxies[1]: \"10.0.0.1/8\": the address has bits behind its prefix: "
	 "write the first address of the range\n"
	 "forwarding.trustedProxies[2]: \"ten\": not an address or a range such as \"10.0.0.0/8\" "
	 "or \"2001:db8::/32\"\n"
	 "forwarding.trustedProxies[3]: must be a text, not 4\n"
	 "forwarding.trustedProxies[4]: \"::/129\": what stands behind the \"/\" must be a number "
	 "up to 32, or 128 with IPv6\n"
	 "forwarding.trustedProxies[5]: \"10.0.0.0/\": what stands behind the \"/\" must be a "
	 "number up to 32, or 128 with IPv6\n"
	 "forwarding.trustedProxies[6]: \"10.0.0.0/8x\": what stands behind the \"/\" must be a "
	 "number up to 32, or 128 with IPv6\n"
	 "forwarding.trustedProxies[7]: \"10.0.0.1:80\": not an address or a range such as "
	 "\"10.0.0.0/8\" or \"2001:db8::/32\""},
	{TOP("'log': {'a\\nb': 1}"),
	 "log[\"a\\u000ab\"]: unknown key; known here are level, access"},
	{TOP("'log': {'Level': 'info'}"), "log.Level: unknown key; did you mean \"level\"?"},
	{SERVICE("'queue': {'maxRequest': 5}"),
	 "services[0].queue.maxRequest: unknown key; did you mean \"maxRequests\"?"},
	{SERVICE("'queue': {'max_wait': '5s'}"),
	 "services[0].queue.max_wait: unknown key; did you mean \"maxWait\"?"},
	{SERVICE("'container_concurrency': 5"),
	 "services[0].container_concurrency: unknown key; did you mean \"containerConcurrency\"?"},
	{SERVICE("'maxScale': 5"),
	 "services[0].maxScale: unknown key; did you mean \"autoscaling.maxScale\"?"},
	{SERVICE("'timeouts': {'conect': '1s'}"),
	 "services[0].timeouts.conect: unknown key; did you mean \"connect\"?"},
	{SERVICE("'slots': [{'match': 'GET /', 'exklusive': true}]"),
	 "services[0].slots[0].exklusive: unknown key; did you mean \"exclusive\"?"},
	{PROCESS("'comand': []"),
	 "services[0].pods.process.comand: unknown key; did you mean \"command\"?"},
	{"{'listeners': [{'address': ':80', 'adress': ':81'}], " ONE_SERVICE "}",
	 "listeners[0].adress: unknown key; did you mean \"address\"?"},
	{SERVICE("'name': 'b'"), "services[0].name: given twice"},
	{TOP("'log': {'level': 'info', 'level': 'warn'}"), "log.level: given twice"},
	{TOP("'log': {}, 'log': {}"), "log: given twice"},
	{TOP("'services': []"), "services: given twice"},
	{PROCESS("'env': {'A': '1', 'A': '2'}"), "services[0].pods.process.env.A: given twice"},
};

static const struct row type_faults[] = {
	{TOP("'log': 'info'"), "log: must be an object, not \"info\""},
	{TOP("'log': null"), "log: must be an object, not null"},
	{TOP("'log': []"), "log: must be an object, not a list of 0"},
	{TOP("'log': {'level': 'loud'}"),
	 "log.level: must be \"debug\", \"info\", \"warn\" or \"error\", not \"loud\""},
	{TOP("'log': {'level': 1}"),
	 "log.level: must be \"debug\", \"info\", \"warn\" or \"error\", not 1"},
	{TOP("'log': {'access': ''}"), "log.access: \"\": must not be empty"},
	{TOP("'log': {'access': false}"), "log.access: must be a text, not false"},
	{TOP("'spoolDirectory': 'a\\tb'"),
	 "spoolDirectory: \"a\\u0009b\": must not hold control characters"},
	{TOP("'drainTimeout': 300"),
	 "drainTimeout: must be a duration from 0s to 24h, not 300: say "
	 "the unit, as in \"300s\" or \"300ms\""},
	{TOP("'drainTimeout': '300'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"300\"" DURATION_HELP},
	{TOP("'drainTimeout': '5 s'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"5 s\"" DURATION_HELP},
	{TOP("'drainTimeout': '-5s'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"-5s\"" DURATION_HELP},
	{TOP("'drainTimeout': '1h30m'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"1h30m\"" DURATION_HELP},
	{TOP("'drainTimeout': '1.s'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"1.s\"" DURATION_HELP},
	{TOP("'drainTimeout': 's'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"s\"" DURATION_HELP},
	{TOP("'drainTimeout': '25h'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"25h\""},
	{TOP("'drainTimeout': '99999999999999999999999999h'"),
	 "drainTimeout: must be a duration from 0s to 24h, not \"99999999999999999999999999h\""},
	{TOP("'drainTimeout': true"), "drainTimeout: must be a duration from 0s to 24h, not true"},
	{TOP("'limits': {'memory': 1}"),
	 "limits.memory: must be 0, or a size from 4MiB to 1TiB, not 1"},
	{TOP("'limits': {'memory': '4095KiB'}"),
	 "limits.memory: must be 0, or a size from 4MiB to 1TiB, not \"4095KiB\""},
	{TOP("'limits': {'maxHeaderBytes': '64KB'}"),
	 "limits.maxHeaderBytes: must be a size from 1KiB to 1MiB, not \"64KB\"" SIZE_HELP},
	{TOP("'limits': {'maxHeaderBytes': '0.3KiB'}"),
	 "limits.maxHeaderBytes: must be a size from 1KiB to 1MiB, not \"0.3KiB\"" SIZE_HELP},
	{TOP("'limits': {'maxHeaderBytes': 1023}"),
	 "limits.maxHeaderBytes: must be a size from 1KiB to 1MiB, not 1023"},
	{TOP("'limits': {'maxHeaderBytes': 2000.5}"),
	 "limits.maxHeaderBytes: must be a size from 1KiB to 1MiB, not 2000.5"},
	{TOP("'limits': {'maxHeaderBytes': '2MiB'}"),
	 "limits.maxHeaderBytes: must be a size from 1KiB to 1MiB, not \"2MiB\""},
	{TOP("'limits': {'maxConnections': 0}"),
	 "limits.maxConnections: must be a whole number from 1 to 1000000, not 0"},
	{TOP("'limits': {'maxConnections': '5'}"),
	 "limits.maxConnections: must be a whole number from 1 to 1000000, not \"5\""},
	{SERVICE("'containerConcurrency': 1001"),
	 "services[0].containerConcurrency: must be a whole number from 0 to 1000, not 1001"},
	{SERVICE("'containerConcurrency': -1"),
	 "services[0].containerConcurrency: must be a whole number from 0 to 1000, not -1"},
	{SERVICE("'containerConcurrency': 1.5"),
	 "services[0].containerConcurrency: must be a whole number from 0 to 1000, not 1.5"},
	{SERVICE("'containerConcurrency': 1e999"),
	 "services[0].containerConcurrency: must be a whole number from 0 to 1000, not inf"},
	{SERVICE("'queue': {'maxWait': '0s'}"),
	 "services[0].queue.maxWait: must be a duration from 1ms to 24h, not \"0s\""},
	{SERVICE("'passThrough': {'whenCold': 'Wait'}"),
	 "services[0].passThrough.whenCold: must be \"refuse\" or \"wait\", not \"Wait\""},
	{SERVICE("'passThrough': {'stickyCookie': 'a b'}"),
	 "services[0].passThrough.stickyCookie: \"a b\": must be letters, digits and "
	 "!#$%&'*+-.^_`|~ only"},
	{SERVICE("'autoscaling': {'targetUtilizationPercentage': 0}"),
	 "services[0].autoscaling.targetUtilizationPercentage: must be a percentage from 1 to 100, "
	 "not 0"},
	{SERVICE("'autoscaling': {'targetUtilizationPercentage': '70%'}"),
	 "services[0].autoscaling.targetUtilizationPercentage: must be a percentage from 1 to 100, "
	 "not \"70%\""},
	{SERVICE("'autoscaling': {'stableWindow': '999ms'}"),
	 "services[0].autoscaling.stableWindow: must be a duration from 1s to 1h, not \"999ms\""},
	{SERVICE("'autoscaling': {'stableWindow': '3601s'}"),
	 "services[0].autoscaling.stableWindow: must be a duration from 1s to 1h, not \"3601s\""},
	{SERVICE("'autoscaling': {'maxScaleUpRate': 1}"),
	 "services[0].autoscaling.maxScaleUpRate: must be a number from 1.01 to 1000000, not 1"},
	{SERVICE("'readiness': {'httpGet': 'health'}"),
	 "services[0].readiness.httpGet: \"health\": must begin with \"/\""},
	{SERVICE("'readiness': {'httpGet': '/a b'}"),
	 "services[0].readiness.httpGet: \"/a b\": must not hold a space or \"#\""},
	{SERVICE("'readiness': {'tcpSocket': false}"),
	 "services[0].readiness.tcpSocket: must be true, not false"},
	{SERVICE("'interrupt': {}"), "services[0].interrupt.httpPost: required"},
	{SERVICE("'idle': {'period': '1s'}"), "services[0].idle.httpGet: required"},
	{SERVICE("'idle': {'httpGet': '/', 'jsonPath': 'a..b'}"),
	 "services[0].idle.jsonPath: \"a..b\": must be keys joined by dots, such as "
	 "\"state.job_count\""},
	{"{'listeners': [{'address': ':80', 'halfClose': 1}], " ONE_SERVICE "}",
	 "listeners[0].halfClose: must be true or false, not 1"},
};

static const struct row list_faults[] = {
	{"{'listeners': [], " ONE_SERVICE "}",
	 "listeners: must be a list of 1 to 100 listeners, not a list of 0"},
	{"{'listeners': {'address': ':80'}, " ONE_SERVICE "}",
	 "listeners: must be a list of 1 to 100 listeners, not an object"},
	{"{'listeners': [5], " ONE_SERVICE "}", "listeners[0]: must be an object, not 5"},
	{"{'listeners': [{}], " ONE_SERVICE "}", "listeners[0].address: required"},
	{"{'listeners': [{'address': '8080'}], " ONE_SERVICE "}",
	 "listeners[0].address: \"8080\": not an address of the form HOST:PORT"},
	{"{'listeners': [{'address': 'example.com:80'}], " ONE_SERVICE "}",
	 "listeners[0].address: \"example.com:80\": its host is not a numeric address or "
	 "\"localhost\": names are not looked up"},
	{"{'listeners': [{'address': '::1:80'}], " ONE_SERVICE "}",
	 "listeners[0].address: \"::1:80\": write an IPv6 address in brackets, as in "
	 "\"[::1]:8080\""},
	{"{'listeners': [{'address': '[localhost]:80'}], " ONE_SERVICE "}",
	 "listeners[0].address: \"[localhost]:80\": what stands in its brackets is not a numeric "
	 "IPv6 address"},
	{"{'listeners': [{'address': ':65536'}], " ONE_SERVICE "}",
	 "listeners[0].address: \":65536\": its port is not a number from 0 to 65535"},
	{TOP("'admin': {'address': '127.0.0.1'}"),
	 "admin.address: \"127.0.0.1\": not an address of the form HOST:PORT"},
	{TOP("'keda': {}"), "keda.address: required"},
	{TOP("'keda': {'address': 'x:1'}"),
	 "keda.address: \"x:1\": its host is not a numeric address or \"localhost\": "
	 "names are not looked up"},
	{TOP("'keda': {'address': ':9091', 'tls': {}}"), "keda.tls.certificates: required"},
	{TOP("'admin': {'address': ':9091'}, 'keda': {'address': ':9091'}"),
	 "keda.address: \"0.0.0.0:9091\": admin.address has it"},
	{SERVICES("'a'"), "services[0]: must be an object, not \"a\""},
	{SERVICES("{}"), "services[0].name: required\n"
			 "services[0].pods: required: where the pods are, as \"static\", "
			 "\"process\" or \"kubernetes\""},
	{SERVICES(NAMED("", "")),
	 "services[0].name: \"\": must be 1 to 63 lower-case letters, digits "
	 "or \"-\", with no \"-\" at either end"},
	{SERVICES(NAMED("A", "")),
	 "services[0].name: \"A\": must be 1 to 63 lower-case letters, digits or \"-\", with no "
	 "\"-\" at either end"},
	{SERVICES(NAMED("a-", "")),
	 "services[0].name: \"a-\": must be 1 to 63 lower-case letters, digits or \"-\", with no "
	 "\"-\" at either end"},
	{SERVICE("'hosts': []"),
	 "services[0].hosts: must be a list of 1 to 1000 host names, not a list of 0"},
	{SERVICE("'hosts': ['*']"),
	 "services[0].hosts[0]: \"*\": leave \"hosts\" out to serve every host"},
	{SERVICE("'hosts': ['a:80', 5, 'a..b', '', '[::1]:80']"),
	 "services[0].hosts[0]: \"a:80\": must be a host name without a port\n"
	 "services[0].hosts[1]: must be a text, not 5\n"
	 "services[0].hosts[2]: \"a..b\": must be a host name such as \"sd.example.com\" or "
	 "\"*.example.com\"\n"
	 "services[0].hosts[3]: \"\": must be a host name such as \"sd.example.com\" or "
	 "\"*.example.com\"\n"
	 "services[0].hosts[4]: \"[::1]:80\": must be an IPv6 address in brackets, without a port"},
	{SERVICE("'hosts': ['a', 'b', 'A']"), "services[0].hosts[2]: \"a\": listed twice"},
	{SERVICE("'slots': 'POST /'"),
	 "services[0].slots: must be a list of 0 to 1000 patterns, not \"POST /\""},
	{SERVICE("'slots': ['/prompt']"), "services[0].slots[0]: \"/prompt\": must be a method or "
					  "\"*\", a space and a path, such as "
					  "\"POST /prompt\""},
	{SERVICE("'slots': ['post /prompt']"),
	 "services[0].slots[0]: \"post /prompt\": its method must be in capitals"},
	{SERVICE("'slots': ['P@ST /prompt']"),
	 "services[0].slots[0]: \"P@ST /prompt\": its method must be a word or \"*\""},
	{SERVICE("'slots': ['POST prompt']"),
	 "services[0].slots[0]: \"POST prompt\": its path must begin with \"/\" or \"*\""},
	{SERVICE("'slots': ['POST  /prompt']"),
	 "services[0].slots[0]: \"POST  /prompt\": its path must begin with \"/\" or \"*\""},
	{SERVICE("'slots': ['POST /a?b']"), "services[0].slots[0]: \"POST /a?b\": paths are "
					    "compared without their query: end it before "
					    "the \"?\""},
	{SERVICE("'slots': ['POST /a%20b']"), "services[0].slots[0]: \"POST /a%20b\": paths are "
					      "compared decoded: write it without \"%\" "
					      "and \"#\""},
	{SERVICE("'slots': ['POST /a/../b']"), "services[0].slots[0]: \"POST /a/../b\": paths are "
					       "compared in normal form: write it without "
					       "\"//\" and dot segments"},
	{SERVICE("'slots': [5, {}, {'match': 'x'}, {'match': 5}]"),
	 "services[0].slots[0]: must be a text such as \"POST /prompt\" or an object with "
	 "\"match\"\n"
	 "services[0].slots[1].match: required\n"
	 "services[0].slots[2].match: \"x\": must be a method or \"*\", a space and a path, such "
	 "as "
	 "\"POST /prompt\"\n"
	 "services[0].slots[3].match: must be a text, not 5"},
	{SERVICE("'slots': [{'match': 'GET /', 'freedBy': 'magic'}]"),
	 "services[0].slots[0].freedBy: must be \"response\" or \"idle\", not \"magic\""},
	{SERVICE("'blocked': [{'match': 'GET /'}]"),
	 "services[0].blocked[0]: must be a text such as \"POST /prompt\""},
};

static const struct row pod_faults[] = {
	{SERVICES("{'name': 'a', 'pods': {}}"),
	 "services[0].pods: must have one of \"static\", \"process\" and \"kubernetes\""},
	{SERVICES("{'name': 'a', 'pods': []}"),
	 "services[0].pods: must be an object, not a list of 0"},
	{SERVICES("{'name': 'a', 'pods': {'kubernetes': {}}}"),
	 "services[0].pods.kubernetes.service: required"},
	{SERVICES("{'name': 'a', 'pods': {'kubernetes': {'service': 'Sd', 'scale': {'group': "
		  "'apps/v1', "
		  "'name': '-x'}, 'scaler': 'keda', 'onFailure': 'cry', 'targetPort': 0.5}}}"),
	 "services[0].pods.kubernetes.service: \"Sd\": must be 1 to 63 lower-case letters, digits "
	 "or "
	 "\"-\", with no \"-\" at either end\n"
	 "services[0].pods.kubernetes.scale.group: \"apps/v1\": must be lower-case letters, "
	 "digits, "
	 "\"-\" and \".\", as an object's name is\n"
	 "services[0].pods.kubernetes.scale.name: \"-x\": must be lower-case letters, digits, "
	 "\"-\" and \".\", as an object's name is\n"
	 "services[0].pods.kubernetes.scaler: must be \"none\" or \"scale\", not \"keda\"\n"
	 "services[0].pods.kubernetes.onFailure: must be \"refuse\" or \"wait\", not \"cry\"\n"
	 "services[0].pods.kubernetes.targetPort: must be a whole number from 0 to 65535, not 0.5"},
	{SERVICES("{'name': 'a', 'containerConcurrency': 0, 'pods': {'kubernetes': {'service': "
		  "'sd', "
		  "'context': 'x', 'port': 'http', 'targetPort': 80}}}"),
	 "services[0].pods.kubernetes.context: needs a \"kubeconfig\"\n"
	 "services[0].pods.kubernetes.port: says nothing beside \"targetPort\": give one of the "
	 "two\n"
	 "services[0].autoscaling.target: must be above 0 when containerConcurrency is 0: else "
	 "nothing "
	 "says when to scale"},
	{SERVICES("{'name': 'a', 'pods': {'kubernetes': {'service': 'sd', 'scaler': 'none', "
		  "'scale': "
		  "{'name': 'x'}}}}"),
	 "services[0].pods.kubernetes.scale: nothing is scaled with \"scaler\": \"none\""},
	{SERVICES("{'name': 'a', 'hosts': ['a'], 'pods': {'kubernetes': {'service': 'sd'}}}, "
		  "{'name': "
		  "'b', 'hosts': ['b'], 'pods': {'kubernetes': {'service': 'sd'}}}"),
	 "services[1].pods.kubernetes.service: \"sd\" belongs to services[0] already"},
	{SERVICES("{'name': 'a', 'pods': {'static': ['[::1]:1'], 'process': {" COMMAND "}}" SCALE
		  "}"),
	 "services[0].pods: must have only one of \"static\", \"process\" and \"kubernetes\""},
	{SERVICES("{'name': 'a', 'pods': {'static': []}}"),
	 "services[0].pods.static: must be a list of 1 to 10000 addresses, not a list of 0"},
	{SERVICES("{'name': 'a', 'pods': {'static': {'a': '[::1]:1'}}}"),
	 "services[0].pods.static: must be a list of 1 to 10000 addresses, not an object"},
	{SERVICES("{'name': 'a', 'pods': {'static': ['x', 7860, '[::1]:0', '[::1]:1', "
		  "'[0::1]:1']}}"),
	 "services[0].pods.static[0]: \"x\": not an address of the form HOST:PORT\n"
	 "services[0].pods.static[1]: must be a text, not 7860\n"
	 "services[0].pods.static[2]: \"[::1]:0\": a pod's port must not be 0\n"
	 "services[0].pods.static[1]: \"[::1]:1\": listed twice"},
	{PROCESS_OF("", SCALE), "services[0].pods.process.command: required"},
	{PROCESS_OF("'command': []", SCALE),
	 "services[0].pods.process.command: must be a list of 1 to 1000 texts, not a list of 0"},
	{PROCESS_OF("'command': 'pod {port}'", SCALE),
	 "services[0].pods.process.command: must be a list of 1 to 1000 texts, not \"pod {port}\""},
	{PROCESS_OF("'command': ['', '{port}']", SCALE),
	 "services[0].pods.process.command[0]: the program must not be empty"},
	{PROCESS_OF("'command': [1, '{port}']", SCALE),
	 "services[0].pods.process.command[0]: must be a text, not 1"},
	{PROCESS_OF("'command': ['pod']", SCALE), "services[0].pods.process.command: must hold "
						  "{port}, or a variable of \"env\" must: else no "
						  "pod knows where to listen"},
	{PROCESS("'env': ['A=b']"),
	 "services[0].pods.process.env: must be an object, not a list of 1"},
	{PROCESS("'env': {'': 'x', 'A=': 'x', 'B': 1, 'C D': null}"),
	 "services[0].pods.process.env[\"\"]: a variable's name must not be empty or hold \"=\"\n"
	 "services[0].pods.process.env[\"A=\"]: a variable's name must not be empty or hold \"=\"\n"
	 "services[0].pods.process.env.B: must be a text, not 1\n"
	 "services[0].pods.process.env[\"C D\"]: must be a text, not null"},
	{PROCESS("'firstPort': 65536"),
	 "services[0].pods.process.firstPort: must be a whole number from 0 to 65535, not 65536"},
};

static const struct row contradictions[] = {
	{SERVICE("'autoscaling': {'minScale': 5, 'maxScale': 3}"),
	 "services[0].autoscaling.minScale: 5 is more than maxScale (3)"},
	{SERVICE("'autoscaling': {'initialScale': 5, 'activationScale': 4, 'maxScale': 3}"),
	 "services[0].autoscaling.initialScale: 5 is more than maxScale (3)\n"
	 "services[0].autoscaling.activationScale: 4 is more than maxScale (3)"},
	{SERVICE("'ejection': {'base': '90s'}"),
	 "services[0].ejection.base: 90s is more than max (1m)"},
	{PROCESS("'backoffBase': '2s', 'backoffMax': '1500ms'"),
	 "services[0].pods.process.backoffBase: 2s is more than backoffMax (1500ms)"},
	{SERVICE("'slots': ['GET /', {'match': 'POST /prompt', 'freedBy': 'idle'}]"),
	 "services[0].slots[1].freedBy: \"idle\" needs the service's \"idle\" check"},
	{SERVICE("'containerConcurrency': 0, 'slots': [{'match': 'POST /x', 'exclusive': true}]"),
	 "services[0].slots[0].exclusive: there is no \"all of a pod's slots\" when "
	 "containerConcurrency is 0"},
	{SERVICE("'idle': {'httpGet': '/', 'equals': 0}"),
	 "services[0].idle.equals: needs \"jsonPath\""},
	{SERVICE("'readiness': {'httpGet': '/', 'none': true}"),
	 "services[0].readiness: must have only one of \"httpGet\", \"tcpSocket\" and \"none\""},
	{PROCESS_OF(COMMAND, ""), "services[0].autoscaling.maxScale: must be at least 1 with "
				  "\"process\" pods: say how many this machine can run"},
	{PROCESS_OF(COMMAND, ", 'autoscaling': {'maxScale': 0}"),
	 "services[0].autoscaling.maxScale: must be at least 1 with \"process\" pods: say how many "
	 "this machine can run"},
	{PROCESS_OF(COMMAND, ", 'autoscaling': {'maxScale': 'x'}"), /* one fault, not two */
	 "services[0].autoscaling.maxScale: must be a whole number from 0 to 10000, not \"x\""},
	{PROCESS_OF(COMMAND, SCALE ", 'containerConcurrency': 0"),
	 "services[0].autoscaling.target: must be above 0 when containerConcurrency is 0: else "
	 "nothing says when to scale"},
	{PROCESS("'firstPort': 65533"),
	 "services[0].pods.process.firstPort: leaves no room below 65536 for 4 pods"},
};

#define B_PODS "'pods': {'static': ['[::1]:1']}"

static const struct row shared_faults[] = {
	{SERVICES(NAMED("a", ", 'hosts': ['x']") ", {'name': 'a', 'hosts': ['y'], " B_PODS "}"),
	 "services[1].name: \"a\" belongs to services[0] already"},
	{SERVICES(NAMED("a", ", 'hosts': ['x', 'z']") ", {'name': 'b', 'hosts': ['y', 'X'], " B_PODS
						      "}"),
	 "services[1].hosts[1]: \"x\" belongs to services[0] already"},
	{SERVICES(NAMED("a", "") ", {'name': 'b', " B_PODS "}"),
	 "services[1].hosts: required, as services[0] serves every host already (or let a listener "
	 "name one of the two)"},
	{SERVICES(NAMED("a", "") "," NAMED("b", ", 'hosts': ['x']")),
	 "services[1].pods.static[0]: \"127.0.0.1:7860\" belongs to services[0] already"},
	{"{'listeners': [{'address': ':80', 'service': 'sd-xl'}],"
	 " 'services': [" NAMED("sdxl", "") "]}",
	 "listeners[0].service: no service has the name \"sd-xl\"; did you mean \"sdxl\"?"},
	{"{'listeners': [{'address': ':80', 'service': 'zzzz'}], " ONE_SERVICE "}",
	 "listeners[0].service: no service has the name \"zzzz\""},
	{"{'listeners': [{'address': ':80'}, {'address': '0.0.0.0:80'}, {'address': "
	 "'127.0.0.1:9090'},"
	 " {'address': ':0'}, {'address': ':0'}], " ONE_SERVICE "}",
	 "listeners[1].address: \"0.0.0.0:80\": another listener has it\n"
	 "listeners[2].address: \"127.0.0.1:9090\": admin.address has it"},
	{"{'listeners': [{'address': ':80', 'service': 'a'}],"
	 " 'services': [" NAMED("a", "") ", {'name': 'b', 'hosts': ['x'], " B_PODS "}]}",
	 "services[1]: no listener leads to it: each names another service"},
	{"{'listeners': [{'address': ':80', 'service': 'a'}, {'address': ':81'}], " ONE_SERVICE "}",
	 "listeners[1].service: required, as every service belongs to a listener that names it"},
	{SERVICES("{'name': 'a', 'hosts': ['x'], 'pods': {'process': {" COMMAND
		  ", 'firstPort': 8000}}" SCALE "}, {'name': 'b', 'pods': {'process': {" COMMAND
		  ", 'firstPort': 8003}}" SCALE "}"),
	 "services[1].pods.process.firstPort: its ports (8003 to 8006) overlap those of "
	 "services[0] "
	 "(8000 to 8003)"},
	/* All faults at once, in the order of the file and then those between parts. */
	{"{'listeners': [{'address': 'x', 'service': 'c'}], 'logs': {},"
	 " 'services': [" NAMED("a", ", 'queue': {'maxWait': 5, 'maxRequests': 0}") "," NAMED(
		 "a", "") "]}",
	 "logs: unknown key; did you mean \"log\"?\n"
	 "listeners[0].address: \"x\": not an address of the form HOST:PORT\n"
	 "services[0].queue.maxWait: must be a duration from 1ms to 24h, not 5: say the unit, as "
	 "in "
	 "\"5s\" or \"5ms\"\n"
	 "services[0].queue.maxRequests: must be a whole number from 1 to 1000000, not 0\n"
	 "services[1].name: \"a\" belongs to services[0] already\n"
	 "services[1].pods.static[0]: \"127.0.0.1:7860\" belongs to services[0] already\n"
	 "listeners[0].service: no service has the name \"c\""},
};

static void test_file_faults(void **state)
{
	(void)state;
	CHECK_FAULTS(file_faults);
}

static void test_key_faults(void **state)
{
	(void)state;
	CHECK_FAULTS(key_faults);
}

static void test_type_faults(void **state)
{
	(void)state;
	CHECK_FAULTS(type_faults);
}

static void test_list_faults(void **state)
{
	(void)state;
	CHECK_FAULTS(list_faults);
}

static void test_pod_faults(void **state)
{
	(void)state;
	CHECK_FAULTS(pod_faults);
}

static void test_contradictions(void **state)
{
	(void)state;
	CHECK_FAULTS(contradictions);
}

static void test_shared_faults(void **state)
{
	(void)state;
	CHECK_FAULTS(shared_faults);
}

/* A fault is one line of a sane length, whatever is quoted in it. */
static void test_long_names_are_cut(void **state)
{
	(void)state;
	char name[5001], text[6000];
	struct str faults;
	memset(name, 'x', 5000);
	name[5000] = '\0';
	snprintf(text, sizeof(text), TOP("'%s': 1"), name);
	str_init(&faults);
	assert_null(parse(text, &faults));
	assert_true(faults.len < 400);
	str_clear(&faults);
	snprintf(text, sizeof(text), TOP("'drainTimeout': '%s'"), name);
	assert_null(parse(text, &faults));
	assert_true(faults.len < 400);
	str_release(&faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_faults),   cmocka_unit_test(test_key_faults),
		cmocka_unit_test(test_type_faults),   cmocka_unit_test(test_list_faults),
		cmocka_unit_test(test_pod_faults),    cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_shared_faults), cmocka_unit_test(test_long_names_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
