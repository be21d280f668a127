/* The command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "activator/providers/supervisor.h"
#include "config/config.h"
#include "config/options.h"
#include "gateway/command/coldstarts.h"
#include "gateway/command/top.h"
#include "gateway/gateway.h"
#include "metrics/catalogue.h"

static const char usage[] =
	"slotgate: a gateway that gives each GPU pod exactly as many requests as it has slots\n"
	"\n"
	"  slotgate serve -c FILE   serve what the configuration says\n"
	"  slotgate serve -c FILE --take-over\n"
	"                           the same, in the place of the slotgate that runs "
	"(upgradeSocket)\n"
	"  slotgate check -c FILE   check a configuration: a line for each fault, and for\n"
	"                           what is missing on this machine\n"
	"  slotgate key TENANT      make an API key, and what to write of it into the file of "
	"keys\n"
	"  slotgate top [--admin ADDR] [--token-file FILE] [--once]\n"
	"                           the live state in a terminal; --once: one frame, for "
	"scripts\n"
	"  slotgate coldstarts [--admin ADDR] [--token-file FILE] [--service NAME] [--last N] "
	"[--json]\n"
	"                           where the last cold starts went, phase by phase\n"
	"  slotgate coldstarts --events FILE\n"
	"                           the same of what kubectl get pods,events -o json says (-: "
	"stdin)\n"
	"  slotgate help            this text\n"
	"  slotgate help options    every option of the configuration, as Markdown\n"
	"  slotgate help metrics    every metric, as Markdown\n"
	"  slotgate version         the version\n"
	"\n"
	"SIGHUP, or a changed file, reloads the configuration and the keys; SIGTERM and Ctrl-C "
	"drain;\n"
	"SIGUSR2 starts the program anew, which takes over without dropping anything.\n";

enum { USAGE_ERROR = 2, KEY_DIGITS = 48 };

static int fail(const char *message, const char *word)
{
	fprintf(stderr, "slotgate: %s%s; see 'slotgate help'\n", message, word);
	return USAGE_ERROR;
}

static void warn_of(const struct config *c)
{
	struct str lines;
	str_init(&lines);
	config_warnings(c, &lines);
	for (const char *at = lines.len ? lines.at : ""; *at;) {
		size_t n = strcspn(at, "\n");
		fprintf(stderr, "warning: %.*s\n", (int)n, at);
		at += n + (at[n] == '\n');
	}
	str_release(&lines);
}

static int check(const char *path)
{
	struct str faults;
	str_init_must(&faults);
	struct config *c = config_load(path, &faults);
	if (c)
		warn_of(c);
	else
		fputs(faults.at, stderr);
	str_release(&faults);
	config_drop(c);
	return c ? 0 : 1;
}

/* The key is shown this once, and kept nowhere. */
static int make_key(const char *tenant)
{
	char key[KEY_DIGITS + 4] = "sg_", digest[CRYPTO_SHA256_DIGITS + 1];
	const char *fault = form_tenant(tenant);
	if (fault) {
		fprintf(stderr, "slotgate: a tenant's name %s\n", fault);
		return USAGE_ERROR;
	}
	crypto_random_hex(key + 3, KEY_DIGITS);
	if (!crypto_sha256_hex(key, strlen(key), digest))
		return 1;
	printf("%s\n{\"sha256\": \"%s\", \"tenant\": \"%s\"}\n", key, digest, tenant);
	return 0;
}

static int help(const char *topic)
{
	struct str page;
	if (!topic) {
		fputs(usage, stdout);
		return 0;
	}
	str_init_must(&page);
	if (strcmp(topic, "options") == 0)
		options_write_markdown(&page);
	else if (strcmp(topic, "metrics") == 0)
		catalogue_write_markdown(&page);
	else
		return fail("there is no help on ", topic);
	fputs(page.at, stdout);
	str_release(&page);
	return 0;
}

/* What stands behind `serve` and `check`. False: it has been told what is wrong with it. */
static bool read_arguments(struct gateway_start *how, bool serves, int argc, char **argv)
{
	*how = (struct gateway_start){.program = argv[0]};
	for (int i = 2; i < argc; i++) {
		bool names_file = strcmp(argv[i], "-c") == 0;
		if (names_file && (i + 1 == argc || how->config_path)) {
			fail(how->config_path ? "-c is given twice" : "-c needs a FILE", "");
			return false;
		}
		if (names_file) {
			how->config_path = argv[++i];
		} else if (serves && strcmp(argv[i], "--take-over") == 0) {
			how->take_over = true;
		} else {
			fail(serves ? "serve takes -c FILE and --take-over, not "
				    : "check takes -c FILE, not ",
			     argv[i]);
			return false;
		}
	}
	if (!how->config_path)
		fail("the configuration is missing: give -c FILE", "");
	return how->config_path != NULL;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	if (strcmp(verb, SUPERVISOR_ARGUMENT) == 0 && argc == 3)
		return supervisor_main(atoi(argv[2]));
	if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)
		return help(argc > 2 ? argv[2] : NULL);
	if (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0) {
		puts("slotgate " SLOTGATE_VERSION);
		return 0;
	}
	if (strcmp(verb, "key") == 0)
		return argc == 3 ? make_key(argv[2])
				 : fail("a key needs its TENANT, and no more", "");
	if (strcmp(verb, "top") == 0)
		return top_run(argc - 2, argv + 2);
	if (strcmp(verb, "coldstarts") == 0)
		return coldstarts_run(argc - 2, argv + 2);
	bool serves = strcmp(verb, "serve") == 0;
	if (!serves && strcmp(verb, "check") != 0)
		return fail(*verb ? "there is no command " : "a command is missing", verb);
	struct gateway_start how;
	if (!read_arguments(&how, serves, argc, argv))
		return USAGE_ERROR;
	return serves ? gateway_run(&how) : check(how.config_path);
}
