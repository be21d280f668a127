/*
 * HTTP/2 on a client's connection: many requests at once, each a stream and an exchange of its own.
 *
 *   a stream:  head -> body -> answer -> sent -> (with the kernel: delivered)
 *                 `---------`----------`--- closed by the client, or broken: left
 *
 * A request's body is taken as fast as its handler keeps it; an answer is spooled and leaves as the
 * client's windows allow. Pods are spoken to in HTTP/1.1 all the same.
 */
#ifndef SLOTGATE_GATEWAY_HTTP_HTTP2_H
#define SLOTGATE_GATEWAY_HTTP_HTTP2_H

#include "gateway/connection.h"

extern const struct protocol http2;

#endif
