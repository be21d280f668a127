/* What texts in a configuration must look like. Each form returns what is wrong, or NULL. */
#ifndef SLOTGATE_CONFIG_FORMS_H
#define SLOTGATE_CONFIG_FORMS_H

typedef const char *form_check(const char *text);

form_check form_line;	 /* not empty, no control characters */
form_check form_name;	 /* a DNS label */
form_check form_object;	 /* a Kubernetes object's: DNS labels joined by dots */
form_check form_group;	 /* the same, or nothing */
form_check form_host;	 /* a host name without port; "*.example.com" too */
form_check form_path;	 /* of a request: "/x", perhaps with a query */
form_check form_token;	 /* of HTTP: a cookie's name, a method */
form_check form_dotted;	 /* "state.job_count" */
form_check form_socket;	 /* an absolute path, short enough for a Unix socket */
form_check form_url;	 /* "http://host:port/path", or https */
form_check form_server;	 /* "host:port", by name or number */
form_check form_header;	 /* "Name: value" */
form_check form_address; /* "127.0.0.1:8080" */

#endif
