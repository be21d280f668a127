/*
 * Kubernetes' metrics APIs, served to its API server, which hands on what HorizontalPodAutoscalers
 * and people ask of it (its aggregation layer; an APIService names this address):
 *
 *   external.metrics.k8s.io/v1beta1          .../namespaces/NS/METRIC?labelSelector=service=NAME
 *   custom.metrics.k8s.io/v1beta2, v1beta1   .../namespaces/NS/services/NAME/METRIC
 *                                            .../namespaces/NS/pods/NAME/METRIC     (NAME or *)
 *
 *   metrics_api.c            who asks, and for what
 *   front_proxy.c            who may
 *   metrics_api_documents.c  what there is (discovery), and refusals
 *   metrics_api_values.c     the values (quantity.h, label_selector.h)
 */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_METRICS_API_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_METRICS_API_H

#include "gateway/exchange.h"

extern const struct exchange_handler metrics_api_handler;

#endif
