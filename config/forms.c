/* Forms of texts. */
#include "config/forms.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/net.h"
#include "base/packet.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

enum { LABEL_MAX = 63, HOST_MAX = 253 };

static bool is_of(const char *text, const char *set)
{
	return *text && text[strspn(text, set)] == '\0';
}

const char *form_line(const char *text)
{
	if (!*text)
		return "must not be empty";
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return "must not hold control characters";
	return NULL;
}

const char *form_name(const char *text)
{
	size_t n = strlen(text);
	if (!is_of(text, LOWER DIGITS "-") || n > LABEL_MAX || *text == '-' || text[n - 1] == '-')
		return "must be 1 to 63 lower-case letters, digits or \"-\", with no \"-\" at "
		       "either end";
	return NULL;
}

const char *form_object(const char *text)
{
	size_t n = strlen(text);
	if (!is_of(text, LOWER DIGITS "-.") || n > HOST_MAX || strchr("-.", *text) ||
	    strchr("-.", text[n - 1]) || strstr(text, ".."))
		return "must be lower-case letters, digits, \"-\" and \".\", as an object's name "
		       "is";
	return NULL;
}

const char *form_group(const char *text)
{
	return *text ? form_object(text) : NULL;
}

const char *form_host(const char *text)
{
	if (strcmp(text, "*") == 0)
		return "leave \"hosts\" out to serve every host";
	if (*text == '[')
		return text[strlen(text) - 1] == ']' && is_of(text, "[]:." DIGITS "abcdefABCDEF")
			       ? NULL
			       : "must be an IPv6 address in brackets, without a port";
	if (strchr(text, ':'))
		return "must be a host name without a port";
	if (strncmp(text, "*.", 2) == 0)
		text += 2;
	if (!is_of(text, LOWER UPPER DIGITS "-_.") || strlen(text) > HOST_MAX || *text == '.' ||
	    text[strlen(text) - 1] == '.' || strstr(text, ".."))
		return "must be a host name such as \"sd.example.com\" or \"*.example.com\"";
	return NULL;
}

const char *form_path(const char *text)
{
	if (*text != '/')
		return "must begin with \"/\"";
	if (strpbrk(text, " #"))
		return "must not hold a space or \"#\"";
	return form_line(text);
}

const char *form_token(const char *text)
{
	return is_of(text, LOWER UPPER DIGITS "!#$%&'*+-.^_`|~")
		       ? NULL
		       : "must be letters, digits and !#$%&'*+-.^_`|~ only";
}

const char *form_dotted(const char *text)
{
	size_t n = strlen(text);
	if (!n || *text == '.' || text[n - 1] == '.' || strstr(text, ".."))
		return "must be keys joined by dots, such as \"state.job_count\"";
	return form_line(text);
}

const char *form_url(const char *text)
{
	const char *host = strstr(text, "://");
	size_t scheme = host ? (size_t)(host - text) : 0;
	bool is_known = (scheme == 4 && strncmp(text, "http", 4) == 0) ||
			(scheme == 5 && strncmp(text, "https", 5) == 0);
	if (!is_known || !host[3] || strchr("/?#", host[3]))
		return "must be a URL such as \"http://127.0.0.1:4318\"";
	if (strpbrk(text, " #") || strchr(host + 3, '@'))
		return "must not hold a space, \"#\" or \"@\"";
	return form_line(text);
}

const char *form_server(const char *text)
{
	static const char shape[] = "must be HOST:PORT, by name or number";
	const char *colon = strrchr(text, ':');
	char host[HOST_MAX + 1];
	size_t n = colon ? (size_t)(colon - text) : 0;
	if (!n || n > HOST_MAX || !is_of(colon + 1, DIGITS) || strlen(colon + 1) > 5)
		return shape;
	memcpy(host, text, n);
	host[n] = '\0';
	return form_host(host) || strchr(host, '*') ? shape : NULL;
}

const char *form_header(const char *text)
{
	char name[64];
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	if (!n || n >= sizeof(name) || !colon[1 + strspn(colon + 1, " ")])
		return "must be a header such as \"X-Name: value\"";
	memcpy(name, text, n);
	name[n] = '\0';
	const char *fault = form_token(name);
	return fault ? fault : form_line(text);
}

const char *form_address(const char *text)
{
	struct net_address unused;
	return net_parse(text, &unused);
}

const char *form_socket(const char *text)
{
	if (*text != '/')
		return "must be an absolute path";
	if (strlen(text) > PACKET_PATH_MAX)
		return "must not be longer than 103 bytes: the kernel's limit for a socket";
	return form_line(text);
}
