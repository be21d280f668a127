/*
 * A loaded configuration: plain, immutable, reference-counted. A reload makes a new one; requests
 * that began under the old one keep it until they end.
 *
 * Every field is described, with its default and range, in config/options_table.c, from which
 * OPTIONS.md is generated. Times are microseconds, sizes bytes. Strings and arrays belong to the
 * config.
 */
#ifndef SLOTGATE_CONFIG_CONFIG_H
#define SLOTGATE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net.h"
#include "base/net_range.h"
#include "base/str.h"
#include "base/tls.h"
#include "config/keys.h"

/* A request that takes a slot: "POST /sdapi/v1/txt2img", or an object with a "match" and more. */
struct slot_pattern {
	char *text;	    /* as configured; the route's name in logs and metrics */
	char *method;	    /* "*" = any */
	char *path;	    /* in which '*' stands for any bytes, also none */
	bool exclusive;	    /* takes all of a pod's slots */
	bool freed_by_idle; /* the response's end does not end the job; the idle check does */
};

struct api_keys_config {
	char *file; /* NULL: everybody may come in */
	struct slot_pattern *open;
	size_t open_count; /* requests that need no key */
	bool forward;	   /* the pod is shown the key */
	struct api_keys keys;
};

struct queue_config {
	int64_t max_requests;		/* waiting or uploading; one more is refused */
	int64_t max_wait_us;		/* for a slot, while there are pods */
	int64_t cold_start_max_wait_us; /* for the first pod */
	int64_t max_attempts;		/* pods tried for a job that provably reached none */
};

struct pass_through_config {
	int64_t max_requests;	      /* at once, beside the slots, over all pods, waiting or not */
	int64_t max_requests_per_pod; /* the same that a pod has */
	bool wait_when_cold;	      /* false: 503 while there is no pod */
	char *sticky_cookie;	      /* NULL: any pod serves any client */
};

struct body_config {
	int64_t max_bytes;
	int64_t memory_bytes; /* past this it goes to a temporary file */
	int64_t timeout_us;   /* for the whole body to arrive */
	int64_t min_rate;     /* bytes a second, in each window; 0: none */
	int64_t min_rate_window_us;
};

struct spool_config {
	int64_t memory_bytes; /* of an answer that its client has not read yet */
	int64_t max_bytes;    /* past this the client is reset */
};

struct timeout_config {
	int64_t connect_us;
	int64_t response_us;	   /* from the job's sending to the first byte of its answer */
	int64_t stream_idle_us;	   /* between two bytes of an answer */
	int64_t tunnel_idle_us;	   /* of a WebSocket without traffic */
	int64_t pod_keep_alive_us; /* idle connections to pods are reused for less than this */
};

/* How a pod is asked something: ready? idle? */
enum check_kind { CHECK_NONE, CHECK_HTTP_GET, CHECK_TCP_SOCKET };

struct readiness_config {
	enum check_kind kind;
	char *path;		/* HTTP: 2xx = ready */
	int64_t period_us;	/* while nobody waits */
	int64_t cold_period_us; /* while somebody waits for a first pod */
	int64_t timeout_us;
};

struct idle_config {
	enum check_kind kind; /* CHECK_NONE: the service names no idle check */
	char *path;
	char *json_path; /* dotted, into the 200 answer: "state.job_count" */
	double equals;	 /* the number there that means idle */
	int64_t period_us;
	int64_t timeout_us;
	int64_t success_threshold; /* answers in a row that say idle */
};

struct ejection_config {
	int64_t consecutive_failures; /* that take a pod out */
	int64_t base_us, max_us;      /* the back-off doubles from one to the other */
};

struct quarantine_config {
	int64_t restart_after_us; /* the provider replaces the pod; 0 = never */
};

/* Knative's autoscaler; its documentation describes each. */
struct autoscaling_config {
	int64_t min_scale, max_scale; /* max_scale 0 = no limit */
	int64_t initial_scale, activation_scale;
	double target;		   /* concurrency a pod should have; 0 = containerConcurrency */
	double target_utilization; /* 0..1 */
	int64_t stable_window_us;
	double panic_window_percentage, panic_threshold_percentage;
	double max_scale_up_rate, max_scale_down_rate;
	int64_t scale_to_zero_grace_us, scale_to_zero_retention_us, scale_down_delay_us;
	int64_t tick_us;
};

enum provider_kind { PROVIDER_STATIC, PROVIDER_PROCESS, PROVIDER_KUBERNETES };

struct static_pods_config {
	char **addresses;
	struct net_address *parsed;
	size_t count;
};

struct process_pods_config {
	char **command;	    /* NULL-terminated; {port} and {index} are filled in */
	char **env;	    /* NULL-terminated "NAME=value", the same filled in */
	char *directory;    /* NULL: slotgate's own */
	int64_t first_port; /* pod i listens on first_port + i; 0 = any free port */
	int64_t startup_timeout_us;
	int64_t stop_grace_us;	  /* from SIGTERM to SIGKILL */
	int64_t startup_failures; /* in a row, after which waiters are told */
	int64_t backoff_base_us, backoff_max_us;
};

struct kubernetes_pods_config {
	char *service;	  /* NULL: none is found (the service is out of the configuration) */
	char *name_space; /* NULL: that of the service account, or of the kubeconfig's context */
	char *port;	  /* the service's port by name; NULL: its first */
	int64_t target_port;
	char *kubeconfig, *context; /* NULL: in the cluster; the current one */
	bool scales;
	char *scale_group, *scale_version, *scale_resource, *scale_name; /* NULL: the service's */
	bool elects;
	char *lease, *identity; /* NULL: slotgate-SERVICE, this host's name */
	int64_t lease_us;
	int64_t watch_us; /* after which a watch is begun anew */
	bool waits_on_failure;
	int64_t unschedulable_us; /* after which a pod that no node takes has failed */
};

struct pod_tls_config {
	struct tls_client_options options;
	struct tls_context *context; /* made of them; NULL: plain */
};

/* The revision that a service stands for. */
struct revision_config {
	char *name, *name_space; /* NULL: none */
};

struct service_config {
	char *name;
	char **hosts; /* without port, lower case; "*.example.com" allowed; none = every host */
	size_t host_count;
	int64_t container_concurrency; /* 0 = no limit */
	struct slot_pattern *slots;
	size_t slot_count;
	struct slot_pattern *blocked; /* answered 403: what a runtime should never expose */
	size_t blocked_count;
	struct api_keys_config api_keys;
	struct queue_config queue;
	struct pass_through_config pass_through;
	struct body_config body;
	struct spool_config spool;
	struct timeout_config timeouts;
	enum provider_kind provider;
	struct static_pods_config static_pods;
	struct process_pods_config process;
	struct kubernetes_pods_config kubernetes;
	struct pod_tls_config pod_tls;
	struct readiness_config readiness;
	struct idle_config idle;
	struct ejection_config ejection;
	struct quarantine_config quarantine;
	char *interrupt_path; /* POSTed when a job's client has left; NULL: none */
	struct autoscaling_config autoscaling;
	struct revision_config revision;
};

struct server_tls_config {
	struct tls_pair *pairs;
	size_t count;
	bool only_1_3;
	char *client_certificates; /* "none", "optional", "required"; NULL: as the clientCa says */
	char *client_ca;
	bool offers_http2;
	struct tls_context *context; /* made of all that; NULL: plain */
};

struct listener_config {
	char *address;
	struct net_address parsed;
	char *service;		 /* the one it serves; NULL: by host */
	int64_t max_connections; /* 0: as many as limits.maxConnections */
	bool http2;
	bool half_close; /* a client that closes its sending side still wants its answer */
	struct server_tls_config tls;
};

struct limits_config {
	int64_t max_connections;
	int64_t max_connections_per_client; /* 0: half of them, but for loopback */
	int64_t max_header_bytes, max_headers, max_target_bytes;
	int64_t http2_streams;	   /* of a connection at once */
	int64_t header_timeout_us; /* for a head to arrive */
	int64_t keep_alive_us;	   /* of an idle client connection */
	int64_t send_timeout_us;   /* in each such window a client takes something of its answer, */
	int64_t min_send_rate;	   /* and so many bytes a second if this is not 0 */
	int64_t memory_bytes; /* that clients make the process hold; 0: a half of what there is */
	int64_t spool_memory_bytes, spool_disk_bytes; /* over all requests */
};

/* Kubernetes' metrics APIs, served to its API server. */
struct metrics_api_config {
	struct listener_config listener; /* without an address: none. Its tls's client_ca is the
					    front proxy's; NULL: to be read from the cluster */
	char **names;			 /* of the front proxy's certificate; */
	size_t name_count;		 /* 0: any */
	char *kubeconfig, *context;	 /* NULL: in the cluster; the current one */
	char *name_space; /* of services whose pods are not Kubernetes'; NULL: each */
};

enum forwarding_headers {
	FORWARDING_OFF,
	FORWARDING_X_FORWARDED,
	FORWARDING_STANDARD, /* RFC 7239 */
	FORWARDING_BOTH,
};

struct forwarding_config {
	char *headers_word;
	enum forwarding_headers headers;
	struct net_range *trusted; /* proxies whose word about the client counts */
	size_t trusted_count;
	char *via;	     /* our name in Via, or "off" */
	char *answer_via[2]; /* what that makes of an answer in HTTP/1.0 and 1.1; NULL: off */
};

struct tracing_config {
	char *endpoint;	       /* NULL: nothing is traced */
	char *url;	       /* that it means */
	char **headers;	       /* of each export, and NULL behind them */
	char *token_file, *ca; /* NULL: none; whom the system trusts */
	struct str token, ca_text;
	char *service_name;
	double sample_ratio; /* of the traces that begin here */
	bool restarts;	     /* what a client says of a trace does not count */
	int64_t batch_spans, max_spans;
	int64_t interval_us, timeout_us;
};

struct knative_config {
	char *autoscaler; /* HOST:PORT; NULL: none is told of anything */
	bool is_used;	  /* a service stands for a revision */
};

struct config {
	int references;
	struct listener_config *listeners;
	size_t listener_count;
	struct listener_config admin, keda; /* no address: not served */
	char *admin_token_file;
	struct str admin_token; /* what is in it; empty: nobody is asked for one */
	struct metrics_api_config metrics_api;
	struct service_config *services;
	size_t service_count;
	struct limits_config limits;
	struct forwarding_config forwarding;
	struct tracing_config tracing;
	struct knative_config knative;
	char *log_level;  /* "debug", "info", "warn", "error" */
	char *access_log; /* "stdout", "off" or a path */
	char *spool_directory;
	int64_t drain_timeout_us, drain_tunnels_us;

	char **files; /* that it was read from: its own, certificates, ... */
	size_t file_count;
	uint64_t stamp;	      /* of all of them, just before they were read */
	char *upgrade_socket; /* NULL: no other process may take over */
	char *user, *group;   /* to run as, once started as root; NULL: as who started it */
};

/* Reads a file and the files of keys that it names, or a text alone that is called `name` in
 * messages. NULL: `faults` has a line for each fault, with its JSON path and the remedy. */
struct config *config_load(const char *path, struct str *faults);
struct config *config_parse(const char *name, const char *text, size_t len, struct str *faults);

/* The stamp of its files as they are now: another one if any has changed, come or gone. */
uint64_t config_stamp_now(const struct config *);

/* A line for each thing that this machine lacks, such as a program or a directory, which may come
 * later, and for each that is open to others: a key's file, the admin address. */
void config_warnings(const struct config *, struct str *lines);

/* A line for each option that differs between the two and cannot be changed by a reload. */
void config_unreloadable(const struct config *old, const struct config *now, struct str *lines);

/* For a service that a configuration holds no more, while its jobs finish: all defaults. */
struct config *config_of_retired(const char *name, enum provider_kind);

/* Whether its provider starts and stops pods as it is told. */
bool config_is_scalable(const struct service_config *);

/* Whether it can have one of its pods replaced, also where somebody else scales. */
bool config_can_replace(const struct service_config *);

/* What slotgate's own questions to pods (checks, interrupts) carry, as for http_client: a
 * queue-proxy in a revision's pod is not to take them for work. NULL: nothing. */
const char *const *config_own_headers(const struct service_config *);

/* A service with every default, for tests; config_service_release frees what it owns. */
void config_service_defaults(struct service_config *);
void config_service_release(struct service_config *);

/* A context of the same certificates that asks clients for one of these authorities (PEM).
 * NULL: the fault says why. */
struct tls_context *server_tls_trusting(const struct server_tls_config *, struct slice authorities,
					struct tls_fault *);

struct config *config_hold(struct config *);
void config_drop(struct config *); /* frees it with the last holder; NULL is harmless */

/* The first pattern that a request matches, or NULL. The path is compared without its query. */
const struct slot_pattern *slot_pattern_match(const struct slot_pattern *, size_t count,
					      struct slice method, struct slice path);

/* The same where a match lets a request in: however a pod may read the path, it matches. */
bool slot_pattern_surely_matches(const struct slot_pattern *, size_t count, struct slice method,
				 struct slice path);

#endif
