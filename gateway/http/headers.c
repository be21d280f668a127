/* Names of header fields. */
#include "gateway/http/headers.h"

#include <strings.h>

static const struct slice names[HEADERS] = {
	[HEADER_AUTHORIZATION] = SLICE("authorization"),
	[HEADER_CONNECTION] = SLICE("connection"),
	[HEADER_CONTENT_LENGTH] = SLICE("content-length"),
	[HEADER_COOKIE] = SLICE("cookie"),
	[HEADER_DATE] = SLICE("date"),
	[HEADER_EXPECT] = SLICE("expect"),
	[HEADER_FORWARDED] = SLICE("forwarded"),
	[HEADER_HOST] = SLICE("host"),
	[HEADER_HTTP2_SETTINGS] = SLICE("http2-settings"),
	[HEADER_KEEP_ALIVE] = SLICE("keep-alive"),
	[HEADER_KNATIVE_HASH] = SLICE("k-network-hash"),
	[HEADER_KNATIVE_NAMESPACE] = SLICE("knative-serving-namespace"),
	[HEADER_KNATIVE_PROBE] = SLICE("k-network-probe"),
	[HEADER_KNATIVE_PROXY] = SLICE("k-proxy-request"),
	[HEADER_KNATIVE_REVISION] = SLICE("knative-serving-revision"),
	[HEADER_MAX_FORWARDS] = SLICE("max-forwards"),
	[HEADER_PROXY_AUTHENTICATE] = SLICE("proxy-authenticate"),
	[HEADER_PROXY_AUTHORIZATION] = SLICE("proxy-authorization"),
	[HEADER_PROXY_CONNECTION] = SLICE("proxy-connection"),
	[HEADER_TE] = SLICE("te"),
	[HEADER_TRACEPARENT] = SLICE("traceparent"),
	[HEADER_TRACESTATE] = SLICE("tracestate"),
	[HEADER_TRAILER] = SLICE("trailer"),
	[HEADER_TRANSFER_ENCODING] = SLICE("transfer-encoding"),
	[HEADER_UPGRADE] = SLICE("upgrade"),
	[HEADER_VIA] = SLICE("via"),
	[HEADER_X_API_KEY] = SLICE("x-api-key"),
	[HEADER_X_FORWARDED_FOR] = SLICE("x-forwarded-for"),
	[HEADER_X_FORWARDED_HOST] = SLICE("x-forwarded-host"),
	[HEADER_X_FORWARDED_PROTO] = SLICE("x-forwarded-proto"),
	[HEADER_X_REAL_IP] = SLICE("x-real-ip"),
	[HEADER_X_REQUEST_ID] = SLICE("x-request-id"),
};

static bool is_alike(struct slice name, struct slice model)
{
	for (size_t i = 0; i < model.len; i++) {
		char c = name.at[i] == '_' ? '-' : (char)(name.at[i] | 0x20);
		if (c != model.at[i])
			return false;
	}
	return true;
}

/* The relatives of X-Forwarded-For, and those that a pod may take for it: "_" is "-" to CGI. */
static enum header_id identify_forwarded(struct slice name)
{
	const struct slice prefix = SLICE("x-forwarded-"), real_ip = SLICE("x-real-ip");
	bool is_relative = (name.len > prefix.len && is_alike(name, prefix)) ||
			   (name.len == real_ip.len && is_alike(name, real_ip));
	return is_relative ? HEADER_X_FORWARDED_OTHER : HEADER_OTHER;
}

enum header_id header_identify(struct slice name)
{
	if (!name.len)
		return HEADER_OTHER;
	char first = (char)(name.at[0] | 0x20);
	for (int i = HEADER_OTHER + 1; i < HEADERS; i++)
		if (names[i].len == name.len && names[i].at[0] == first &&
		    strncasecmp(names[i].at, name.at, name.len) == 0)
			return (enum header_id)i;
	return identify_forwarded(name);
}

bool header_is_hop_by_hop(enum header_id id)
{
	switch (id) {
	case HEADER_CONNECTION:
	case HEADER_HTTP2_SETTINGS:
	case HEADER_KEEP_ALIVE:
	case HEADER_PROXY_AUTHENTICATE:
	case HEADER_PROXY_AUTHORIZATION:
	case HEADER_PROXY_CONNECTION:
	case HEADER_TE:
	case HEADER_TRAILER:
	case HEADER_TRANSFER_ENCODING:
	case HEADER_UPGRADE:
		return true;
	default:
		return false;
	}
}
