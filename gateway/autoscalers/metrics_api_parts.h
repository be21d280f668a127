/* What the files of the metrics API share; nobody else includes it. */
#ifndef SLOTGATE_GATEWAY_AUTOSCALERS_METRICS_API_PARTS_H
#define SLOTGATE_GATEWAY_AUTOSCALERS_METRICS_API_PARTS_H

#include "gateway/autoscalers/demand.h"
#include "gateway/exchange.h"

struct pod;

struct metrics_api {
	const char *group, *version;
	bool is_custom; /* about objects: services and pods; else external, about labels */
};

enum { METRICS_APIS = 3 };
extern const struct metrics_api metrics_apis[METRICS_APIS];

/* Named and meant as in METRICS.md, where they are for Prometheus. */
struct api_metric {
	const char *name;
	double (*of_service)(const struct demand *);
	double (*of_pod)(const struct demand *, const struct pod *); /* NULL: pods have none */
};

enum { API_METRICS = 6 };
extern const struct api_metric api_metrics[API_METRICS];

/* A Status: the one way of Kubernetes' APIs to refuse. The message names the remedy. */
enum api_refusal {
	API_BAD_REQUEST,
	API_UNAUTHORIZED,
	API_NOT_FOUND,
	API_METHOD_NOT_ALLOWED,
	API_UNAVAILABLE,
};
int api_status(enum api_refusal);
void api_add_status(struct str *, enum api_refusal, const char *message);
void api_refuse(struct exchange *, enum api_refusal, const char *message, bool is_head);

/* Answers with a document, which may have failed for want of memory. */
void api_answer(struct exchange *, const struct str *document, bool is_head);

/* What is asked of one API behind ".../namespaces/": who it is about, and which metric. */
enum api_subject { ABOUT_LABELS, ABOUT_SERVICES, ABOUT_PODS };

enum { API_NAME_BYTES = 254, API_SELECTOR_BYTES = 4096 };

struct api_question {
	const struct metrics_api *api;
	const struct api_metric *metric;
	enum api_subject subject;
	char name_space[API_NAME_BYTES];
	char object[API_NAME_BYTES];		  /* "*": all; about labels: "" */
	char selector[API_SELECTOR_BYTES];	  /* of the objects; about labels: of these */
	char metric_selector[API_SELECTOR_BYTES]; /* of a custom metric's own labels */
};

/* Both selectors must be good. The question is copied. */
void api_show_values(struct exchange *, const struct api_question *, bool is_head);

/* Discovery. False: there is no such document. */
bool api_show_document(struct exchange *, struct slice path, bool is_head);

#endif
