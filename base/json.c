/* JSON documents: cJSON's tree behind names of our own. */
#include "base/json.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"

#define BOM "\xef\xbb\xbf"

static const cJSON *node(const struct json *j)
{
	return (const cJSON *)(const void *)j;
}

static const struct json *value(const cJSON *n)
{
	return (const struct json *)(const void *)n;
}

/* Where `at` is in the text, for people: characters, not bytes. */
static void locate(struct json_error *error, const char *text, const char *at)
{
	error->line = error->column = 1;
	for (; text < at; text++) {
		if (*text == '\n') {
			error->line++;
			error->column = 1;
		} else if (((unsigned char)*text & 0xc0) != 0x80) {
			error->column++;
		}
	}
}

struct json *json_parse(const char *text, size_t len, struct json_error *error)
{
	*error = (struct json_error){0};
	if (len > JSON_MAX_BYTES) {
		error->message = "more than 16 MiB of JSON";
		return NULL;
	}
	if (len >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0) {
		text += strlen(BOM);
		len -= strlen(BOM);
	}
	const char *at;
	error->message = json_scan(text, len, JSON_MAX_DEPTH, &at);
	if (error->message) {
		locate(error, text, at);
		return NULL;
	}
	cJSON_InitHooks(&(cJSON_Hooks){mem_alloc, mem_free});
	cJSON *root = cJSON_ParseWithLength(text, len);
	if (!root)
		error->message = "out of memory";
	return (struct json *)(void *)root;
}

void json_free(struct json *document)
{
	cJSON_Delete((cJSON *)(void *)document);
}

enum json_type json_type(const struct json *j)
{
	switch (node(j)->type & 0xff) {
	case cJSON_False:
	case cJSON_True:
		return JSON_BOOL;
	case cJSON_Number:
		return JSON_NUMBER;
	case cJSON_String:
		return JSON_TEXT;
	case cJSON_Array:
		return JSON_LIST;
	case cJSON_Object:
		return JSON_OBJECT;
	default:
		return JSON_NULL;
	}
}

bool json_is(const struct json *j, enum json_type type)
{
	return j && json_type(j) == type;
}

bool json_bool(const struct json *j, bool *to)
{
	if (!json_is(j, JSON_BOOL))
		return false;
	*to = cJSON_IsTrue(node(j));
	return true;
}

bool json_number(const struct json *j, double *to)
{
	if (!json_is(j, JSON_NUMBER))
		return false;
	*to = node(j)->valuedouble;
	return true;
}

const char *json_text(const struct json *j)
{
	return json_is(j, JSON_TEXT) ? node(j)->valuestring : NULL;
}

const struct json *json_first(const struct json *parent)
{
	return parent ? value(node(parent)->child) : NULL;
}

const struct json *json_next(const struct json *j)
{
	return value(node(j)->next);
}

const char *json_key(const struct json *member)
{
	return node(member)->string;
}

size_t json_count(const struct json *parent)
{
	size_t n = 0;
	JSON_EACH(it, parent)
		n++;
	return n;
}

static const struct json *get(const struct json *object, const char *key, size_t len)
{
	if (!json_is(object, JSON_OBJECT))
		return NULL;
	JSON_EACH(it, object)
		if (strncmp(json_key(it), key, len) == 0 && json_key(it)[len] == '\0')
			return it;
	return NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
	return get(object, key, strlen(key));
}

const struct json *json_find(const struct json *object, const char *path)
{
	for (;;) {
		size_t n = strcspn(path, ".");
		object = get(object, path, n);
		if (!object || path[n] == '\0')
			return object;
		path += n + 1;
	}
}
