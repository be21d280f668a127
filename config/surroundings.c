/* What a good configuration does not find on this machine, or leaves open to others. It may be
 * elsewhere, come later, or be meant so: these are warnings, not faults. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/packet.h"
#include "config/parts.h"

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_program(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* As execvp looks for it. */
static bool is_in_path(const char *name)
{
	const char *at = getenv("PATH");
	bool found = false;
	while (at && *at && !found) {
		struct str path;
		size_t n = strcspn(at, ":");
		str_init_must(&path);
		str_add(&path, n ? at : ".", n ? n : 1);
		str_printf(&path, "/%s", name);
		found = !path.failed && is_program(path.at);
		str_release(&path);
		at += n + (at[n] == ':');
	}
	return found;
}

static void look_for_command(const struct service_config *s, const struct place *at,
			     struct str *lines)
{
	const struct process_pods_config *p = &s->process;
	const char *program = p->command[0];
	if (p->directory && !is_directory(p->directory))
		fault_at_text(lines, PLACE_KEY(at, "pods.process.directory"), p->directory,
			      "there is no such directory here: pods cannot be started");
	if (!program || strchr(program, '{'))
		return; /* known only when a pod is started */
	bool is_path = strchr(program, '/') != NULL;
	if (is_path && program[0] != '/' && p->directory)
		return; /* it is looked for there */
	if (is_path ? !is_program(program) : !is_in_path(program))
		fault_at_text(lines, PLACE_KEY(at, "pods.process.command"), program,
			      "there is no such program here that may be run: pods cannot be "
			      "started");
}

static void look_for_log(const char *path, struct str *lines)
{
	struct str directory;
	const char *last = strrchr(path, '/');
	if (strcmp(path, "stdout") == 0 || strcmp(path, "off") == 0)
		return;
	if (access(path, F_OK) == 0) {
		if (access(path, W_OK) != 0)
			fault_at_text(lines, PLACE_KEY(NULL, "log.access"), path, strerror(errno));
		return;
	}
	str_init_must(&directory);
	str_add(&directory, last ? path : ".", last && last > path ? (size_t)(last - path) : 1);
	if (!directory.failed && access(directory.at, W_OK) != 0)
		fault_at_text(lines, PLACE_KEY(NULL, "log.access"), path,
			      "its directory is not there, or may not be written");
	str_release(&directory);
}

static void look_for_upgrade(const char *path, struct str *lines)
{
	const struct place *at = PLACE_KEY(NULL, "upgradeSocket");
	struct str directory;
	struct stat st;
	char in_the_way[PACKET_PATH_BYTES];
	const char *slash = strrchr(path, '/'); /* it is absolute */
	str_init(&directory);
	str_add(&directory, path, slash > path ? (size_t)(slash - path) : 1);
	if (!directory.failed && !is_directory(directory.at))
		fault_at_text(lines, at, path,
			      "its directory is not there: slotgate will not start without it");
	else if (!directory.failed && stat(directory.at, &st) == 0 &&
		 st.st_mode & (S_IWGRP | S_IWOTH))
		fault_at_text(lines, at, path,
			      "others can write to its directory: slotgate will not start; give "
			      "it one of its own (owner: slotgate's user, mode 0700)");
	else if (!packet_path_is_free(path, PACKET_ANY_OWNER, in_the_way))
		fault_at_text(
			lines, at, in_the_way,
			"is there and no socket: slotgate will not start; remove it, or name a "
			"path that is free");
	str_release(&directory);
}

static bool is_number(const char *text)
{
	return text[0] && !text[strspn(text, "0123456789")];
}

static void look_for_identity(const struct config *c, struct str *lines)
{
	if (c->user && !is_number(c->user) && !getpwnam(c->user))
		fault_at_text(lines, PLACE_KEY(NULL, "user"), c->user,
			      "there is no such user here: slotgate will not start as root");
	if (c->group && !is_number(c->group) && !getgrnam(c->group))
		fault_at_text(lines, PLACE_KEY(NULL, "group"), c->group,
			      "there is no such group here: slotgate will not start as root");
}

/* --- what is open to others ---------------------------------------------------------------- */

struct secrets {
	struct str *lines;
	struct map seen; /* one file is told once */
};

static void look_at_secret(struct secrets *s, const struct place *at, const char *path)
{
	struct stat st;
	if (!path || map_get(&s->seen, path) || stat(path, &st) != 0)
		return;
	map_put(&s->seen, path, s);
	if (st.st_mode & S_IWOTH)
		fault_at_text(
			s->lines, at, path,
			"everybody on this machine can write to it: chmod o= takes that away");
	else if (st.st_mode & S_IROTH)
		fault_at_text(s->lines, at, path,
			      "everybody on this machine can read it: chmod o= takes that away");
}

static void look_at_pairs(struct secrets *s, const struct place *at,
			  const struct server_tls_config *t)
{
	for (size_t i = 0; i < t->count; i++)
		look_at_secret(s,
			       PLACE_KEY(PLACE_ITEM(PLACE_KEY(at, "tls.certificates"), i), "key"),
			       t->pairs[i].key);
}

static void look_at_secrets(const struct config *c, struct str *lines)
{
	struct secrets s = {.lines = lines};
	map_init(&s.seen);
	look_at_secret(&s, PLACE_KEY(NULL, "admin.bearerTokenFile"), c->admin_token_file);
	look_at_pairs(&s, PLACE_KEY(NULL, "admin"), &c->admin.tls);
	for (size_t i = 0; i < c->listener_count; i++)
		look_at_pairs(&s, PLACE_ITEM(PLACE_KEY(NULL, "listeners"), i),
			      &c->listeners[i].tls);
	for (size_t i = 0; i < c->service_count; i++) {
		const struct service_config *service = &c->services[i];
		const struct place *at = PLACE_ITEM(PLACE_KEY(NULL, "services"), i);
		look_at_secret(&s, PLACE_KEY(at, "apiKeys.file"), service->api_keys.file);
		look_at_secret(&s, PLACE_KEY(at, "podTls.key"), service->pod_tls.options.pair.key);
		look_at_secret(&s, PLACE_KEY(at, "pods.kubernetes.kubeconfig"),
			       service->kubernetes.kubeconfig);
	}
	map_release(&s.seen);
}

static void look_at_admin(const struct config *c, struct str *lines)
{
	const struct server_tls_config *t = &c->admin.tls;
	bool asks_certificate = t->context && strcmp(t->client_certificates, "required") == 0;
	if (net_is_loopback(&c->admin.parsed) || c->admin_token_file || asks_certificate)
		return;
	fault_at_text(lines, PLACE_KEY(NULL, "admin.address"), c->admin.address,
		      "whoever reaches it sees everything and may release pods: give it an "
		      "admin.bearerTokenFile, have admin.tls ask for client certificates, or let "
		      "only a network that you trust reach it");
}

void config_warnings(const struct config *c, struct str *lines)
{
	if (!is_directory(c->spool_directory) || access(c->spool_directory, W_OK) != 0)
		fault_at_text(lines, PLACE_KEY(NULL, "spoolDirectory"), c->spool_directory,
			      "is no directory here that may be written: large bodies will be "
			      "refused");
	look_for_log(c->access_log, lines);
	look_for_identity(c, lines);
	look_at_secrets(c, lines);
	look_at_admin(c, lines);
	if (c->upgrade_socket)
		look_for_upgrade(c->upgrade_socket, lines);
	for (size_t i = 0; i < c->service_count; i++)
		if (c->services[i].provider == PROVIDER_PROCESS)
			look_for_command(&c->services[i],
					 PLACE_ITEM(PLACE_KEY(NULL, "services"), i), lines);
}
