/* How to get to an API server: kubeconfigs, the YAML that they are in, and service accounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "activator/providers/kubernetes_access.h"
#include "base/yaml.h"

static void yaml_is(const char *yaml, const char *wanted)
{
	struct str s;
	struct yaml_error error;
	str_init(&s);
	bool ok = yaml_to_json(yaml, strlen(yaml), &s, &error);
	if (wanted)
		assert_string_equal(ok && s.at ? s.at : error.message, wanted);
	else
		assert_false(ok);
	str_release(&s);
}

static void rewrites_yaml(void **state)
{
	(void)state;
	yaml_is("a: b\nc:\n- 1\n- true\n- ~\n- \"null\"\n",
		"{\"a\":\"b\",\"c\":[\"1\",true,null,\"null\"]}");
	yaml_is("{\"a\": [\"x\", {\"b\": null}]}", "{\"a\":[\"x\",{\"b\":null}]}");
	yaml_is("a: |\n  two\n  lines\nb:\n", "{\"a\":\"two\\u000alines\\u000a\",\"b\":null}");
	yaml_is("a: &x 1\nb: *x\n", "anchors, aliases and tags are not understood");
	yaml_is("a: !!int 1\n", "anchors, aliases and tags are not understood");
	yaml_is("a: 1\n---\nb: 2\n", "more than one document");
	yaml_is("", "empty");
	yaml_is("[a: b: c", NULL);
	yaml_is("? [a]\n: b\n", "a key is no text");
}

#define DIRECTORY "/tmp/slotgate-kubeconfig-XXXXXX"
static char directory[] = DIRECTORY;

static void make_directory(void)
{
	memcpy(directory, DIRECTORY, sizeof(directory));
	assert_non_null(mkdtemp(directory));
}

static char *in_directory(const char *name)
{
	static char path[2][256];
	static int turn;
	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", directory, name);
	return path[turn];
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_directory(name), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_fault_names_the_file(const char *config, const char *says)
{
	struct kube_access a;
	char why[KUBE_WHY_BYTES];
	kube_access_init(&a);
	write_file("config", config);
	assert_false(kube_access_read(&a, in_directory("config"), NULL, why));
	assert_non_null(strstr(why, directory));
	if (!strstr(why, says))
		fail_msg("%s instead of %s", why, says);
	kube_access_release(&a);
}

static void reads_a_kubeconfig(void **state)
{
	(void)state;
	struct kube_access a;
	char why[KUBE_WHY_BYTES] = "";
	make_directory();
	write_file("token", "first\n");
	write_file("config",
		   "current-context: x\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\n"
		   "- name: y\n  context: {cluster: c, user: u, namespace: far}\n"
		   "clusters:\n- name: c\n  cluster:\n    server: https://[fd00::1]:6443/\n"
		   "    certificate-authority-data: Q0Eh\n"
		   "users:\n- name: u\n  user: {tokenFile: token}\n");
	kube_access_init(&a);
	if (!kube_access_read(&a, in_directory("config"), NULL, why))
		fail_msg("%s", why);
	assert_non_null(a.server.at);
	assert_string_equal(a.server.at, "https://[fd00::1]:6443");
	assert_non_null(a.name_space.at);
	assert_string_equal(a.name_space.at, "default");
	assert_non_null(a.ca.at);
	assert_string_equal(a.ca.at, "CA!");
	assert_non_null(a.token.at);
	assert_string_equal(a.token.at, "first");
	write_file("token", "second, with a space"); /* stays as it was */
	kube_access_refresh(&a);
	assert_non_null(a.token.at);
	assert_string_equal(a.token.at, "first");
	write_file("token", "second-one");
	kube_access_refresh(&a);
	assert_non_null(a.token.at);
	assert_string_equal(a.token.at, "second-one");
	kube_access_release(&a);
	kube_access_init(&a);
	assert_true(kube_access_read(&a, in_directory("config"), "y", why));
	assert_non_null(a.name_space.at);
	assert_string_equal(a.name_space.at, "far");
	kube_access_release(&a);

	a_fault_names_the_file("a: [", "not YAML");
	a_fault_names_the_file("current-context: z", "no such context");
	a_fault_names_the_file(
		"current-context: x\ncontexts:\n- name: x\n  context: {cluster: c}\n",
		"no cluster");
	a_fault_names_the_file("current-context: x\ncontexts:\n- name: x\n  context: {cluster: c}\n"
			       "clusters:\n- name: c\n  cluster: {server: ftp://x}\n",
			       "https://");
	a_fault_names_the_file(
		"current-context: x\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\n"
		"clusters:\n- name: c\n  cluster: {server: 'https://x'}\n"
		"users:\n- name: u\n  user: {exec: {command: aws}}\n",
		"exec");
	a_fault_names_the_file(
		"current-context: x\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\n"
		"clusters:\n- name: c\n  cluster: {server: 'https://x'}\n"
		"users:\n- name: u\n  user: {tokenFile: nowhere}\n",
		"No such file");
	unlink(in_directory("config"));
	unlink(in_directory("token"));
	rmdir(directory);
}

static void reads_a_service_account(void **state)
{
	(void)state;
	struct kube_access a;
	char why[KUBE_WHY_BYTES] = "";
	make_directory();
	kube_access_init(&a);
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_false(kube_access_in_cluster(&a, directory, why));
	assert_non_null(strstr(why, "kubeconfig"));
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	write_file("token", "t");
	write_file("ca.crt", "pem");
	write_file("namespace", "here");
	if (!kube_access_in_cluster(&a, directory, why))
		fail_msg("%s", why);
	assert_non_null(a.server.at);
	assert_string_equal(a.server.at, "https://[fd00::1]:443");
	assert_non_null(a.name_space.at);
	assert_string_equal(a.name_space.at, "here");
	write_file("ca.crt", "another");
	kube_access_refresh(&a);
	assert_non_null(a.ca.at);
	assert_string_equal(a.ca.at, "another");
	kube_access_release(&a);
	unlink(in_directory("token"));
	unlink(in_directory("ca.crt"));
	unlink(in_directory("namespace"));
	rmdir(directory);
	unsetenv("KUBERNETES_SERVICE_HOST");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewrites_yaml),
		cmocka_unit_test(reads_a_kubeconfig),
		cmocka_unit_test(reads_a_service_account),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
