/* Who the API server is, and who we are to it. */
#include "activator/providers/kubernetes_access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"

enum { FILE_BYTES_MAX = 1 << 20 };

void kube_access_init(struct kube_access *a)
{
	*a = (struct kube_access){0};
}

void kube_access_release(struct kube_access *a)
{
	struct str *all[] = {&a->origin, &a->server, &a->name_space, &a->ca,	 &a->certificate,
			     &a->key,	 &a->token,  &a->token_file, &a->ca_file};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		str_release(all[i]);
	*a = (struct kube_access){0};
}

/* --- files ----------------------------------------------------------------------------------- */

static bool read_file(const char *path, struct str *to, char why[KUBE_WHY_BYTES])
{
	struct str text;
	str_init(&text);
	int error = file_read(path, FILE_BYTES_MAX, &text);
	if (error || !text.len) {
		snprintf(why, KUBE_WHY_BYTES, "%.200s: %s", path,
			 error ? strerror(error) : "is empty");
		str_release(&text);
		return false;
	}
	str_release(to);
	*to = text;
	return true;
}

/* A header of its own must not be made of it. */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] <= 0x20 || (unsigned char)s.at[i] >= 0x7f)
			return false;
	return s.len > 0;
}

static bool read_token(struct kube_access *a, char why[KUBE_WHY_BYTES])
{
	struct str text;
	str_init(&text);
	uint64_t stamp = file_stamp(a->token_file.at);
	bool ok = read_file(a->token_file.at, &text, why);
	while (text.len && strchr(" \r\n\t", text.at[text.len - 1]))
		text.at[--text.len] = '\0';
	if (ok && !is_token((struct slice){text.at, text.len})) {
		snprintf(why, KUBE_WHY_BYTES, "%.200s: holds no token", a->token_file.at);
		ok = false;
	}
	if (!ok) {
		str_release(&text);
		return false;
	}
	str_release(&a->token);
	a->token = text;
	a->token_stamp = stamp;
	return true;
}

static bool read_ca(struct kube_access *a, char why[KUBE_WHY_BYTES])
{
	uint64_t stamp = file_stamp(a->ca_file.at);
	if (!read_file(a->ca_file.at, &a->ca, why))
		return false;
	a->ca_stamp = stamp;
	return true;
}

void kube_access_refresh(struct kube_access *a)
{
	char why[KUBE_WHY_BYTES];
	if (a->token_file.len && file_stamp(a->token_file.at) != a->token_stamp)
		read_token(a, why);
	if (a->ca_file.len && file_stamp(a->ca_file.at) != a->ca_stamp)
		read_ca(a, why);
}

struct http_client_trust kube_access_trust(const struct kube_access *a)
{
	return (struct http_client_trust){
		.ca = {a->ca.at, a->ca.len},
		.certificate = {a->certificate.at, a->certificate.len},
		.key = {a->key.at, a->key.len},
		.trusts_anybody = a->trusts_anybody,
	};
}

/* --- in the cluster -------------------------------------------------------------------------- */

bool kube_access_in_cluster(struct kube_access *a, const char *directory, char why[KUBE_WHY_BYTES])
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	struct str path;
	if (!host || !*host || !port || !*port) {
		snprintf(why, KUBE_WHY_BYTES,
			 "not in a cluster (KUBERNETES_SERVICE_HOST is not set): name a "
			 "kubeconfig");
		return false;
	}
	str_printf(&a->server, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	str_add_text(&a->origin, directory);
	str_printf(&a->token_file, "%s/token", directory);
	str_printf(&a->ca_file, "%s/ca.crt", directory);
	if (a->server.failed || a->token_file.failed || a->ca_file.failed) {
		snprintf(why, KUBE_WHY_BYTES, "no memory");
		return false;
	}
	str_init(&path);
	str_printf(&path, "%s/namespace", directory);
	bool ok = read_ca(a, why) && read_token(a, why) && !path.failed &&
		  read_file(path.at, &a->name_space, why);
	str_release(&path);
	return ok;
}

/* --- kubeconfig ------------------------------------------------------------------------------ */

struct reading {
	struct kube_access *access;
	const char *path;
	char *why;
};

static bool fault(struct reading *r, const char *text)
{
	snprintf(r->why, KUBE_WHY_BYTES, "%.200s: %s", r->path, text);
	return false;
}

/* The value of the list's entry of this name: {"name": NAME, "cluster": {...}}. */
static const struct json *entry(const struct json *root, const char *list, const char *kind,
				const char *name)
{
	const struct json *entries = json_get(root, list);
	JSON_EACH(it, json_is(entries, JSON_LIST) ? entries : NULL) {
		const char *is = json_text(json_get(it, "name"));
		if (is && name && strcmp(is, name) == 0)
			return json_get(it, kind);
	}
	return NULL;
}

/* A path is meant from where the kubeconfig is. */
static void add_path(struct str *to, const char *kubeconfig, const char *path)
{
	const char *slash = strrchr(kubeconfig, '/');
	if (path[0] != '/' && slash)
		str_add(to, kubeconfig, (size_t)(slash - kubeconfig) + 1);
	str_add_text(to, path);
}

/* PEM from "KEY-data" in base64, or else from the file that "KEY" names. */
static bool read_pem(struct reading *r, const struct json *from, const char *key, struct str *to,
		     struct str *file)
{
	char data_key[64];
	struct str path;
	snprintf(data_key, sizeof(data_key), "%s-data", key);
	const char *data = json_text(json_get(from, data_key));
	const char *named = json_text(json_get(from, key));
	if (data && *data) {
		if (base64_decode(slice_of(data), to) && to->len)
			return true;
		return fault(r, "one of its \"...-data\" is not base64");
	}
	if (!named || !*named)
		return true;
	str_init(&path);
	add_path(&path, r->path, named);
	bool ok = !path.failed && read_file(path.at, to, r->why);
	if (ok && file)
		*file = path;
	else
		str_release(&path);
	return ok;
}

static bool read_cluster(struct reading *r, const struct json *cluster)
{
	const char *server = json_text(json_get(cluster, "server"));
	struct kube_access *a = r->access;
	if (!server || (strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0))
		return fault(r, "its cluster has no \"server\" that begins with https://");
	size_t n = strlen(server);
	while (n && server[n - 1] == '/')
		n--;
	str_add(&a->server, server, n);
	json_bool(json_get(cluster, "insecure-skip-tls-verify"), &a->trusts_anybody);
	if (!read_pem(r, cluster, "certificate-authority", &a->ca, &a->ca_file))
		return false;
	if (a->ca_file.len)
		a->ca_stamp = file_stamp(a->ca_file.at);
	return true;
}

static bool read_user(struct reading *r, const struct json *user)
{
	struct kube_access *a = r->access;
	const char *token = json_text(json_get(user, "token"));
	const char *file = json_text(json_get(user, "tokenFile"));
	if (json_get(user, "exec") || json_get(user, "auth-provider"))
		return fault(r, "its user is made by a program (\"exec\"), which is not run here: "
				"use a token, a tokenFile or a client certificate");
	if (!read_pem(r, user, "client-certificate", &a->certificate, NULL) ||
	    !read_pem(r, user, "client-key", &a->key, NULL))
		return false;
	if (a->certificate.len && !a->key.len)
		return fault(r, "its user has a client-certificate, and no client-key");
	if (file && *file) {
		add_path(&a->token_file, r->path, file);
		return !a->token_file.failed && read_token(a, r->why);
	}
	if (token && *token && !is_token(slice_of(token)))
		return fault(r, "its token holds spaces or control characters");
	str_add_text(&a->token, token ? token : "");
	return true;
}

static bool read_context(struct reading *r, const struct json *root, const char *name)
{
	if (!name || !*name)
		name = json_text(json_get(root, "current-context"));
	const struct json *context = entry(root, "contexts", "context", name);
	if (!context)
		return fault(r, "has no such context: see \"contexts\" and \"current-context\"");
	const char *name_space = json_text(json_get(context, "namespace"));
	str_add_text(&r->access->name_space, name_space && *name_space ? name_space : "default");
	const struct json *cluster =
		entry(root, "clusters", "cluster", json_text(json_get(context, "cluster")));
	const struct json *user =
		entry(root, "users", "user", json_text(json_get(context, "user")));
	if (!cluster)
		return fault(r, "has no cluster of the name that its context gives");
	return read_cluster(r, cluster) && (!user || read_user(r, user));
}

bool kube_access_read(struct kube_access *a, const char *kubeconfig, const char *context,
		      char why[KUBE_WHY_BYTES])
{
	struct reading r = {a, kubeconfig, why};
	str_add_text(&a->origin, kubeconfig);
	struct str text, json;
	struct yaml_error yaml;
	struct json_error error;
	str_init(&text);
	str_init(&json);
	bool ok = read_file(kubeconfig, &text, why);
	if (ok && !yaml_to_json(text.at, text.len, &json, &yaml)) {
		snprintf(why, KUBE_WHY_BYTES, "%.200s:%zu: %s", kubeconfig, yaml.line,
			 yaml.message);
		ok = false;
	}
	struct json *root = ok ? json_parse(json.at, json.len, &error) : NULL;
	if (ok && !root)
		fault(&r, error.message);
	ok = root && read_context(&r, root, context);
	if (ok && (a->server.failed || a->name_space.failed || a->token.failed))
		ok = fault(&r, "no memory to read it");
	json_free(root);
	str_release(&text);
	str_release(&json);
	return ok;
}

bool kube_access_renew(struct kube_access *a, const char *kubeconfig, const char *context,
		       char why[KUBE_WHY_BYTES])
{
	kube_access_release(a);
	kube_access_init(a);
	return kubeconfig ? kube_access_read(a, kubeconfig, context, why)
			  : kube_access_in_cluster(a, KUBE_SERVICE_ACCOUNT, why);
}
