/*
 * Runs the corpora through the targets without libFuzzer: what has been found once stays found.
 *
 *	replay [DIRECTORY]	all of DIRECTORY/corpus-NAME/ (tests/fuzz)
 *	replay NAME FILE...	these files through one target
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static const struct target {
	const char *name;
	int (*run)(const uint8_t *, size_t);
} targets[] = {
	{"request", fuzz_request}, {"response", fuzz_response}, {"http2", fuzz_http2},
	{"config", fuzz_config},   {"core", fuzz_core},		{"kubernetes", fuzz_kubernetes},
	{"grpc", fuzz_grpc},
};
enum { TARGETS = sizeof(targets) / sizeof(*targets) };

static void die(const char *what, const char *path)
{
	fprintf(stderr, "replay: %s ", what);
	perror(path);
	exit(2);
}

static void run_file(const struct target *t, const char *path)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END))
		die("cannot read", path);
	size_t size = (size_t)ftell(file);
	uint8_t *data = malloc(size ? size : 1);
	rewind(file);
	if (!data || fread(data, 1, size, file) != size)
		die("cannot read", path);
	fclose(file);
	/* Said first: the target ends the process when it finds something. */
	fprintf(stderr, "%s %s\n", t->name, path);
	t->run(data, size);
	free(data);
}

static int run_corpus(const struct target *t, const char *directory)
{
	char path[4096];
	int count = 0;
	snprintf(path, sizeof(path), "%s/corpus-%s", directory, t->name);
	DIR *dir = opendir(path);
	if (!dir)
		die("cannot open", path);
	for (struct dirent *e; (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/corpus-%s/%s", directory, t->name, e->d_name);
		run_file(t, path);
		count++;
	}
	closedir(dir);
	return count;
}

static const struct target *target_named(const char *name)
{
	for (int i = 0; i < TARGETS; i++)
		if (strcmp(targets[i].name, name) == 0)
			return &targets[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct target *one = argc > 2 ? target_named(argv[1]) : NULL;
	int count = 0;
	if (argc > 2 && !one) {
		fprintf(stderr, "replay: there is no target %s\n", argv[1]);
		return 2;
	}
	for (int i = 2; i < argc; i++)
		run_file(one, argv[i]);
	for (int i = 0; i < TARGETS && argc <= 2; i++) {
		int n = run_corpus(&targets[i], argc > 1 ? argv[1] : "tests/fuzz");
		if (!n)
			die("no inputs for", targets[i].name);
		count += n;
	}
	printf("replayed %d inputs\n", argc > 2 ? argc - 2 : count);
	return 0;
}
