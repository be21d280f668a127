/* Files of API keys, and what is found in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "gateway/http/forward.h"

/* SHA-256 of "abc" and of "" (FIPS 180-4's examples). */
#define ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static bool read(struct api_keys *k, const char *text, struct str *faults)
{
	*k = (struct api_keys){0};
	str_init(faults);
	return api_keys_parse(k, "keys.json", text, strlen(text), "sd", faults);
}

static void check_fault(const char *text, const char *fault)
{
	struct api_keys k;
	struct str faults;
	assert_false(read(&k, text, &faults));
	assert_string_equal(faults.at, fault);
	str_release(&faults);
	api_keys_release(&k);
}

static void digests_are_sha256(void **state)
{
	char text[CRYPTO_SHA256_DIGITS + 1];
	(void)state;
	assert_true(crypto_sha256_hex("abc", 3, text));
	assert_string_equal(text, ABC);
	assert_true(crypto_sha256_hex("", 0, text));
	assert_string_equal(text, EMPTY);
	assert_true(crypto_is_same("abc", "abc", 3));
	assert_false(crypto_is_same("abc", "abd", 3));
}

static void a_key_is_found_by_its_digest(void **state)
{
	struct api_keys k;
	struct str faults;
	char long_key[KEY_MAX_BYTES + 1];
	(void)state;
	memset(long_key, 'k', sizeof(long_key));
	assert_true(read(&k,
			 "{\"keys\": [{\"tenant\": \"acme\", \"sha256\": "
			 "\"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD\"},"
			 "{\"tenant\": \"nobody\", \"sha256\": \"" EMPTY "\"}]}",
			 &faults));
	const struct api_key *found = api_keys_find(&k, SLICE("abc"));
	assert_non_null(found);
	assert_string_equal(k.tenants[found->tenant].name, "acme");
	assert_null(api_keys_find(&k, SLICE("abd")));
	assert_null(api_keys_find(&k, SLICE("ab")));
	assert_null(api_keys_find(&k, SLICE(ABC)));
	assert_null(api_keys_find(&k, SLICE(""))); /* even if somebody has listed it */
	assert_null(api_keys_find(&k, (struct slice){long_key, sizeof(long_key)}));
	str_release(&faults);
	api_keys_release(&k);
}

static void keys_of_a_tenant_share_its_limits(void **state)
{
	struct api_keys k;
	struct str faults;
	(void)state;
	assert_true(
		read(&k,
		     "{\"keys\": [{\"sha256\": \"" ABC "\", \"tenant\": \"a\", \"maxQueued\": 7},"
		     "{\"sha256\": \"" EMPTY "\", \"tenant\": \"a\", \"requestsPerSecond\": 0.5, "
		     "\"burst\": 3, \"maxQueued\": 7, \"disabled\": true, \"services\": [\"x\"]}]}",
		     &faults));
	assert_int_equal(k.tenant_count, 1);
	assert_true(k.tenants[0].requests_per_second == 0.5 && k.tenants[0].is_served);
	assert_int_equal(k.tenants[0].burst, 3);
	assert_int_equal(k.tenants[0].max_queued, 7);
	assert_int_equal(k.tenants[0].max_working, 0);
	assert_true(k.keys[1].disabled && k.keys[1].is_elsewhere && !k.keys[0].is_elsewhere);
	str_release(&faults);
	api_keys_release(&k);
}

static void faults_name_the_file_and_the_place(void **state)
{
	(void)state;
	check_fault("{\"keys\": [{\"sha256\": \"" ABC "\", \"tenant\": \"a\", \"maxWorkng\": 1}]}",
		    "keys.json: keys[0].maxWorkng: unknown key; did you mean \"maxWorking\"?\n");
	check_fault("{\"keys\": [{\"sha256\": \"sk-secret\", \"tenant\": \"a\"}]}",
		    "keys.json: keys[0].sha256: must be the SHA-256 of a key, as 64 hexadecimal "
		    "digits: `slotgate key TENANT` makes both\n");
	check_fault("{\"keys\": [{\"sha256\": \"" ABC "\", \"tenant\": \"a\"}, 5]}",
		    "keys.json: keys[1]: must be an object, not 5\n");
	check_fault("{\"keyz\": []}", "keys.json: keyz: unknown key; did you mean \"keys\"?\n"
				      "keys.json: keys: required\n");
	check_fault("{\"keys\": [{\"sha256\": \"" ABC "\", \"tenant\": \"a\", \"burst\": 1},"
		    "{\"sha256\": \"" ABC "\", \"tenant\": \"a\", \"burst\": 2}]}",
		    "keys.json: keys[1].sha256: the same key as keys[0]\n"
		    "keys.json: keys[1].burst: keys[0] gives the same tenant another; say it once\n"
		    "keys.json: keys[0].burst: needs the tenant's \"requestsPerSecond\"\n");
	check_fault("{", "keys.json:1:2: the text ends too early\n");
}

static void a_header_presents_a_key(void **state)
{
	static const struct {
		const char *name, *value, *key;
	} cases[] = {
		{"x-api-key", " k ", "k"},
		{"X-API-KEY", "", ""},
		{"Authorization", "Bearer k", "k"},
		{"authorization", "BEARER   k", "k"},
		{"Authorization", "Bearer", ""},
		{"Authorization", "Bearer ", ""},
		{"Authorization", "Bearerk", ""},
		{"Authorization", "Basic k", ""},
		{"Proxy-Authorization", "Bearer k", ""},
		{"X-Api-Keys", "k", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_header h = {slice_of(cases[i].name), slice_of(cases[i].value), 0};
		h.id = header_identify(h.name);
		assert_true(slice_is(forward_key(&h), cases[i].key));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_sha256),
		cmocka_unit_test(a_key_is_found_by_its_digest),
		cmocka_unit_test(keys_of_a_tenant_share_its_limits),
		cmocka_unit_test(faults_name_the_file_and_the_place),
		cmocka_unit_test(a_header_presents_a_key),
	};
	return cmocka_run_group_tests_name("API keys", tests, NULL, NULL);
}
