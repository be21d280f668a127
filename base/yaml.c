/* YAML to JSON, by libyaml's events: the only file that includes it. */
#include "base/yaml.h"

#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 32 };

struct writer {
	yaml_parser_t parser;
	struct str *json;
	struct yaml_error *error;
	int depth;
};

static bool fail(struct writer *w, const char *message, size_t line)
{
	*w->error = (struct yaml_error){message, line + 1};
	return false;
}

static bool next(struct writer *w, yaml_event_t *e)
{
	if (yaml_parser_parse(&w->parser, e))
		return true;
	*w->error = (struct yaml_error){"not YAML", w->parser.problem_mark.line + 1};
	return false;
}

static bool add_scalar(struct writer *w, const yaml_event_t *e, bool is_key)
{
	static const char *const words[][2] = {{"true", "true"},
					       {"false", "false"},
					       {"null", "null"},
					       {"~", "null"},
					       {"", "null"}};
	const char *text = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;
	bool is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	for (size_t i = 0; is_plain && !is_key && i < sizeof(words) / sizeof(*words); i++) {
		if (strlen(words[i][0]) != len || memcmp(words[i][0], text, len) != 0)
			continue;
		str_add_text(w->json, words[i][1]);
		return true;
	}
	if (memchr(text, '\0', len))
		return fail(w, "a text holds a NUL", e->start_mark.line);
	str_add_json(w->json, text, len);
	return true;
}

static bool add_node(struct writer *w, const yaml_event_t *e);

static bool add_nested(struct writer *w, const yaml_event_t *first)
{
	bool is_map = first->type == YAML_MAPPING_START_EVENT, is_key = is_map, ok = true;
	yaml_event_type_t end = is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	if (++w->depth > DEPTH_MAX)
		return fail(w, "nested too deeply", first->start_mark.line);
	str_add_char(w->json, is_map ? '{' : '[');
	for (size_t i = 0; ok; i++) {
		yaml_event_t e;
		if (!next(w, &e))
			return false;
		if (e.type == end) {
			yaml_event_delete(&e);
			break;
		}
		if (i)
			str_add_char(w->json, is_map && !is_key ? ':' : ',');
		if (is_key)
			ok = e.type == YAML_SCALAR_EVENT
				     ? add_scalar(w, &e, true)
				     : fail(w, "a key is no text", e.start_mark.line);
		else
			ok = add_node(w, &e);
		is_key = is_map && !is_key;
		yaml_event_delete(&e);
	}
	w->depth--;
	str_add_char(w->json, is_map ? '}' : ']');
	return ok;
}

static bool is_adorned(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	default:
		return true; /* an alias */
	}
}

static bool add_node(struct writer *w, const yaml_event_t *e)
{
	if (is_adorned(e))
		return fail(w, "anchors, aliases and tags are not understood", e->start_mark.line);
	if (e->type == YAML_SCALAR_EVENT)
		return add_scalar(w, e, false);
	return add_nested(w, e);
}

/* What stands around the one document. */
static bool add_document(struct writer *w)
{
	bool ok = true, any = false;
	while (ok) {
		yaml_event_t e;
		if (!next(w, &e))
			return false;
		bool is_end = e.type == YAML_STREAM_END_EVENT;
		bool is_frame = is_end || e.type == YAML_STREAM_START_EVENT ||
				e.type == YAML_DOCUMENT_START_EVENT ||
				e.type == YAML_DOCUMENT_END_EVENT;
		if (!is_frame)
			ok = any ? fail(w, "more than one document", e.start_mark.line)
				 : add_node(w, &e);
		any |= !is_frame;
		yaml_event_delete(&e);
		if (is_end)
			break;
	}
	return ok && (any || fail(w, "empty", 0));
}

bool yaml_to_json(const char *text, size_t len, struct str *json, struct yaml_error *error)
{
	struct writer w = {.json = json, .error = error};
	*error = (struct yaml_error){0};
	if (!yaml_parser_initialize(&w.parser)) {
		error->message = "out of memory";
		return false;
	}
	yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, len);
	bool ok = add_document(&w);
	yaml_parser_delete(&w.parser);
	if (ok && json->failed)
		*error = (struct yaml_error){"out of memory", 0};
	return ok && !json->failed;
}
