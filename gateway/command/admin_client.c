/* How a command asks an admin address. */
#include "gateway/command/admin_client.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

enum { SECRET_BYTES = 4096, MOST_BYTES = 16 << 20 };

static bool set_base(struct admin_client *c, const char *admin)
{
	bool is_url = strncmp(admin, "http://", 7) == 0 || strncmp(admin, "https://", 8) == 0;
	size_t len = strlen(admin);
	while (len && admin[len - 1] == '/')
		len--;
	if (!len || len > sizeof(c->base) - 16)
		return false;
	snprintf(c->base, sizeof(c->base), "%s%.*s", is_url ? "" : "http://", (int)len, admin);
	return true;
}

void admin_client_init(struct admin_client *c, const char *verb)
{
	*c = (struct admin_client){.verb = verb};
	set_base(c, "127.0.0.1:9090");
}

int admin_client_misused(const struct admin_client *c, const char *word, const char *why)
{
	fprintf(stderr, "slotgate: %s: %s%s%s; see 'slotgate help'\n", c->verb, word,
		*word ? ": " : "", why);
	return USAGE_STATUS;
}

static bool read_secret(struct admin_client *c, const char *path)
{
	struct str text;
	str_init(&text);
	int error = file_read(path, SECRET_BYTES, &text);
	size_t len = error || !text.at ? 0 : strcspn(text.at, " \t\r\n");
	if (len)
		snprintf(c->authorization, sizeof(c->authorization), "Authorization: Bearer %.*s",
			 (int)len, text.at);
	else
		admin_client_misused(c, path, error ? strerror(error) : "there is no secret in it");
	str_release(&text);
	return len > 0;
}

bool admin_client_word(struct admin_client *c, int argc, char **argv, int *at, bool *is_wrong)
{
	bool has_value = *at + 1 < argc;
	const char *word = argv[*at], *value = has_value ? argv[*at + 1] : "";
	bool is_admin = strcmp(word, "--admin") == 0, is_secret = strcmp(word, "--token-file") == 0;
	*is_wrong = false;
	if (!has_value || (!is_admin && !is_secret))
		return false;
	if (is_admin && !set_base(c, value)) {
		admin_client_misused(c, value, "not an address");
		*is_wrong = true;
	}
	if (is_secret)
		*is_wrong = !read_secret(c, value);
	++*at;
	return !*is_wrong;
}

struct http_exchange *admin_client_ask(struct admin_client *c, const char *path, http_client_fn *fn,
				       void *owner)
{
	char url[ADMIN_CLIENT_URL_BYTES + 64];
	const char *headers[] = {*c->authorization ? c->authorization : NULL, NULL};
	snprintf(url, sizeof(url), "%s%s", c->base, path);
	return http_client_start(c->http,
				 &(struct http_client_request){.url = url,
							       .headers = headers,
							       .timeout_us = 5 * US_PER_S,
							       .max_body_bytes = MOST_BYTES,
							       .keep_alive = true},
				 fn, owner);
}

struct json *admin_client_read(const struct http_client_result *r, char why[ADMIN_CLIENT_WHY_BYTES])
{
	struct json_error fault = {0};
	why[0] = '\0';
	if (r->error != HTTP_CLIENT_OK) {
		snprintf(why, ADMIN_CLIENT_WHY_BYTES, "%s", *r->text ? r->text : "no answer");
		return NULL;
	}
	if (r->status == 401) {
		snprintf(why, ADMIN_CLIENT_WHY_BYTES, "asks for a secret: give --token-file FILE");
		return NULL;
	}
	struct json *told = r->status == 200 ? json_parse(r->body.at, r->body.len, &fault) : NULL;
	if (!told && r->status == 200)
		snprintf(why, ADMIN_CLIENT_WHY_BYTES, "%s", fault.message);
	else if (!told)
		snprintf(why, ADMIN_CLIENT_WHY_BYTES, "answers %d", r->status);
	return told;
}

void admin_client_tell(const struct admin_client *c, const char *path, const char *why)
{
	fprintf(stderr, "slotgate: %s%s: %s%s\n", c->base, path, why,
		strstr(why, "secret")
			? ""
			: "; is slotgate running, and is this its admin address (--admin)?");
}
