/* generation: the GPU routes: what a job costs, and the pictures in its answer. */
#include "exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "clock.h"
#include "png.h"

/* What one answer may hold, however much is asked for. */
#define SIDE_MAX   2048
#define IMAGES_MAX 64
#define PIXELS_MAX (UINT64_C(20) << 20)

static const struct {
	const char *name;
	uint32_t fallback, min, max;
	size_t offset;
} counts[] = {
	{"steps", 50, 1, 10000, offsetof(struct generation, steps)},
	{"width", 512, 1, 65536, offsetof(struct generation, width)},
	{"height", 512, 1, 65536, offsetof(struct generation, height)},
	{"batch_size", 1, 1, 10000, offsetof(struct generation, batch_size)},
	{"n_iter", 1, 1, 10000, offsetof(struct generation, n_iter)},
};

static bool read_counts(struct exchange *x)
{
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct json value = json_member(x->body, counts[i].name);
		uint32_t *to = (uint32_t *)((char *)&x->generation + counts[i].offset);
		double n = counts[i].fallback;

		if (!json_is_null(value) && !json_number(value, &n)) {
			char field[32];

			snprintf(field, sizeof(field), "\"%s\"", counts[i].name);
			exchange_invalid(x, field, "value is not a valid integer",
					 "type_error.integer");
			return false;
		}
		/* The WebUI has no bounds; these keep a wild number from becoming a wild answer. */
		*to = n < counts[i].min	  ? counts[i].min
		      : n > counts[i].max ? counts[i].max
					  : (uint32_t)n;
	}
	return true;
}

static double number_or(struct json object, const char *key, double fallback)
{
	double n;

	return json_number(json_member(object, key), &n) ? n : fallback;
}

static void read_seed(struct exchange *x)
{
	double seed = number_or(x->body, "seed", -1);

	if (seed >= 0 && seed < 9e15)
		x->generation.seed = (uint64_t)seed;
	else
		x->generation.seed = (clock_mono_us() * 2654435761U) & 0xffffffff;
}

/* An unknown checkpoint is silently dropped and another model draws, as in the WebUI. */
static void read_override(struct exchange *x)
{
	struct generation *g = &x->generation;
	struct json overrides = json_member(x->body, "override_settings");
	struct json wanted = json_member(overrides, "sd_model_checkpoint");
	struct json restore = json_member(x->body, "override_settings_restore_afterwards");

	for (unsigned i = 0; i < POD_MODELS; i++) {
		if (!json_string_equals(wanted, pod_models[i].title) &&
		    !json_string_equals(wanted, pod_models[i].name) &&
		    !json_string_equals(wanted, pod_models[i].hash))
			continue;
		g->changes_model = true;
		g->model = i;
		g->restores_model = json_is_null(restore) || json_is_true(restore);
	}
}

/* Steps times pixels of all images, the high-resolution pass included. */
static double step_pixels(const struct exchange *x)
{
	const struct generation *g = &x->generation;
	double steps_pixels = (double)g->steps * g->width * g->height;

	if (json_is_true(json_member(x->body, "enable_hr"))) {
		double scale = number_or(x->body, "hr_scale", 2.0);
		double width = number_or(x->body, "hr_resize_x", 0);
		double height = number_or(x->body, "hr_resize_y", 0);
		double steps = number_or(x->body, "hr_second_pass_steps", 0);

		if (!(width > 0) && !(height > 0))
			width = g->width * scale, height = g->height * scale;
		else if (!(width > 0))
			width = height * g->width / g->height;
		else if (!(height > 0))
			height = width * g->height / g->width;
		steps_pixels += (steps > 0 ? steps : g->steps) * width * height;
	}
	return steps_pixels * g->n_iter * g->batch_size;
}

static uint64_t cost_us(const struct exchange *x)
{
	const struct options *o = &x->pod->options;
	double us = step_pixels(x) * o->per_step_pixel_ns / 1e3;

	if (o->per_step_pixel_ns <= 0)
		return o->service_time_us;
	return us > 0 && us < (double)GPU_FOREVER_US ? (uint64_t)us : GPU_FOREVER_US;
}

static bool plan_generation(struct exchange *x, const char *job_name)
{
	struct generation *g = &x->generation;

	if (!read_counts(x))
		return false;
	read_seed(x);
	read_override(x);
	x->gpu_job.name = job_name;
	x->gpu_job.n_iter = g->n_iter;
	x->gpu_job.steps = g->steps;
	x->gpu_job.job_count = (int)g->n_iter;
	if (json_is_true(json_member(x->body, "enable_hr")))
		x->gpu_job.job_count *= 2;
	x->gpu_job.width = g->width;
	x->gpu_job.height = g->height;
	x->gpu_job.seed = g->seed;
	x->gpu_job.duration_us = cost_us(x);
	return true;
}

bool generation_plan_txt2img(struct exchange *x)
{
	return plan_generation(x, "scripts_txt2img");
}

bool generation_plan_img2img(struct exchange *x)
{
	if (json_is_null(json_member(x->body, "init_images"))) {
		exchange_error(x, 404, "HTTPException", "Init image not found", "");
		return false;
	}
	return plan_generation(x, "scripts_img2img");
}

/* The size to draw: --image-size or the request's, cut until the whole answer is reasonable. */
static void drawn_size(const struct exchange *x, uint32_t images, uint32_t *width, uint32_t *height)
{
	struct image_size size = x->pod->options.image_size;

	*width = size.width ? size.width : x->generation.width;
	*height = size.height ? size.height : x->generation.height;
	if (*width > SIDE_MAX)
		*width = SIDE_MAX;
	if (*height > SIDE_MAX)
		*height = SIDE_MAX;
	while ((uint64_t)*width * *height * images > PIXELS_MAX) {
		*width = (*width + 1) / 2;
		*height = (*height + 1) / 2;
	}
}

static uint32_t image_count(const struct generation *g)
{
	uint64_t n = (uint64_t)g->batch_size * g->n_iter;

	return n < IMAGES_MAX ? (uint32_t)n : IMAGES_MAX;
}

/* A PNG as a quoted base64 string; `scratch` saves an allocation per image. */
static void add_image(struct buf *out, struct buf *scratch, uint32_t width, uint32_t height,
		      uint64_t seed, double clarity)
{
	buf_clear(scratch);
	png_draw(scratch, width, height, seed, clarity);
	buf_puts(out, "\"");
	base64_encode(out, scratch->data, scratch->len);
	buf_puts(out, "\"");
}

/* A request's own JSON value, or a fallback. */
static void add_echo(struct buf *out, struct json body, const char *key, const char *fallback)
{
	struct json value = json_member(body, key);

	buf_puts(out, ",");
	json_quote(out, key, strlen(key));
	buf_puts(out, ":");
	if (json_is_null(value))
		buf_puts(out, fallback);
	else
		buf_add(out, value.at, value.len);
}

static void add_info(struct buf *out, const struct exchange *x, uint32_t images)
{
	const struct generation *g = &x->generation;
	unsigned drew = g->changes_model ? g->model : gpu_model(&x->pod->gpu);
	struct buf info;

	buf_init(&info);
	buf_printf(&info, "{\"seed\":%" PRIu64 ",\"all_seeds\":[", g->seed);
	for (uint32_t i = 0; i < images; i++)
		buf_printf(&info, "%s%" PRIu64, i ? "," : "", g->seed + i);
	buf_printf(&info, "],\"width\":%u,\"height\":%u,\"steps\":%u,\"batch_size\":%u", g->width,
		   g->height, g->steps, g->batch_size);
	add_echo(&info, x->body, "prompt", "\"\"");
	add_echo(&info, x->body, "negative_prompt", "\"\"");
	add_echo(&info, x->body, "sampler_name", "\"Euler\"");
	add_echo(&info, x->body, "cfg_scale", "7.0");
	buf_printf(&info,
		   ",\"sd_model_name\":\"%s\",\"sd_model_hash\":\"%s\",\"index_of_first_image\":0,"
		   "\"infotexts\":[],\"styles\":[],\"is_using_inpainting_conditioning\":false,"
		   "\"version\":\"demo\"}",
		   pod_models[drew].name, pod_models[drew].hash);
	json_quote(out, info.data, info.len);
	buf_release(&info);
}

/* The request back, but not the megabytes that came with it. */
static void add_parameters(struct buf *out, struct json body)
{
	struct json_walk walk = json_members(body);
	struct json key, value;
	const char *comma = "";

	buf_puts(out, "{");
	while (json_next(&walk, &key, &value)) {
		buf_puts(out, comma);
		buf_add(out, key.at, key.len);
		buf_puts(out, ":");
		if (json_string_equals(key, "init_images") || json_string_equals(key, "mask"))
			buf_puts(out, "null");
		else
			buf_add(out, value.at, value.len);
		comma = ",";
	}
	buf_puts(out, "}");
}

void generation_answer(struct exchange *x)
{
	struct buf *out = &x->reply.body, scratch;
	uint32_t images = image_count(&x->generation), width, height;

	drawn_size(x, images, &width, &height);
	buf_init(&scratch);
	buf_puts(out, "{\"images\":[");
	for (uint32_t i = 0; i < images; i++) {
		if (i)
			buf_puts(out, ",");
		add_image(out, &scratch, width, height, x->generation.seed + i, x->clarity);
	}
	buf_puts(out, "],\"parameters\":");
	add_parameters(out, x->body);
	buf_puts(out, ",\"info\":");
	add_info(out, x, images);
	buf_puts(out, "}");
	buf_release(&scratch);
}

void generation_preview(struct buf *out, const struct gpu_progress *p)
{
	struct buf scratch;

	buf_init(&scratch);
	add_image(out, &scratch, p->job.width < SIDE_MAX ? p->job.width : SIDE_MAX,
		  p->job.height < SIDE_MAX ? p->job.height : SIDE_MAX, p->job.seed, p->fraction);
	buf_release(&scratch);
}

bool generation_plan_extra(struct exchange *x)
{
	if (!plan_generation(x, "extras"))
		return false;
	x->gpu_job.duration_us = x->pod->options.service_time_us;
	return true;
}

void generation_answer_extra(struct exchange *x)
{
	bool batch = strstr(x->request->path, "batch") != NULL;
	struct buf *out = &x->reply.body, scratch;
	uint32_t width, height;

	drawn_size(x, 1, &width, &height);
	buf_init(&scratch);
	buf_printf(out, "{\"html_info\":\"\",%s", batch ? "\"images\":[" : "\"image\":");
	add_image(out, &scratch, width, height, x->generation.seed, x->clarity);
	buf_puts(out, batch ? "]}" : "}");
	buf_release(&scratch);
}

bool generation_plan_interrogate(struct exchange *x)
{
	if (json_is_null(json_member(x->body, "image"))) {
		exchange_error(x, 404, "HTTPException", "Image not found", "");
		return false;
	}
	x->gpu_job.name = "interrogate";
	x->gpu_job.job_count = -1; /* begun, but never told how many: as in the WebUI */
	x->gpu_job.n_iter = 1;
	x->gpu_job.duration_us = x->pod->options.service_time_us;
	return true;
}
