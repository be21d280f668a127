/* options: the command line of demo-pod, one table of flags. */
#include "options.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

#define DURATION_MAX_S 1e7

enum option_type { DURATION, COUNT, PORT, PORT_OR_NONE, NUMBER, TEXT, SIZE, FLAG };

struct option {
	const char *name;
	enum option_type type;
	size_t offset;
	const char *fallback; /* parsed like a given value; NULL = leave zeroed */
	const char *metavar;
	const char *help;
};

#define AT(member) offsetof(struct options, member)

static const struct option table[] = {
	{"host", TEXT, AT(host), "127.0.0.1", "ADDR", "IPv4 address to listen on"},
	{"port", PORT, AT(port), "7860", "N", "port; 0 = any free one, printed at start"},
	{"audit-port", PORT_OR_NONE, AT(audit_port), NULL, "N",
	 "also serve GET /audit and POST /audit/reset here, from the very start; 0 = any"},
	{"audit-file", TEXT, AT(audit_file), NULL, "PATH",
	 "write the audit here (by rename) after each job and at exit"},
	{"service-time", DURATION, AT(service_time_us), "1s", "TIME", "how long a GPU job takes"},
	{"per-step-pixel-ns", NUMBER, AT(per_step_pixel_ns), NULL, "X",
	 "instead: X ns per step and pixel of each image, high-resolution pass included"},
	{"model-load-time", DURATION, AT(model_load_us), "1s", "TIME",
	 "how long a change of checkpoint holds the GPU"},
	{"cold-start", DURATION, AT(cold_start_us), "0s", "TIME",
	 "from the process's start until the API is up"},
	{"api-delay", DURATION, AT(api_delay_us), "0s", "TIME",
	 "last part of the cold start: it listens, /sdapi is still 404"},
	{"keep-alive", DURATION, AT(keep_alive_us), "5s", "TIME", "close a connection idle for it"},
	{"image-size", SIZE, AT(image_size), NULL, "WxH", "draw images of this size instead"},
	{"threads", COUNT, AT(threads), "40", "N", "handlers at a time; further requests wait"},
	{"max-connections", COUNT, AT(max_connections), "4096", "N", "beyond it: 503"},
	{"unlimited", FLAG, AT(unlimited), NULL, NULL, "no GPU lock: jobs compute side by side"},
	{"fail-start", FLAG, AT(fail_start), NULL, NULL,
	 "exit 1 at the moment it would have begun to listen"},
	{"crash-after", COUNT, AT(crash_after), NULL, "N", "exit 139 once N jobs are answered"},
};

#define TABLE_LEN (sizeof(table) / sizeof(table[0]))

bool options_duration(const char *text, uint64_t *us)
{
	static const struct {
		const char *suffix;
		double us;
	} units[] = {{"ms", 1e3}, {"us", 1}, {"s", 1e6}, {"m", 6e7}, {"", 1e6}};
	char *end;
	double n;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return false;
	n = strtod(text, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		if (!(n * units[i].us <= DURATION_MAX_S * 1e6))
			return false;
		*us = (uint64_t)(n * units[i].us);
		return true;
	}
	return false;
}

static bool parse_integer(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
	char *end;

	if (!isdigit((unsigned char)*text) || strlen(text) > 18)
		return false;
	*n = strtoull(text, &end, 10);
	return *end == '\0' && *n >= min && *n <= max;
}

static bool parse_size(const char *text, struct image_size *size)
{
	unsigned width, height;
	int used = 0;

	if (sscanf(text, "%5ux%5u%n", &width, &height, &used) != 2 || text[used] || !width ||
	    !height || width > 4096 || height > 4096)
		return false;
	*size = (struct image_size){width, height};
	return true;
}

/* NULL, or what the value should have been. */
static const char *store(const struct option *option, struct options *o, const char *text)
{
	void *at = (char *)o + option->offset;
	uint64_t n;
	char *end;

	switch (option->type) {
	case DURATION:
		return options_duration(text, at) ? NULL : "a duration such as 250ms, 1.5s or 2m";
	case COUNT:
		return parse_integer(text, 1, 1000000, at) ? NULL
							   : "a whole number from 1 to 1000000";
	case PORT:
		return parse_integer(text, 0, 65535, at) ? NULL : "a port from 0 to 65535";
	case PORT_OR_NONE:
		if (!parse_integer(text, 0, 65535, &n))
			return "a port from 0 to 65535";
		*(int64_t *)at = (int64_t)n;
		return NULL;
	case NUMBER:
		*(double *)at = strtod(text, &end);
		if (end == text || *end || !(*(double *)at > 0) || *(double *)at > 1e9)
			return "a number above 0";
		return NULL;
	case TEXT:
		*(const char **)at = text;
		return *text ? NULL : "some text";
	case SIZE:
		return parse_size(text, at) ? NULL : "WIDTHxHEIGHT, each from 1 to 4096";
	case FLAG:
		*(bool *)at = true;
		return NULL;
	}
	return "known";
}

static void print_help(void)
{
	printf("usage: demo-pod [FLAG...]\n\n"
	       "An AUTOMATIC1111-shaped server that stands in for a GPU: it computes for a set\n"
	       "time, counts what it works on, and misbehaves where a request's headers ask.\n"
	       "\n");
	for (size_t i = 0; i < TABLE_LEN; i++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "--%s%s%s", table[i].name, table[i].metavar ? " " : "",
			 table[i].metavar ? table[i].metavar : "");
		printf("  %-24s %s%s%s%s\n", flag, table[i].help, table[i].fallback ? " (" : "",
		       table[i].fallback ? table[i].fallback : "", table[i].fallback ? ")" : "");
	}
	printf("  %-24s %s\n\nTIME is 250ms, 1.5s or 2m.\n\n%s", "--help", "this text", fault_help);
}

static const struct option *find(const char *name, size_t len)
{
	for (size_t i = 0; i < TABLE_LEN; i++)
		if (strlen(table[i].name) == len && strncmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

static bool fail(const char *flag, const char *problem, const char *detail)
{
	fprintf(stderr, "demo-pod: %s: %s%s (see --help)\n", flag, problem, detail);
	return false;
}

/* Takes one flag and, where it has one, its value; moves *i past both. */
static bool parse_flag(struct options *o, int argc, char **argv, int *i)
{
	const char *flag = argv[*i], *name = flag + 2, *value, *wanted;
	size_t len = strcspn(name, "=");
	const struct option *option = strncmp(flag, "--", 2) == 0 ? find(name, len) : NULL;

	++*i;
	if (!option)
		return fail(flag, "unknown flag", "");
	if (option->type == FLAG) {
		if (name[len])
			return fail(flag, "takes no value", "");
		store(option, o, "");
		return true;
	}
	if (name[len])
		value = name + len + 1;
	else if (*i < argc)
		value = argv[(*i)++];
	else
		return fail(flag, "needs a value: ", option->metavar);
	wanted = store(option, o, value);
	if (wanted) {
		fprintf(stderr, "demo-pod: --%s: \"%s\" is not %s (see --help)\n", option->name,
			value, wanted);
		return false;
	}
	return true;
}

bool options_parse(struct options *o, int argc, char **argv, int *exit_code)
{
	*o = (struct options){.audit_port = -1};
	for (size_t i = 0; i < TABLE_LEN; i++)
		if (table[i].fallback)
			store(&table[i], o, table[i].fallback);
	*exit_code = 2;
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help();
			*exit_code = 0;
			return false;
		}
		if (!parse_flag(o, argc, argv, &i))
			return false;
	}
	if (o->api_delay_us > o->cold_start_us)
		return fail("--api-delay", "is a part of --cold-start and cannot be longer", "");
	return true;
}
