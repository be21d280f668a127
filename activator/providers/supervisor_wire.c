/* The messages between slotgate and its supervisor. */
#include "activator/providers/supervisor_wire.h"

#include <errno.h>
#include <string.h>

/* --- START ---------------------------------------------------------------------------------- */

static uint32_t add_texts(struct str *packet, char *const *texts)
{
	uint32_t count = 0;
	for (; texts && texts[count]; count++)
		str_add(packet, texts[count], strlen(texts[count]) + 1);
	return count;
}

int wire_pack_start(struct str *packet, uint64_t id, const struct child_spec *spec)
{
	struct wire_head head = {.kind = WIRE_START, .id = id, .grace_us = spec->grace_us};
	str_add(packet, &head, sizeof(head));
	head.argc = add_texts(packet, spec->argv);
	head.env_count = add_texts(packet, spec->env);
	head.has_directory = spec->directory != NULL;
	if (spec->directory)
		str_add(packet, spec->directory, strlen(spec->directory) + 1);
	if (packet->failed)
		return ENOMEM;
	memcpy(packet->at, &head, sizeof(head));
	bool fits = packet->len <= WIRE_MAX_BYTES && head.argc <= WIRE_TEXTS_MAX &&
		    head.env_count <= WIRE_TEXTS_MAX;
	return fits ? 0 : E2BIG;
}

/* Points `texts` at `count` texts, and ends them with NULL. */
static bool take_texts(char **texts, uint32_t count, char **at, const char *end)
{
	if (count > WIRE_TEXTS_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		char *nul = memchr(*at, '\0', (size_t)(end - *at));
		if (!nul)
			return false;
		texts[i] = *at;
		*at = nul + 1;
	}
	texts[count] = NULL;
	return true;
}

bool wire_unpack_start(struct wire_start *start, char *packet, size_t len)
{
	struct wire_head head;
	if (len < sizeof(head))
		return false;
	memcpy(&head, packet, sizeof(head));
	start->id = head.id;
	start->grace_us = head.grace_us;
	char *at = packet + sizeof(head), *directory[2] = {NULL, NULL};
	const char *end = packet + len;
	bool ok = head.kind == WIRE_START && head.argc > 0 && head.has_directory <= 1 &&
		  take_texts(start->argv, head.argc, &at, end) &&
		  take_texts(start->env, head.env_count, &at, end) &&
		  take_texts(directory, head.has_directory, &at, end) && at == end;
	start->directory = directory[0];
	return ok;
}
