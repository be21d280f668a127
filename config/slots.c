/* Reads lists of patterns: what takes a slot, what is blocked, and what needs no key. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "config/options.h"
#include "config/parts.h"

/* Splits "METHOD PATH"; returns what is wrong, or NULL. */
static const char *split(struct slot_pattern *p)
{
	const char *space = strchr(p->text, ' ');
	const char *fault = form_line(p->text);
	if (fault)
		return fault;
	if (!space)
		return "must be a method or \"*\", a space and a path, such as \"POST /prompt\"";
	p->method = mem_must_printf("%.*s", (int)(space - p->text), p->text);
	p->path = mem_must_strdup(space + 1);
	if (form_token(p->method))
		return "its method must be a word or \"*\"";
	for (const char *c = p->method; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			return "its method must be in capitals";
	return pattern_fault(p->path);
}

static void read_pattern(struct slot_pattern *p, const struct json *item, bool plain_only,
			 const struct place *at, struct str *faults)
{
	const struct place *match = PLACE_KEY(at, "match");
	bool is_object = json_is(item, JSON_OBJECT) && !plain_only;
	options_set_defaults(SCOPE_SLOT, p);
	if (is_object) {
		options_read(SCOPE_SLOT, p, item, at, faults);
	} else if (json_is(item, JSON_TEXT)) {
		p->text = mem_must_strdup(json_text(item));
	} else {
		fault_at(faults, at, "must be a text such as \"POST /prompt\"%s",
			 plain_only ? "" : " or an object with \"match\"");
	}
	const char *fault = p->text ? split(p) : NULL;
	if (fault)
		fault_at_text(faults, is_object ? match : at, p->text, fault);
}

static void read_list(struct slot_pattern **patterns, size_t *count, const struct json *list,
		      bool plain_only, const struct place *at, struct str *faults)
{
	*patterns = mem_must_zalloc(json_count(list) * sizeof(**patterns));
	JSON_EACH(it, list) {
		read_pattern(&(*patterns)[*count], it, plain_only, PLACE_ITEM(at, *count), faults);
		++*count;
	}
}

static void read_default(struct slot_pattern **patterns, size_t *count, const char *key)
{
	const char *text = option_find(SCOPE_SERVICE, key)->fallback;
	struct json_error error;
	struct str faults;
	str_init_must(&faults);
	struct json *list = mem_must(json_parse(text, strlen(text), &error));
	read_list(patterns, count, list, false, NULL, &faults);
	assert(!faults.len);
	json_free(list);
	str_release(&faults);
}

void slots_read(struct service_config *s, const struct json *service, const struct place *at,
		struct str *faults)
{
	const struct json *slots = json_get(service, "slots");
	const struct json *blocked = json_get(service, "blocked");
	if (json_is(slots, JSON_LIST))
		read_list(&s->slots, &s->slot_count, slots, false, PLACE_KEY(at, "slots"), faults);
	else
		read_default(&s->slots, &s->slot_count, "slots");
	/* Without a limit there is no "all of a pod's slots". In a list that is given this is a
	 * fault; the default list adapts. */
	for (size_t i = 0; i < s->slot_count && !slots && s->container_concurrency == 0; i++)
		s->slots[i].exclusive = false;
	if (json_is(blocked, JSON_LIST))
		read_list(&s->blocked, &s->blocked_count, blocked, true, PLACE_KEY(at, "blocked"),
			  faults);
	else
		read_default(&s->blocked, &s->blocked_count, "blocked");
	const struct json *open = json_find(service, "apiKeys.open");
	if (json_is(open, JSON_LIST))
		read_list(&s->api_keys.open, &s->api_keys.open_count, open, true,
			  PLACE_KEY(PLACE_KEY(at, "apiKeys"), "open"), faults);
}

void slots_release(struct slot_pattern *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		options_release(SCOPE_SLOT, &patterns[i]);
		mem_free(patterns[i].method);
		mem_free(patterns[i].path);
	}
	mem_free(patterns);
}
