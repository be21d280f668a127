/*
 * The header fields that the gateway looks at, and which of them it must not pass on.
 */
#ifndef SLOTGATE_GATEWAY_HEADERS_H
#define SLOTGATE_GATEWAY_HEADERS_H

#include <stdbool.h>

#include "base/str.h"

enum header_id {
	HEADER_OTHER,
	HEADER_AUTHORIZATION,
	HEADER_CONNECTION,
	HEADER_CONTENT_LENGTH,
	HEADER_COOKIE,
	HEADER_DATE,
	HEADER_EXPECT,
	HEADER_FORWARDED,
	HEADER_HOST,
	HEADER_HTTP2_SETTINGS,
	HEADER_KEEP_ALIVE,
	HEADER_MAX_FORWARDS,
	HEADER_PROXY_AUTHENTICATE,
	HEADER_PROXY_AUTHORIZATION,
	HEADER_PROXY_CONNECTION,
	HEADER_TE,
	HEADER_TRACEPARENT,
	HEADER_TRACESTATE,
	HEADER_TRAILER,
	HEADER_TRANSFER_ENCODING,
	HEADER_UPGRADE,
	HEADER_VIA,
	HEADER_X_API_KEY,
	HEADER_X_FORWARDED_FOR,
	HEADER_X_FORWARDED_HOST,
	HEADER_X_FORWARDED_PROTO,
	HEADER_X_FORWARDED_OTHER, /* any other "x-forwarded-..." */
	HEADER_X_REAL_IP,
	HEADER_X_REQUEST_ID,
	HEADERS
};

enum header_id header_identify(struct slice name);

/* Between one connection and the next only (RFC 9110, 7.6.1): never passed on. */
bool header_is_hop_by_hop(enum header_id);

#endif
