/* Counts memory that others cause, and finds out how much there is. */
#include "base/budget.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

bool budget_is_tight(const struct budget *b)
{
	return b->used_bytes >= b->limit_bytes - b->limit_bytes / 10;
}

bool budget_is_spent(const struct budget *b)
{
	return b->used_bytes >= b->limit_bytes;
}

void budget_hold(struct budget *b, int64_t *held, int64_t bytes)
{
	b->used_bytes += bytes - *held;
	*held = bytes;
}

/* --- what there is --------------------------------------------------------------------------- */

/* The number in a file of its own; without one ("max"), or without the file: INT64_MAX. */
static int64_t read_limit(const char *path)
{
	long long bytes;
	FILE *file = fopen(path, "re");
	if (!file)
		return INT64_MAX;
	bool is_number = fscanf(file, "%lld", &bytes) == 1 && bytes > 0;
	fclose(file);
	return is_number ? bytes : INT64_MAX;
}

/* The least limit of a group and those around it. */
static int64_t least_limit(const char *root, char *group, const char *file)
{
	int64_t least = INT64_MAX;
	struct str path;
	str_init(&path);
	for (;;) {
		str_clear(&path);
		str_printf(&path, "%s%s/%s", root, group, file);
		int64_t limit = path.failed ? INT64_MAX : read_limit(path.at);
		least = limit < least ? limit : least;
		char *last = strrchr(group, '/');
		if (!last)
			break;
		*last = '\0';
	}
	str_release(&path);
	return least;
}

/* A line of /proc/self/cgroup is "0::/group" (version 2) or "4:memory:/group" (version 1). */
static int64_t group_limit(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "0::", 3) == 0)
		return least_limit("/sys/fs/cgroup", line + 3, "memory.max");
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!group || strncmp(controllers, ":memory:", 8) != 0)
		return INT64_MAX;
	return least_limit("/sys/fs/cgroup/memory", group + 1, "memory.limit_in_bytes");
}

int64_t budget_machine_bytes(void)
{
	int64_t least = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	char line[4096];
	FILE *groups = fopen("/proc/self/cgroup", "re");
	while (groups && fgets(line, sizeof(line), groups)) {
		int64_t limit = group_limit(line);
		least = limit < least ? limit : least;
	}
	if (groups)
		fclose(groups);
	return least;
}
