/* What is common to all objects of the API. */
#include "activator/providers/kubernetes_values.h"

#include <string.h>

enum { PORT_MAX = 65535 };

bool kube_copy_name(const struct json *value, char *to, size_t size)
{
	const char *text = json_text(value);
	size_t n = text ? strlen(text) : 0;
	to[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
			return false;
	if (n >= size)
		return false;
	if (n)
		memcpy(to, text, n + 1);
	return n > 0;
}

void kube_copy_words(const char *text, char *to, size_t size)
{
	size_t n = 0;
	for (; text && *text && n + 1 < size; text++)
		to[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text;
	while (n && (to[n - 1] & 0x80) && text && (*text & 0xc0) == 0x80)
		n--; /* not in the middle of a character */
	to[n] = '\0';
}

int64_t kube_whole(const struct json *value, int64_t fallback)
{
	double n;
	if (!json_number(value, &n) || !(n >= 0 && n <= INT32_MAX))
		return fallback;
	return (int64_t)n;
}

int kube_port_number(const struct json *value)
{
	int64_t n = kube_whole(value, 0);
	return n <= PORT_MAX ? (int)n : 0;
}

bool kube_is_text(const struct json *value, const char *text)
{
	const char *is = json_text(value);
	return is && strcmp(is, text) == 0;
}

bool kube_flag(const struct json *value, bool fallback)
{
	bool is = fallback;
	json_bool(value, &is);
	return is;
}

const struct json *kube_items(const struct json *list)
{
	return json_is(list, JSON_LIST) ? list : NULL;
}

bool kube_is_sidecar(const struct json *init_container)
{
	return kube_is_text(json_get(init_container, "restartPolicy"), "Always");
}
