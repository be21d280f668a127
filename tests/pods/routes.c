/* routes: the table of the pod's routes, and those that need no GPU. */
#include "exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "clock.h"

const struct pod_model pod_models[POD_MODELS] = {
	{"v1-5-pruned-emaonly.safetensors [6ce0161689]", "v1-5-pruned-emaonly", "6ce0161689",
	 "/models/v1-5-pruned-emaonly.safetensors"},
	{"sd_xl_base_1.0.safetensors [31e35c80fc]", "sd_xl_base_1.0", "31e35c80fc",
	 "/models/sd_xl_base_1.0.safetensors"},
	{"dreamshaper_8.safetensors [879db523c3]", "dreamshaper_8", "879db523c3",
	 "/models/dreamshaper_8.safetensors"},
};

static void answer_page(struct exchange *x)
{
	x->reply.content_type = "text/html; charset=utf-8";
	buf_puts(&x->reply.body, "<!doctype html><title>Stable Diffusion</title>"
				 "<h1>demo pod</h1><p>It only pretends to diffuse.\n");
}

static void answer_progress(struct exchange *x)
{
	struct buf *out = &x->reply.body;
	struct gpu_progress p;
	char skip[8] = "";
	bool busy, drawn;

	gpu_progress(&x->pod->gpu, &p);
	http_query(x->request, "skip_current_image", skip, sizeof(skip));
	busy = p.job.job_count != 0;
	drawn = busy && p.job.width && strcasecmp(skip, "true") != 0 && strcmp(skip, "1") != 0;
	buf_printf(out,
		   "{\"progress\":%.4f,\"eta_relative\":%.3f,\"state\":{\"skipped\":%s,"
		   "\"interrupted\":%s,\"stopping_generation\":false,\"job\":\"%s\","
		   "\"job_count\":%d,",
		   p.fraction, p.eta_seconds, p.job.skipped ? "true" : "false",
		   p.job.interrupted ? "true" : "false", p.job.name, p.job.job_count);
	buf_printf(out,
		   "\"job_timestamp\":\"%s\",\"job_no\":%u,\"sampling_step\":%u,"
		   "\"sampling_steps\":%u},\"current_image\":",
		   busy ? "20260101120000" : "0", p.iteration, p.step, p.job.steps);
	if (drawn)
		generation_preview(out, &p);
	else
		buf_puts(out, "null");
	buf_puts(out, ",\"textinfo\":null}");
}

static void answer_interrupt(struct exchange *x)
{
	gpu_interrupt(&x->pod->gpu);
	buf_puts(&x->reply.body, "{}");
}

static void answer_skip(struct exchange *x)
{
	gpu_skip(&x->pod->gpu);
	buf_puts(&x->reply.body, "null");
}

static void answer_options(struct exchange *x)
{
	const struct pod_model *model = &pod_models[gpu_model(&x->pod->gpu)];

	buf_printf(&x->reply.body,
		   "{\"samples_format\":\"png\",\"sd_model_checkpoint\":\"%s\","
		   "\"sd_checkpoint_hash\":\"%s\",\"sd_vae\":\"Automatic\","
		   "\"CLIP_stop_at_last_layers\":1}",
		   model->title, model->hash);
}

/* Only a *changed* checkpoint needs the lock; it is compared without it, as in the WebUI. */
static bool plan_options(struct exchange *x)
{
	struct json wanted = json_member(x->body, "sd_model_checkpoint");
	unsigned i = 0;

	if (json_is_null(wanted))
		return true;
	while (i < POD_MODELS && !json_string_equals(wanted, pod_models[i].title) &&
	       !json_string_equals(wanted, pod_models[i].name))
		i++;
	if (i == POD_MODELS) {
		exchange_error(x, 500, "RuntimeError", "", "model not found");
		return false;
	}
	if (i == gpu_model(&x->pod->gpu))
		return true;
	x->kind = ROUTE_GPU;
	x->generation.changes_model = true;
	x->generation.model = i;
	return true; /* the loading time is added once it holds the lock */
}

static void answer_memory(struct exchange *x)
{
	buf_puts(&x->reply.body,
		 "{\"ram\":{\"free\":8589934592,\"used\":8589934592,\"total\":17179869184},"
		 "\"cuda\":{\"system\":{\"free\":12884901888,\"used\":4294967296,"
		 "\"total\":17179869184},\"active\":{\"current\":0,\"peak\":0},"
		 "\"allocated\":{\"current\":0,\"peak\":0},"
		 "\"reserved\":{\"current\":0,\"peak\":0},\"inactive\":{\"current\":0,\"peak\":0},"
		 "\"events\":{\"retries\":0,\"oom\":0}}}");
}

static void answer_models(struct exchange *x)
{
	for (unsigned i = 0; i < POD_MODELS; i++)
		buf_printf(&x->reply.body,
			   "%s{\"title\":\"%s\",\"model_name\":\"%s\",\"hash\":\"%s\","
			   "\"sha256\":null,\"filename\":\"%s\",\"config\":null}",
			   i ? "," : "[", pod_models[i].title, pod_models[i].name,
			   pod_models[i].hash, pod_models[i].filename);
	buf_puts(&x->reply.body, "]");
}

static void answer_audit(struct exchange *x)
{
	audit_json(&x->pod->audit, &x->reply.body);
}

static void answer_join(struct exchange *x)
{
	buf_printf(&x->reply.body, "{\"event_id\":\"%016" PRIx64 "\"}", clock_mono_us());
}

#define SDAPI "/sdapi/v1/"

static const struct route table[] = {
	{"POST", SDAPI "txt2img", ROUTE_GPU, generation_plan_txt2img, generation_answer, NULL},
	{"POST", SDAPI "img2img", ROUTE_GPU, generation_plan_img2img, generation_answer, NULL},
	{"POST", SDAPI "extra-single-image", ROUTE_GPU, generation_plan_extra,
	 generation_answer_extra, NULL},
	{"POST", SDAPI "extra-batch-images", ROUTE_GPU, generation_plan_extra,
	 generation_answer_extra, NULL},
	{"POST", SDAPI "interrogate", ROUTE_GPU, generation_plan_interrogate, NULL,
	 "{\"caption\":\"a plasma, trending on nothing\"}"},
	{"POST", SDAPI "refresh-checkpoints", ROUTE_GPU, NULL, NULL, "null"},
	{"POST", SDAPI "refresh-embeddings", ROUTE_GPU, NULL, NULL, "null"},
	{"POST", SDAPI "refresh-vae", ROUTE_GPU, NULL, NULL, "null"},
	{"POST", SDAPI "unload-checkpoint", ROUTE_UNLOCKED, NULL, NULL, "{}"},
	{"POST", SDAPI "reload-checkpoint", ROUTE_UNLOCKED, NULL, NULL, "{}"},
	{"POST", SDAPI "options", ROUTE_SYNC, plan_options, NULL, "null"},
	{"GET", SDAPI "options", ROUTE_SYNC, NULL, answer_options, NULL},
	{"GET", SDAPI "progress", ROUTE_SYNC, NULL, answer_progress, NULL},
	{"POST", SDAPI "interrupt", ROUTE_SYNC, NULL, answer_interrupt, NULL},
	{"POST", SDAPI "skip", ROUTE_SYNC, NULL, answer_skip, NULL},
	{"GET", SDAPI "memory", ROUTE_SYNC, NULL, answer_memory, NULL},
	{"GET", SDAPI "sd-models", ROUTE_SYNC, NULL, answer_models, NULL},
	{"GET", SDAPI "samplers", ROUTE_SYNC, NULL, NULL,
	 "[{\"name\":\"Euler\",\"aliases\":[\"k_euler\"],\"options\":{}},"
	 "{\"name\":\"Euler a\",\"aliases\":[\"k_euler_a\"],"
	 "\"options\":{\"uses_ensd\":\"True\"}}]"},
	{"GET", SDAPI "cmd-flags", ROUTE_SYNC, NULL, NULL, "{\"api\":true,\"nowebui\":false}"},
	{"GET", SDAPI "upscalers", ROUTE_SYNC, NULL, NULL, "[]"},
	{"GET", "/internal/ping", ROUTE_SYNC, NULL, NULL, "{}"},
	{"GET", "/", ROUTE_ASYNC, NULL, answer_page, NULL},
	{"GET", "/demo/audit", ROUTE_ASYNC, NULL, answer_audit, NULL},
	{"GET", "/queue/join", ROUTE_UPGRADE, NULL, stream_websocket, NULL},
	{"POST", "/queue/join", ROUTE_ASYNC, NULL, answer_join, NULL},
	{"GET", "/queue/data", ROUTE_UPGRADE, NULL, stream_events, NULL},
};

const struct route *routes_find(const char *method, const char *path, int *status)
{
	*status = 404;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i].path, path) != 0)
			continue;
		if (strcmp(table[i].method, method) == 0)
			return &table[i];
		*status = 405;
	}
	return NULL;
}
