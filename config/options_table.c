/* The table itself. Rows are grouped by the object that they stand in. */
#include "config/config.h"
#include "config/options.h"
#include "config/parts.h"

#define MS     1e3
#define SECOND 1e6
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define KIB 1024.0
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* What takes a slot unless a service says otherwise: all that makes the GPU, or the lock around it,
 * busy in AUTOMATIC1111 and its relatives, and the OpenAI routes of stable-diffusion.cpp. What is
 * heavy there and takes no lock must have the pod for itself. */
/* clang-format off */
#define POST(path) "\"POST " path "\""
#define ALONE(path) "{\"match\": " POST(path) ", \"exclusive\": true}"
#define DEFAULT_SLOTS                                                                           \
	"["                                                                                     \
	POST("/sdapi/v1/txt2img") ",\n "                                                        \
	POST("/sdapi/v1/img2img") ",\n "                                                        \
	POST("/sdapi/v1/extra-single-image") ",\n "                                             \
	POST("/sdapi/v1/extra-batch-images") ",\n "                                             \
	POST("/sdapi/v1/interrogate") ",\n "                                                    \
	POST("/sdapi/v1/options") ",\n "                                                        \
	POST("/sdapi/v1/refresh-embeddings") ",\n "                                             \
	POST("/sdapi/v1/refresh-checkpoints") ",\n "                                            \
	POST("/sdapi/v1/refresh-vae") ",\n "                                                    \
	ALONE("/sdapi/v1/train/*") ",\n "                                                       \
	ALONE("/sdapi/v1/create/*") ",\n "                                                      \
	ALONE("/sdapi/v1/unload-checkpoint") ",\n "                                             \
	ALONE("/sdapi/v1/reload-checkpoint") ",\n "                                             \
	POST("/v1/images/generations") ",\n "                                                   \
	POST("/v1/images/edits") "]"
/* clang-format on */

/* TLS of something that listens; `in` is its place in the scope's struct. */
/* clang-format off */
#define CERTIFICATES(prefix, in)                                                                \
	{prefix "tls.certificates", OPTION_LIST, 0, 1, 100, .values = "certificates",           \
	 .required = true,                                                                      \
	 .help = "Makes it speak TLS. The host that a client asks for (SNI) chooses among the " \
		 "certificates by their names; the first one is for all others. Changed files " \
		 "are read anew, without a restart."},                                          \
	{prefix "tls.minVersion", OPTION_EITHER, AT(in.only_1_3), .fallback = "1.2",            \
	 .values = "1.2|1.3", .help = "The oldest version of TLS that is spoken."}
#define SERVER_TLS(prefix, in)                                                                  \
	CERTIFICATES(prefix, in),                                                               \
	{prefix "tls.clientCertificates", OPTION_WORD, AT(in.client_certificates),              \
	 .fallback = "none", .values = "none|optional|required",                                \
	 .help = "Whether clients are asked for a certificate. One that is given must be good." }, \
	{prefix "tls.clientCa", OPTION_TEXT, AT(in.client_ca), .form = form_line,               \
	 .help = "A PEM file with the authorities that may have signed it."}
/* clang-format on */

#define AT(member) offsetof(struct config, member)
static const struct option top_options[] = {
	{"listeners", OPTION_LIST, 0, 1, 100, .values = "listeners", .required = true,
	 .fixed = true, .help = "The addresses that clients connect to."},
	{"admin.address", OPTION_TEXT, AT(admin.address), .fallback = "127.0.0.1:9090",
	 .form = form_address, .fixed = true,
	 .help = "Where health, metrics and the live state are served. Port 0: any free one."},
	{"admin.bearerTokenFile", OPTION_TEXT, AT(admin_token_file), .form = form_line,
	 .help = "A file with a secret that the admin's clients must send, as \"Authorization: "
		 "Bearer SECRET\"; only /healthz and /readyz, which tell no more than that, are "
		 "open to all. Left out: whoever reaches the address is served."},
	SERVER_TLS("admin.", admin.tls),
	{"keda.address", OPTION_TEXT, AT(keda.address), .form = form_address, .required = true,
	 .fixed = true,
	 .help = "Where KEDA finds its external scaler, over gRPC: the \"scalerAddress\" of a "
		 "trigger of type external-push. Port 0: any free one. No \"keda\": nowhere."},
	SERVER_TLS("keda.", keda.tls),
	{"metricsApi.address", OPTION_TEXT, AT(metrics_api.listener.address), .form = form_address,
	 .required = true, .fixed = true,
	 .help = "Where Kubernetes' external.metrics.k8s.io and custom.metrics.k8s.io are served "
		 "to "
		 "its API server, for HorizontalPodAutoscalers. No \"metricsApi\": nowhere."},
	CERTIFICATES("metricsApi.", metrics_api.listener.tls),
	{"metricsApi.frontProxy.ca", OPTION_TEXT, AT(metrics_api.listener.tls.client_ca),
	 .form = form_line, .required = true,
	 .help = "A PEM file with the authority of the API server's client certificate "
		 "(--requestheader-client-ca-file). Without \"frontProxy\" it is read from the "
		 "cluster, with the names: ConfigMap "
		 "kube-system/extension-apiserver-authentication."},
	{"metricsApi.frontProxy.allowedNames", OPTION_LIST, 0, 0, 100, .values = "common names",
	 .help = "The common names of that certificate (--requestheader-allowed-names). Left out: "
		 "any, so the authority must have signed no others."},
	{"metricsApi.kubeconfig", OPTION_TEXT, AT(metrics_api.kubeconfig), .form = form_line,
	 .fixed = true,
	 .help = "How the cluster is reached to read it. Left out: by the pod's service account."},
	{"metricsApi.context", OPTION_TEXT, AT(metrics_api.context), .form = form_line,
	 .fixed = true, .help = "Its context. Left out: the current one."},
	{"metricsApi.namespace", OPTION_TEXT, AT(metrics_api.name_space), .form = form_name,
	 .help = "The namespace in which services are seen whose pods are not Kubernetes'. Left "
		 "out: each."},
	{"services", OPTION_LIST, 0, 1, 1000, .values = "services", .required = true,
	 .help = "The sets of equal pods behind the gateway."},
	{"limits.maxConnections", OPTION_INT, AT(limits.max_connections), 1, 1e6, "20000",
	 .help = "Client connections at once; the next one is answered 503 and closed. Lowered at "
		 "the start when the process may not have the descriptors for so many."},
	{"limits.maxConnectionsPerClient", OPTION_INT, AT(limits.max_connections_per_client), 0,
	 1e6, "0",
	 .help = "The same from one address (IPv6: from one /64); the next one is answered 429. 0: "
		 "half of maxConnections, and no limit for loopback, which may be a proxy. Behind "
		 "a load balancer that does not pass addresses on, set it to maxConnections."},
	{"limits.maxHeaderBytes", OPTION_SIZE, AT(limits.max_header_bytes), KIB, MIB, "64KiB",
	 .help = "Size of a request's head, also of a pod's answer's; above it: 431."},
	{"limits.maxHeaders", OPTION_INT, AT(limits.max_headers), 1, 1000, "128",
	 .help = "Header lines of a head; above it: 431."},
	{"limits.maxTargetBytes", OPTION_SIZE, AT(limits.max_target_bytes), 256, MIB, "8KiB",
	 .help = "Length of a request's target, the path with its query; above it: 414."},
	{"limits.http2Streams", OPTION_INT, AT(limits.http2_streams), 1, 10000, "250",
	 .help = "Requests under way at once on one HTTP/2 connection."},
	{"limits.headerTimeout", OPTION_DURATION, AT(limits.header_timeout_us), MS, HOUR, "30s",
	 .help = "For a request's head to arrive, from its first byte."},
	{"limits.keepAlive", OPTION_DURATION, AT(limits.keep_alive_us), 0, DAY, "75s",
	 .help = "How long a client's connection may stay idle. 0s: closed after each answer."},
	{"limits.sendTimeout", OPTION_DURATION, AT(limits.send_timeout_us), MS, DAY, "60s",
	 .help = "A client must take something of a finished answer in each such time, or it is "
		 "reset. The pod and its slot do not wait for it."},
	{"limits.minSendRate", OPTION_SIZE, AT(limits.min_send_rate), 0, GIB, "240",
	 .help = "And no less than so many bytes a second, averaged over sendTimeout. 0: any."},
	{"limits.memory", OPTION_SIZE, AT(limits.memory_bytes), 4 * MIB, TIB, "0", .zero_too = true,
	 .help = "Memory that clients may make the process hold: heads, bodies, what they send "
		 "ahead, answers that they have not taken. From nine tenths on new requests are "
		 "answered 503 (overloaded) and idle connections ended. 0: a half of the "
		 "machine's, or of its control group's."},
	{"limits.spoolMemory", OPTION_SIZE, AT(limits.spool_memory_bytes), MIB, TIB, "256MiB",
	 .help = "The part of it for bodies and unread answers. Above it each keeps some 16 KiB in "
		 "memory, and its rest goes to disk."},
	{"limits.spoolDisk", OPTION_SIZE, AT(limits.spool_disk_bytes), 0, 1024 * TIB, "8GiB",
	 .help = "Temporary files of all requests; above it, bodies are refused and slow "
		 "clients reset."},
	{"forwarding.headers", OPTION_WORD, AT(forwarding.headers_word), .fallback = "x-forwarded",
	 .values = "both|forwarded|off|x-forwarded",
	 .help = "How a pod is told who its client is: X-Forwarded-For, -Host and -Proto and "
		 "X-Real-IP, or Forwarded (RFC 7239)."},
	{"forwarding.trustedProxies", OPTION_LIST, 0, 0, 1000, "[]", "addresses or ranges",
	 .help = "Proxies in front (\"10.0.0.0/8\", \"2001:db8::1\") whose X-Forwarded-* and "
		 "Forwarded are believed and added to; those of others are replaced. The "
		 "client in the access log is the last address that is none of these."},
	{"forwarding.via", OPTION_TEXT, AT(forwarding.via), .fallback = "slotgate",
	 .form = form_token, .help = "Its name in the Via of requests and answers, or \"off\"."},
	{"knative.autoscaler", OPTION_TEXT, AT(knative.autoscaler), .form = form_server,
	 .required = true,
	 .help = "HOST:PORT of Knative's autoscaler, such as "
		 "autoscaler.knative-serving.svc.cluster.local:8080: it is told over a WebSocket, "
		 "as its activator would, what concurrency the services with a `knative` have."},
	{"tracing.endpoint", OPTION_TEXT, AT(tracing.endpoint), .form = form_url, .required = true,
	 .help = "The OpenTelemetry collector that spans of requests go to (OTLP over HTTP, JSON), "
		 "as a URL; without a path /v1/traces is meant. Left out: nothing is traced, and "
		 "traceparent passes through."},
	{"tracing.headers", OPTION_LIST, 0, 0, 100, "[]", "header lines",
	 .help = "Added to each export, as \"Name: value\"."},
	{"tracing.bearerTokenFile", OPTION_TEXT, AT(tracing.token_file), .form = form_line,
	 .help = "A file with a secret that is sent with each, as \"Authorization: Bearer "
		 "SECRET\"."},
	{"tracing.ca", OPTION_TEXT, AT(tracing.ca), .form = form_line,
	 .help = "A PEM file with the authorities that may have signed the collector's "
		 "certificate. Left out: those that the system trusts."},
	{"tracing.serviceName", OPTION_TEXT, AT(tracing.service_name), .fallback = "slotgate",
	 .form = form_line, .help = "The service.name of the spans."},
	{"tracing.sampleRatio", OPTION_NUMBER, AT(tracing.sample_ratio), 0, 1, "1",
	 .help = "The part of the traces that begin here which is recorded. Of those that go on "
		 "from a client, its traceparent says whether."},
	{"tracing.parents", OPTION_EITHER, AT(tracing.restarts), .fallback = "continue",
	 .values = "continue|restart",
	 .help = "Whether a client's trace goes on, or, where clients are strangers, each request "
		 "begins one."},
	{"tracing.batchSize", OPTION_INT, AT(tracing.batch_spans), 1, 10000, "256",
	 .help = "An export is sent once so many spans wait."},
	{"tracing.maxQueued", OPTION_INT, AT(tracing.max_spans), 16, 1e6, "2048",
	 .help = "Spans that wait to be exported; further ones are dropped and counted."},
	{"tracing.interval", OPTION_DURATION, AT(tracing.interval_us), 10 * MS, HOUR, "1s",
	 .help = "How long a span waits for its batch to fill."},
	{"tracing.timeout", OPTION_DURATION, AT(tracing.timeout_us), MS, HOUR, "10s",
	 .help = "For an export's answer."},
	{"log.level", OPTION_WORD, AT(log_level), .fallback = "info",
	 .values = "debug|info|warn|error", .help = "The least important line that is logged."},
	{"log.access", OPTION_TEXT, AT(access_log), .fallback = "stdout", .form = form_line,
	 .help = "Where a line for each request goes: \"stdout\", \"off\" or a file, which a "
		 "reload opens anew."},
	{"spoolDirectory", OPTION_TEXT, AT(spool_directory), .fallback = "/tmp", .form = form_line,
	 .fixed = true, .help = "Where the temporary files are."},
	{"drainTimeout", OPTION_DURATION, AT(drain_timeout_us), 0, DAY, "600s",
	 .help = "After SIGTERM, how long requests under way may still take; after an upgrade, how "
		 "long the old process may stay to finish them."},
	{"drainTunnels", OPTION_DURATION, AT(drain_tunnels_us), 0, DAY, "30s",
	 .help = "Likewise how long WebSockets may go on; then both their ends are told that the "
		 "gateway goes away (1001)."},
	{"upgradeSocket", OPTION_TEXT, AT(upgrade_socket), .form = form_socket, .fixed = true,
	 .help = "Where a newer slotgate takes over from the running one (SIGUSR2, or `serve "
		 "--take-over`): a path in a directory that only slotgate's user can write to. "
		 "Left out: none can."},
	{"user", OPTION_TEXT, AT(user), .form = form_line, .fixed = true,
	 .help = "Started as root: the user, by name or number, that slotgate and its local pods "
		 "run as once its sockets and logs are open. Left out: who started it."},
	{"group", OPTION_TEXT, AT(group), .form = form_line, .fixed = true,
	 .help = "Likewise the group. Left out: the user's own."},
};
#undef AT

#define AT(member) offsetof(struct listener_config, member)
static const struct option listener_options[] = {
	{"address", OPTION_TEXT, AT(address), .form = form_address, .required = true, .fixed = true,
	 .help = "HOST:PORT with a numeric host (IPv6 in brackets: \"[::1]:8080\") or "
		 "\"localhost\" (127.0.0.1); no host: every IPv4 interface. Port 0: any "
		 "free one, printed at start."},
	{"service", OPTION_TEXT, AT(service), .form = form_name,
	 .help = "The one service behind it, whatever the host. Left out: by host."},
	{"maxConnections", OPTION_INT, AT(max_connections), 0, 1e6, "0",
	 .help = "Its connections at once; the next one is answered 503 and closed. 0: "
		 "limits.maxConnections alone bounds them."},
	{"http2", OPTION_BOOL, AT(http2), .fallback = "true",
	 .help = "HTTP/2 too: where TLS agrees on it (ALPN), and in clear text with prior "
		 "knowledge."},
	{"halfClose", OPTION_BOOL, AT(half_close), .fallback = "false",
	 .help = "A client that closes its sending side still wants its answer (else it has "
		 "left)."},
	SERVER_TLS("", tls),
};
#undef AT

#define AT(member) offsetof(struct service_config, member)
static const struct option service_options[] = {
	{"name", OPTION_TEXT, AT(name), .form = form_name, .required = true,
	 .help = "Its name in logs, metrics and the admin API: a DNS label."},
	{"hosts", OPTION_LIST, 0, 1, 1000, .values = "host names",
	 .help = "The hosts it serves, without port; \"*.example.com\": all below it. Left out: "
		 "every host, or only the listeners that name it, if there are any."},
	{"containerConcurrency", OPTION_INT, AT(container_concurrency), 0, 1000, "1",
	 .help = "Slots of a pod: the jobs that it works on at once. 0: no limit."},
	{"slots", OPTION_LIST, 0, 0, 1000, DEFAULT_SLOTS, "patterns",
	 .help = "The requests that take a slot: \"METHOD PATH\", or objects as below; \"*\" "
		 "stands for any method, and in a path for anything. All else passes through "
		 "beside the slots. []: nothing takes one."},
	{"blocked", OPTION_LIST, 0, 0, 1000, "[\"* /sdapi/v1/server-*\"]", "patterns",
	 .help = "The requests that are answered 403, as \"METHOD PATH\"."},

	{"apiKeys.file", OPTION_TEXT, AT(api_keys.file), .form = form_line, .required = true,
	 .help = "The file of the keys that may come in, as described below; read anew when it "
		 "changes. Left out: everybody may."},
	{"apiKeys.open", OPTION_LIST, 0, 0, 1000, .values = "patterns",
	 .help = "The requests that need no key, as \"METHOD PATH\": a health check, or "
		 "\"OPTIONS *\" for browsers of other origins, which ask first without a key. The "
		 "path must match both as sent and decoded and normalised."},
	{"apiKeys.forward", OPTION_BOOL, AT(api_keys.forward), .fallback = "false",
	 .help = "Whether the pod is shown the key. Else it is taken out of the request."},

	{"queue.maxRequests", OPTION_INT, AT(queue.max_requests), 1, 1e6, "10000",
	 .help = "Requests that wait or upload; one more is refused with 503."},
	{"queue.maxWait", OPTION_DURATION, AT(queue.max_wait_us), MS, DAY, "300s",
	 .help = "How long a request waits for a slot while there are pods."},
	{"queue.coldStartMaxWait", OPTION_DURATION, AT(queue.cold_start_max_wait_us), MS, DAY,
	 "900s", .help = "How long a request waits while there is no pod yet."},
	{"queue.maxAttempts", OPTION_INT, AT(queue.max_attempts), 1, 100, "3",
	 .help = "Pods that are tried for a request that provably reached none before."},

	{"passThrough.maxRequests", OPTION_INT, AT(pass_through.max_requests), 1, 1e6, "10000",
	 .help = "Requests beside the slots at once, those that wait for a pod counted; one more "
		 "is "
		 "refused with 503."},
	{"passThrough.maxRequestsPerPod", OPTION_INT, AT(pass_through.max_requests_per_pod), 1, 1e5,
	 "100", .help = "Requests beside the slots that a pod gets at once."},
	{"passThrough.whenCold", OPTION_EITHER, AT(pass_through.wait_when_cold), .fallback = "wait",
	 .values = "refuse|wait",
	 .help = "While there is no pod: wake one and wait for it, or answer 503."},
	{"passThrough.stickyCookie", OPTION_TEXT, AT(pass_through.sticky_cookie),
	 .form = form_token,
	 .help = "A cookie of this name keeps a browser on its pod. Left out: none does."},

	{"body.maxBytes", OPTION_SIZE, AT(body.max_bytes), 0, TIB, "64MiB",
	 .help = "Size of a request's body; above it: 413."},
	{"body.memory", OPTION_SIZE, AT(body.memory_bytes), 0, GIB, "1MiB",
	 .help = "The part of a body that is kept in memory; the rest goes to a temporary file."},
	{"body.timeout", OPTION_DURATION, AT(body.timeout_us), MS, DAY, "300s",
	 .help = "For a whole body to arrive."},
	{"body.minRate", OPTION_SIZE, AT(body.min_rate), 0, GIB, "240",
	 .help = "Bytes a second that a body must come with, in each minRateWindow; below it: 408. "
		 "0: any."},
	{"body.minRateWindow", OPTION_DURATION, AT(body.min_rate_window_us), MS, HOUR, "10s",
	 .help = "Over which that is averaged: a client may pause for as long, no longer."},

	{"spool.memory", OPTION_SIZE, AT(spool.memory_bytes), 0, GIB, "1MiB",
	 .help = "The part of an unread answer that is kept in memory; the rest goes to a "
		 "temporary file."},
	{"spool.maxBytes", OPTION_SIZE, AT(spool.max_bytes), 4 * KIB, TIB, "256MiB",
	 .help = "Size of an answer that its client has not read yet; above it the client is "
		 "reset."},

	{"timeouts.connect", OPTION_DURATION, AT(timeouts.connect_us), MS, HOUR, "2s",
	 .help = "For a connection to a pod."},
	{"timeouts.response", OPTION_DURATION, AT(timeouts.response_us), MS, DAY, "600s",
	 .help = "From the start of sending a request to its answer's first byte: the working "
		 "time."},
	{"timeouts.streamIdle", OPTION_DURATION, AT(timeouts.stream_idle_us), MS, DAY, "300s",
	 .help = "Between two pieces of an answer."},
	{"timeouts.tunnelIdle", OPTION_DURATION, AT(timeouts.tunnel_idle_us), MS, 30 * DAY, "3600s",
	 .help = "Of a WebSocket without traffic."},
	{"timeouts.podKeepAlive", OPTION_DURATION, AT(timeouts.pod_keep_alive_us), 0, HOUR, "4s",
	 .help = "How long an idle connection to a pod may be used again; keep it below the "
		 "pod's own limit (5 s under Gradio). 0s: never."},

	{"pods.static", OPTION_LIST, 0, 1, 10000, .values = "addresses",
	 .help = "Pods that run anyway, as HOST:PORT with a numeric host (IPv6 in brackets) or "
		 "\"localhost\" (127.0.0.1). One of the providers "
		 "of `pods` must be given."},
	{"pods.process.command", OPTION_LIST, 0, 1, 1000, .values = "texts", .required = true,
	 .help = "A program and its arguments: pods are local processes that slotgate starts "
		 "and stops. {port} and {index} are filled in."},
	{"pods.process.env", OPTION_OBJECT,
	 .help = "Variables added to the environment, as {\"NAME\": \"value\"}; {port} and "
		 "{index} are filled in."},
	{"pods.process.directory", OPTION_TEXT, AT(process.directory), .form = form_line,
	 .help = "Where it is started. Left out: where slotgate was."},
	{"pods.process.firstPort", OPTION_INT, AT(process.first_port), 0, 65535, "0", .fixed = true,
	 .help = "Pod i gets the port firstPort + i. 0: any free port."},
	{"pods.process.startupTimeout", OPTION_DURATION, AT(process.startup_timeout_us), MS, DAY,
	 "600s", .help = "For a pod to become ready; then it is stopped and has failed to start."},
	{"pods.process.stopGracePeriod", OPTION_DURATION, AT(process.stop_grace_us), 0, DAY, "30s",
	 .help = "From SIGTERM to SIGKILL."},
	{"pods.process.startupFailures", OPTION_INT, AT(process.startup_failures), 1, 1000, "3",
	 .help = "Failures to start in a row, after which those who wait are told."},
	{"pods.process.backoffBase", OPTION_DURATION, AT(process.backoff_base_us), MS, DAY, "1s",
	 .help = "The pause after a failure to start; it doubles with each further one."},
	{"pods.process.backoffMax", OPTION_DURATION, AT(process.backoff_max_us), MS, DAY, "60s",
	 .help = "The longest such pause."},
	{"pods.kubernetes.service", OPTION_TEXT, AT(kubernetes.service), .form = form_name,
	 .required = true, .fixed = true,
	 .help = "Pods are those of this Kubernetes Service: found by its EndpointSlices and its "
		 "selector, and asked by slotgate itself whether they are ready."},
	{"pods.kubernetes.namespace", OPTION_TEXT, AT(kubernetes.name_space), .form = form_name,
	 .fixed = true,
	 .help = "Where it is. Left out: the namespace of slotgate's service account, or of the "
		 "kubeconfig's context."},
	{"pods.kubernetes.port", OPTION_TEXT, AT(kubernetes.port), .form = form_line,
	 .help = "The name of the Service's port that pods serve at. Left out: its first port."},
	{"pods.kubernetes.targetPort", OPTION_INT, AT(kubernetes.target_port), 0, 65535, "0",
	 .help = "The port of the pods themselves, whatever the Service says. 0: as it says."},
	{"pods.kubernetes.kubeconfig", OPTION_TEXT, AT(kubernetes.kubeconfig), .form = form_line,
	 .fixed = true,
	 .help = "A file that says how the API server is reached: server, authority, and a token, "
		 "a tokenFile or a client certificate; programs (exec) are not run. Left out: by "
		 "the pod's service account."},
	{"pods.kubernetes.context", OPTION_TEXT, AT(kubernetes.context), .form = form_line,
	 .fixed = true, .help = "Its context. Left out: the current one."},
	{"pods.kubernetes.scaler", OPTION_EITHER, AT(kubernetes.scales), .fixed = true,
	 .fallback = "scale", .values = "none|scale",
	 .help = "Who writes replicas: slotgate, through the scale subresource, or none here "
		 "(KEDA, "
		 "an HPA or Knative does). An autoscaler that removes a pod does not ask which one "
		 "is at work: only slotgate withdraws it first, and only where it writes itself."},
	{"pods.kubernetes.scale.group", OPTION_TEXT, AT(kubernetes.scale_group), .form = form_group,
	 .fixed = true, .fallback = "apps",
	 .help = "The API group of what is scaled. \"\": the core group."},
	{"pods.kubernetes.scale.version", OPTION_TEXT, AT(kubernetes.scale_version),
	 .form = form_name, .fixed = true, .fallback = "v1", .help = "Its version."},
	{"pods.kubernetes.scale.resource", OPTION_TEXT, AT(kubernetes.scale_resource),
	 .form = form_name, .fixed = true, .fallback = "deployments",
	 .help = "Its resource, in the plural: deployments, statefulsets, or any that has a "
		 "scale."},
	{"pods.kubernetes.scale.name", OPTION_TEXT, AT(kubernetes.scale_name), .form = form_object,
	 .fixed = true, .help = "Its name. Left out: that of the Service."},
	{"pods.kubernetes.election", OPTION_BOOL, AT(kubernetes.elects), .fixed = true,
	 .fallback = "true",
	 .help = "A Lease says which of several gateways writes replicas. Off: this one does."},
	{"pods.kubernetes.lease", OPTION_TEXT, AT(kubernetes.lease), .form = form_object,
	 .fixed = true, .help = "Its name. Left out: slotgate- and the Service's name."},
	{"pods.kubernetes.identity", OPTION_TEXT, AT(kubernetes.identity), .form = form_name,
	 .fixed = true, .help = "Who this gateway is to the others. Left out: the host's name."},
	{"pods.kubernetes.leaseDuration", OPTION_DURATION, AT(kubernetes.lease_us), SECOND, HOUR,
	 "10s", .fixed = true,
	 .help = "After which another gateway takes over from one that renews it no more."},
	{"pods.kubernetes.watchTimeout", OPTION_DURATION, AT(kubernetes.watch_us), 2 * SECOND, HOUR,
	 "240s", .help = "After which the API server ends a watch, which is then begun anew."},
	{"pods.kubernetes.onFailure", OPTION_EITHER, AT(kubernetes.waits_on_failure),
	 .fallback = "refuse", .values = "refuse|wait",
	 .help = "When no pod can be started (quota, image, crashes): those who wait for the first "
		 "one are told at once, or go on waiting."},
	{"pods.kubernetes.unschedulableAfter", OPTION_DURATION, AT(kubernetes.unschedulable_us), 0,
	 DAY, "300s",
	 .help = "A pod that no node has room for counts as failed after this: a node may be on "
		 "its way."},

	{"podTls.ca", OPTION_TEXT, AT(pod_tls.options.ca), .form = form_line,
	 .help = "Pods are spoken to in TLS wherever there is a podTls, even an empty one ({}). A "
		 "PEM file with the authorities that may have signed their certificates. Left "
		 "out: those that the system trusts."},
	{"podTls.serverName", OPTION_TEXT, AT(pod_tls.options.name), .form = form_host,
	 .help = "The host that a pod's certificate must be for, also sent as SNI. Left out: the "
		 "pod's address."},
	{"podTls.insecureSkipVerify", OPTION_BOOL, AT(pod_tls.options.trusts_anybody),
	 .fallback = "false", .help = "Takes any certificate, so anybody can be the pod."},
	{"podTls.certificate", OPTION_TEXT, AT(pod_tls.options.pair.certificate), .form = form_line,
	 .help = "A PEM file: slotgate's own certificate, for pods that ask."},
	{"podTls.key", OPTION_TEXT, AT(pod_tls.options.pair.key), .form = form_line,
	 .help = "A PEM file with its key, not encrypted."},

	{"readiness.httpGet", OPTION_TEXT, AT(readiness.path), .form = form_path,
	 .help = "A pod is ready when a GET of this path is answered 2xx."},
	{"readiness.tcpSocket", OPTION_TRUE,
	 .help = "A pod is ready when it accepts a connection. The default of the three."},
	{"readiness.none", OPTION_TRUE, .help = "A pod is ready at once."},
	{"readiness.period", OPTION_DURATION, AT(readiness.period_us), MS, HOUR, "1s",
	 .help = "Between two checks of a pod."},
	{"readiness.coldPeriod", OPTION_DURATION, AT(readiness.cold_period_us), MS, HOUR, "4ms",
	 .help = "The same while somebody waits for a first pod."},
	{"readiness.timeout", OPTION_DURATION, AT(readiness.timeout_us), MS, HOUR, "1s",
	 .help = "For a check's answer."},

	{"idle.httpGet", OPTION_TEXT, AT(idle.path), .form = form_path, .required = true,
	 .help = "How a pod is asked whether it works on anything: a GET of this path. Answered "
		 "2xx it is idle, unless jsonPath says more."},
	{"idle.jsonPath", OPTION_TEXT, AT(idle.json_path), .form = form_dotted,
	 .help = "Where in the JSON of the answer the number is that tells."},
	{"idle.equals", OPTION_NUMBER, AT(idle.equals), -1e15, 1e15, "0",
	 .help = "The number there that means idle."},
	{"idle.period", OPTION_DURATION, AT(idle.period_us), MS, HOUR, "500ms",
	 .help = "Between two questions."},
	{"idle.timeout", OPTION_DURATION, AT(idle.timeout_us), MS, HOUR, "5s",
	 .help = "For an answer."},
	{"idle.successThreshold", OPTION_INT, AT(idle.success_threshold), 1, 1000, "2",
	 .help = "Answers in a row that must say idle."},

	{"ejection.consecutiveFailures", OPTION_INT, AT(ejection.consecutive_failures), 1, 1000,
	 "3", .help = "Failures in a row that take a pod out until a check passes again."},
	{"ejection.base", OPTION_DURATION, AT(ejection.base_us), MS, DAY, "1s",
	 .help = "How long it is out the first time; it doubles with each further one."},
	{"ejection.max", OPTION_DURATION, AT(ejection.max_us), MS, DAY, "60s",
	 .help = "The longest such time."},

	{"quarantine.restartAfter", OPTION_DURATION, AT(quarantine.restart_after_us), 0, DAY, "60s",
	 .help = "A pod that may still be working on a lost job is restarted after this time; in "
		 "Kubernetes it is deleted, so that another one takes its place. Static pods are "
		 "left alone. 0s: never."},

	{"interrupt.httpPost", OPTION_TEXT, AT(interrupt_path), .form = form_path, .required = true,
	 .help = "Is POSTed to a pod when the client of its job has left, such as "
		 "/sdapi/v1/interrupt. Left out: the job runs to its end."},

	{"autoscaling.minScale", OPTION_INT, AT(autoscaling.min_scale), 0, 10000, "0",
	 .help = "Pods that are always there."},
	{"autoscaling.maxScale", OPTION_INT, AT(autoscaling.max_scale), 0, 10000, "0",
	 .help = "The most pods. 0: no limit; with \"process\" pods it is required."},
	{"autoscaling.initialScale", OPTION_INT, AT(autoscaling.initial_scale), 0, 10000, "1",
	 .help = "Pods at the start."},
	{"autoscaling.activationScale", OPTION_INT, AT(autoscaling.activation_scale), 1, 10000, "1",
	 .help = "The fewest pods to start when scaling from zero."},
	{"autoscaling.target", OPTION_NUMBER, AT(autoscaling.target), 0, 1e6, "0",
	 .help = "Requests at once that a pod should have. 0: its containerConcurrency."},
	{"autoscaling.targetUtilizationPercentage", OPTION_FRACTION,
	 AT(autoscaling.target_utilization), 1, 100, "100",
	 .help = "The part of the target to aim at. Knative's default of 70 would give two pods "
		 "to one request where a pod has one slot."},
	{"autoscaling.stableWindow", OPTION_DURATION, AT(autoscaling.stable_window_us), SECOND,
	 HOUR, "60s", .help = "Over which concurrency is averaged. Knative allows 6s and up."},
	{"autoscaling.panicWindowPercentage", OPTION_PERCENT,
	 AT(autoscaling.panic_window_percentage), 1, 100, "10",
	 .help = "The window for sudden load, of the stable one."},
	{"autoscaling.panicThresholdPercentage", OPTION_PERCENT,
	 AT(autoscaling.panic_threshold_percentage), 110, 1000, "200",
	 .help = "Panic begins when so many pods of the ready ones are wanted."},
	{"autoscaling.maxScaleUpRate", OPTION_NUMBER, AT(autoscaling.max_scale_up_rate), 1.01, 1e6,
	 "1000", .help = "The most pods for each ready one that a decision may ask for."},
	{"autoscaling.maxScaleDownRate", OPTION_NUMBER, AT(autoscaling.max_scale_down_rate), 1.01,
	 1e6, "2", .help = "A decision may divide the ready pods by no more than this."},
	{"autoscaling.scaleToZeroGracePeriod", OPTION_DURATION,
	 AT(autoscaling.scale_to_zero_grace_us), 0, DAY, "30s",
	 .help = "How long the last pod is kept once zero is wanted."},
	{"autoscaling.scaleToZeroPodRetentionPeriod", OPTION_DURATION,
	 AT(autoscaling.scale_to_zero_retention_us), 0, DAY, "0s",
	 .help = "The least time that the last pod is kept after the last request."},
	{"autoscaling.scaleDownDelay", OPTION_DURATION, AT(autoscaling.scale_down_delay_us), 0,
	 HOUR, "0s", .help = "How long fewer pods must be wanted before any is removed."},
	{"autoscaling.tickInterval", OPTION_DURATION, AT(autoscaling.tick_us), 10 * MS, MINUTE,
	 "2s", .help = "Between two decisions."},

	{"knative.revision", OPTION_TEXT, AT(revision.name), .form = form_object, .required = true,
	 .help = "The Knative revision that this service stands in for the activator of: what "
		 "Knative's autoscaler is told about, and what Knative-Serving-Revision and "
		 "-Namespace name."},
	{"knative.namespace", OPTION_TEXT, AT(revision.name_space), .form = form_name,
	 .required = true, .help = "Its namespace."},
};
#undef AT

#define AT(member) offsetof(struct slot_pattern, member)
static const struct option slot_options[] = {
	{"match", OPTION_TEXT, AT(text), .required = true,
	 .help = "\"METHOD PATH\". The path is compared without its query, as sent and also "
		 "decoded and normalised, so that no spelling of it gets past. GET matches "
		 "HEAD, too."},
	{"exclusive", OPTION_BOOL, AT(exclusive), .fallback = "false",
	 .help = "It takes all of a pod's slots."},
	{"freedBy", OPTION_EITHER, AT(freed_by_idle), .fallback = "response",
	 .values = "response|idle",
	 .help = "What frees the slot: the answer's end, or the service's idle check."},
};
#undef AT

#define AT(member) offsetof(struct tls_pair, member)
static const struct option certificate_options[] = {
	{"certificate", OPTION_TEXT, AT(certificate), .form = form_line, .required = true,
	 .help = "A PEM file: the certificate, and behind it those that lead to its authority."},
	{"key", OPTION_TEXT, AT(key), .form = form_line, .required = true,
	 .help = "A PEM file with its key, not encrypted."},
};
#undef AT

static const struct option key_file_options[] = {
	{"keys", OPTION_LIST, 0, 0, KEYS_MAX, .values = "keys", .required = true,
	 .help = "The keys."},
};

#define AT(member) offsetof(struct key_config, member)
static const struct option key_options[] = {
	{"sha256", OPTION_TEXT, AT(sha256), .required = true,
	 .help = "The SHA-256 of the key, as 64 hexadecimal digits: never the key itself. "
		 "`slotgate key TENANT` makes both."},
	{"tenant", OPTION_TEXT, AT(tenant), .form = form_tenant, .required = true,
	 .help = "Who this is, in the access log and in metrics. Keys of one tenant share its "
		 "limits, each of which is said at one of them."},
	{"requestsPerSecond", OPTION_NUMBER, AT(requests_per_second), 0, 1e6, "0",
	 .help = "Requests of the tenant, of every kind; above it: 429. 0: no limit."},
	{"burst", OPTION_INT, AT(burst), 0, 1e6, "0",
	 .help = "Requests that may come at once after a pause. 0: those of a second."},
	{"maxQueued", OPTION_INT, AT(max_queued), 0, 1e6, "0",
	 .help = "Requests of the tenant that wait for a slot or upload; one more: 429. 0: no "
		 "limit."},
	{"maxWorking", OPTION_INT, AT(max_working), 0, 1e6, "0",
	 .help = "Slots that the tenant has at once, until their pods have stopped; the others "
		 "of its requests wait while those of other tenants go. 0: no limit."},
	{"disabled", OPTION_BOOL, AT(disabled), .fallback = "false",
	 .help = "The key is answered 403."},
	{"services", OPTION_LIST, 0, 1, 1000, .values = "service names",
	 .help = "The services that it is for; the others answer 403. Left out: all that read "
		 "the file."},
};
#undef AT

const struct scope option_scopes[SCOPE_COUNT] = {
	[SCOPE_TOP] = {"", "The whole", top_options, COUNT(top_options)},
	[SCOPE_LISTENER] = {"listeners[].", "an address that clients connect to", listener_options,
			    COUNT(listener_options)},
	[SCOPE_SERVICE] = {"services[].", "a set of equal pods", service_options,
			   COUNT(service_options)},
	[SCOPE_SLOT] = {"services[].slots[].", "a pattern of requests that take a slot",
			slot_options, COUNT(slot_options)},
	[SCOPE_CERTIFICATE] = {"listeners[].tls.certificates[].",
			       "a certificate (of admin.tls, keda.tls and metricsApi.tls too)",
			       certificate_options, COUNT(certificate_options)},
	[SCOPE_KEY_FILE] = {"services[].apiKeys.file.",
			    "the file of keys, a JSON object of its own", key_file_options,
			    COUNT(key_file_options)},
	[SCOPE_KEY] = {"keys[].", "a key in that file", key_options, COUNT(key_options)},
};
