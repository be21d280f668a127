/* Reads a file of API keys, and finds a key in it. */
#include "config/keys.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/options.h"
#include "config/parts.h"

/* --- one key --------------------------------------------------------------------------------- */

const char *form_tenant(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strspn(text, plain);
	if (!n || text[n] || n >= TENANT_NAME_BYTES)
		return "must be 1 to 63 letters, digits, \".\", \"_\" or \"-\"";
	if (strcmp(text, "other") == 0)
		return "is what the metrics call all tenants above their number; take another";
	return NULL;
}

static bool copy_digest(char to[CRYPTO_SHA256_DIGITS + 1], const char *from)
{
	size_t i = 0;
	for (; i < CRYPTO_SHA256_DIGITS && isxdigit((unsigned char)from[i]); i++)
		to[i] = (char)tolower((unsigned char)from[i]);
	to[i] = '\0';
	return i == CRYPTO_SHA256_DIGITS && !from[i];
}

static void read_digest(struct api_keys *k, struct api_key *key, const struct key_config *c,
			const struct place *up, struct str *faults)
{
	const struct place *at = PLACE_KEY(up, "sha256");
	if (!c->sha256)
		return; /* that has been told */
	if (!copy_digest(key->digest, c->sha256)) {
		fault_at(faults, at,
			 "must be the SHA-256 of a key, as 64 hexadecimal digits: "
			 "`slotgate key TENANT` makes both");
		return;
	}
	const struct api_key *same = map_get(&k->by_digest, key->digest);
	if (same)
		fault_at(faults, at, "the same key as keys[%zu]", (size_t)(same - k->keys));
	else if (!map_put(&k->by_digest, key->digest, key))
		fault_at(faults, at, "out of memory");
}

static bool is_served_here(const struct json *item, const char *service, const struct place *up,
			   struct str *faults)
{
	const struct json *list = json_get(item, "services");
	size_t count;
	bool found = !list;
	if (!json_is(list, JSON_LIST))
		return true;
	char **names =
		config_read_texts(list, form_name, PLACE_KEY(up, "services"), faults, &count);
	for (size_t i = 0; i < count; i++)
		found |= strcmp(names[i], service) == 0;
	config_free_texts(names);
	return found;
}

/* --- tenants --------------------------------------------------------------------------------- */

struct reader {
	struct api_keys *keys;
	struct map names;    /* tenants by name, as their index + 1 */
	size_t (*given)[4];  /* which key gave each limit of a tenant, + 1 */
	const char *service; /* whose keys they are */
	struct str *faults;
};

static size_t tenant_index(struct reader *r, const char *name)
{
	struct api_keys *k = r->keys;
	size_t known = (size_t)(uintptr_t)map_get(&r->names, name);
	if (known)
		return known - 1;
	struct key_tenant *tn = &k->tenants[k->tenant_count++];
	tn->name = mem_must_strdup(name);
	if (!map_put(&r->names, tn->name, (void *)(uintptr_t)k->tenant_count))
		fault_at(r->faults, NULL, "out of memory");
	return k->tenant_count - 1;
}

/* A tenant's limit, given at one of its keys: the others must not say otherwise. */
static bool is_first_to_say(struct reader *r, size_t tenant, size_t which, bool is_same, size_t key,
			    const struct place *at)
{
	size_t *by = &r->given[tenant][which];
	if (*by && !is_same)
		fault_at(r->faults, at, "keys[%zu] gives the same tenant another; say it once",
			 *by - 1);
	bool first = !*by;
	if (first)
		*by = key + 1;
	return first;
}

static void read_limits(struct reader *r, const struct json *item, const struct key_config *c,
			size_t key, const struct place *at)
{
	static const char *const names[] = {"requestsPerSecond", "burst", "maxQueued",
					    "maxWorking"};
	size_t tenant = r->keys->keys[key].tenant;
	struct key_tenant *tn = &r->keys->tenants[tenant];
	int64_t *const to[] = {NULL, &tn->burst, &tn->max_queued, &tn->max_working};
	const int64_t from[] = {0, c->burst, c->max_queued, c->max_working};
	for (size_t i = 0; i < 4; i++) {
		bool is_same =
			i ? *to[i] == from[i] : tn->requests_per_second == c->requests_per_second;
		if (!json_get(item, names[i]) ||
		    !is_first_to_say(r, tenant, i, is_same, key, PLACE_KEY(at, names[i])))
			continue;
		if (i)
			*to[i] = from[i];
		else
			tn->requests_per_second = c->requests_per_second;
	}
}

static void check_bursts(const struct reader *r)
{
	for (size_t i = 0; i < r->keys->tenant_count; i++) {
		const struct key_tenant *tn = &r->keys->tenants[i];
		const struct place *at = PLACE_ITEM(PLACE_KEY(NULL, "keys"), r->given[i][1] - 1);
		if (tn->burst && tn->requests_per_second == 0)
			fault_at(r->faults, PLACE_KEY(at, "burst"),
				 "needs the tenant's \"requestsPerSecond\"");
	}
}

/* --- the file -------------------------------------------------------------------------------- */

static void read_key(struct reader *r, const struct json *item, size_t i)
{
	const struct place *at = PLACE_ITEM(PLACE_KEY(NULL, "keys"), i);
	struct api_key *key = &r->keys->keys[i];
	struct key_config c = {0};
	options_set_defaults(SCOPE_KEY, &c);
	options_read(SCOPE_KEY, &c, item, at, r->faults);
	read_digest(r->keys, key, &c, at, r->faults);
	key->disabled = c.disabled;
	key->is_elsewhere = !is_served_here(item, r->service, at, r->faults);
	if (c.tenant) {
		key->tenant = tenant_index(r, c.tenant);
		r->keys->tenants[key->tenant].is_served |= !key->is_elsewhere;
		read_limits(r, item, &c, i, at);
	}
	options_release(SCOPE_KEY, &c);
}

static void read_keys(struct api_keys *k, const struct json *root, const char *service,
		      struct str *faults)
{
	const struct json *list = json_get(root, "keys");
	size_t count = json_is(list, JSON_LIST) ? json_count(list) : 0;
	struct reader r = {.keys = k, .service = service, .faults = faults};
	options_read(SCOPE_KEY_FILE, NULL, root, NULL, faults);
	if (count > KEYS_MAX)
		return; /* that has been told */
	map_init(&r.names);
	k->keys = mem_must_zalloc(count * sizeof(*k->keys));
	k->tenants = mem_must_zalloc(count * sizeof(*k->tenants));
	r.given = mem_must_zalloc(count * sizeof(*r.given));
	for (const struct json *it = count ? json_first(list) : NULL; it; it = json_next(it))
		read_key(&r, it, k->count++);
	check_bursts(&r);
	mem_free(r.given);
	map_release(&r.names);
}

bool api_keys_parse(struct api_keys *k, const char *name, const char *text, size_t len,
		    const char *service, struct str *faults)
{
	struct str mine;
	str_init_must(&mine);
	size_t before = faults->len;
	struct json *root =
		fault_or_object(faults, name, (struct slice){text, len}, "{\"keys\": [...]}");
	if (root)
		read_keys(k, root, service, &mine);
	for (const char *line = mine.len ? mine.at : ""; *line;) {
		size_t n = strcspn(line, "\n") + 1;
		str_printf(faults, "%s: %.*s", name, (int)n, line);
		line += n;
	}
	bool ok = faults->len == before && !faults->failed && !mine.failed;
	json_free(root);
	str_release(&mine);
	return ok;
}

bool api_keys_load(struct api_keys *k, const char *path, const char *service, struct str *faults)
{
	struct str text;
	bool ok = false;
	str_init_must(&text);
	int error = file_read(path, KEYS_FILE_MAX_BYTES, &text);
	if (error == EFBIG)
		str_printf(faults, "%s: a file of keys must not be larger than 8 MiB\n", path);
	else if (error)
		str_printf(faults, "%s: %s\n", path, strerror(error));
	else
		ok = api_keys_parse(k, path, text.len ? text.at : "", text.len, service, faults);
	str_release(&text);
	return ok;
}

void api_keys_release(struct api_keys *k)
{
	for (size_t i = 0; i < k->tenant_count; i++)
		mem_free(k->tenants[i].name);
	mem_free(k->tenants);
	mem_free(k->keys);
	map_release(&k->by_digest);
	*k = (struct api_keys){0};
}

const struct api_key *api_keys_find(const struct api_keys *k, struct slice key)
{
	char digest[CRYPTO_SHA256_DIGITS + 1];
	if (!key.len || key.len > KEY_MAX_BYTES || !crypto_sha256_hex(key.at, key.len, digest))
		return NULL;
	const struct api_key *found = map_get(&k->by_digest, digest);
	bool same = found && crypto_is_same(found->digest, digest, CRYPTO_SHA256_DIGITS);
	return same ? found : NULL;
}
