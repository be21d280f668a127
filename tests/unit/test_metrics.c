/* Unit tests of metrics/: the registry, its histograms, and both exposition formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "metrics/accept.h"
#include "metrics/catalogue.h"
#include "metrics/exposition.h"
#include "metrics/label.h"
#include "metrics/metrics.h"
#include "metrics/series.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

static int set_up(void **state)
{
	*state = metrics_new(METRICS_MAX_LABEL_VALUES);
	return 0;
}

static int tear_down(void **state)
{
	mem_fail_after(-1);
	metrics_free(*state);
	return 0;
}

/* The page as text; valid until the next call. */
static const char *page(struct metrics_registry *r, enum exposition_format format)
{
	static char text[1 << 16];
	struct str out;
	str_init(&out);
	exposition_render(r, format, &out);
	assert_false(out.failed);
	assert_true(out.len < sizeof(text));
	snprintf(text, sizeof(text), "%s", out.at ? out.at : "");
	str_release(&out);
	return text;
}

static void assert_page(struct metrics_registry *r, const char *lines, bool there)
{
	const char *text = page(r, EXPOSITION_TEXT);
	if ((strstr(text, lines) != NULL) != there)
		fail_msg("%son the page: %s\n%s", there ? "not " : "", lines, text);
}

#define assert_on_page(r, lines)     assert_page(r, lines, true)
#define assert_not_on_page(r, lines) assert_page(r, lines, false)

static size_t lines_with(const char *text, const char *what)
{
	size_t n = 0;
	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* --- the catalogue ------------------------------------------------------------------------ */

static void catalogue_keeps_its_rules(void **state)
{
	(void)state;
	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *info = catalogue_get(m);
		size_t len = strlen(info->name), help_len = strlen(info->help);
		bool total = len > 6 && strcmp(info->name + len - 6, "_total") == 0;
		assert_int_equal(strncmp(info->name, "slotgate_", 9), 0);
		assert_int_equal(total, info->kind == METRIC_KIND_COUNTER);
		assert_int_equal(strspn(info->name, "abcdefghijklmnopqrstuvwxyz_"), len);
		assert_true(help_len > 10 && info->help[help_len - 1] == '.');
		assert_null(strpbrk(info->help, "\\\"\n|"));
		if (info->kind == METRIC_KIND_HISTOGRAM) {
			assert_int_equal(info->scale, METRIC_SCALE_MICRO);
			assert_non_null(strstr(info->name, "_seconds"));
		}
	}
}

/* OpenMetrics: no two families share a name, nor a name with another one's samples. */
static void families_have_names_of_their_own(void **state)
{
	(void)state;
	static const char *const suffixes[] = {"",	 "_total", "_bucket", "_sum",
					       "_count", "_info",  "_created"};
	for (unsigned a = 0; a < METRIC_COUNT; a++) {
		for (unsigned b = 0; b < METRIC_COUNT; b++) {
			const char *x = catalogue_get(a)->name, *y = catalogue_get(b)->name;
			size_t len = strlen(x);
			if (catalogue_get(a)->kind == METRIC_KIND_COUNTER)
				len -= strlen("_total");
			for (size_t i = 0; a != b && i < sizeof(suffixes) / sizeof(*suffixes); i++)
				assert_false(strncmp(x, y, len) == 0 &&
					     strcmp(y + len, suffixes[i]) == 0);
		}
	}
}

static void metrics_md_is_up_to_date(void **state)
{
	(void)state;
	static char file[1 << 16];
	FILE *f = fopen("metrics/METRICS.md", "r");
	if (!f)
		skip(); /* not run from the project's directory */
	file[fread(file, 1, sizeof(file) - 1, f)] = '\0';
	fclose(f);
	struct str out;
	str_init(&out);
	catalogue_write_markdown(&out);
	assert_false(out.failed);
	assert_string_equal(file, out.at);
	str_release(&out);
}

/* --- cells -------------------------------------------------------------------------------- */

static void the_same_labels_are_the_same_cell(void **state)
{
	struct metrics_registry *r = *state;
	struct metrics_counter *c = metrics_counter(r, METRIC_REQUESTS, VALUES("sd", "2xx"));
	assert_ptr_equal(c, metrics_counter(r, METRIC_REQUESTS, VALUES("sd", "2xx")));
	assert_ptr_not_equal(c, metrics_counter(r, METRIC_REQUESTS, VALUES("sd", "5xx")));
	metrics_count(c);
	metrics_add(c, 41);
	assert_on_page(r, "\nslotgate_requests_total{service=\"sd\",class=\"2xx\"} 42\n"
			  "slotgate_requests_total{service=\"sd\",class=\"5xx\"} 0\n");
}

static void pages_begin_with_headers_and_only_for_what_is_there(void **state)
{
	struct metrics_registry *r = *state;
	assert_string_equal(page(r, EXPOSITION_TEXT), "");
	metrics_gauge_set(metrics_gauge(r, METRIC_BUILD_INFO, VALUES("1.0")), 1);
	assert_string_equal(page(r, EXPOSITION_TEXT),
			    "# HELP slotgate_build_info Always 1; its label says which version "
			    "this is.\n"
			    "# TYPE slotgate_build_info gauge\n"
			    "slotgate_build_info{version=\"1.0\"} 1\n");
}

static void numbers_are_exact(void **state)
{
	struct metrics_registry *r = *state;
	static const struct {
		int64_t value;
		const char *micro;
	} cases[] = {
		{0, " 0\n"},
		{1, " 0.000001\n"},
		{1500000, " 1.5\n"},
		{1769846400123456, " 1769846400.123456\n"},
		{10000000, " 10\n"},
		{-250000, " -0.25\n"},
		{INT64_MIN, " -9223372036854.775808\n"},
		{INT64_MAX, " 9223372036854.775807\n"},
	};
	struct metrics_gauge *g = metrics_gauge(r, METRIC_CONCURRENCY, VALUES("s"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		metrics_gauge_set(g, cases[i].value);
		assert_on_page(r, cases[i].micro);
	}
	metrics_gauge_set(g, metrics_millionths(3.1415926));
	assert_on_page(r, "slotgate_concurrency{service=\"s\"} 3.141593\n");
	metrics_gauge_set(g, metrics_millionths(-0.0000006));
	assert_on_page(r, "slotgate_concurrency{service=\"s\"} -0.000001\n");

	struct metrics_gauge *queued = metrics_gauge(r, METRIC_QUEUED_REQUESTS, VALUES("s"));
	metrics_gauge_add(queued, 5);
	metrics_gauge_add(queued, -12);
	assert_on_page(r, "slotgate_queued_requests{service=\"s\"} -7\n");
}

static void mirrored_totals_never_go_down(void **state)
{
	struct metrics_registry *r = *state;
	struct metrics_counter *c = metrics_counter(r, METRIC_PROCESS_CPU, NULL);
	metrics_mirror(c, 2500000);
	metrics_mirror(c, 2400000);
	assert_on_page(r, "\nslotgate_process_cpu_seconds_total 2.5\n");
}

static void labels_are_escaped(void **state)
{
	struct metrics_registry *r = *state;
	metrics_counter(r, METRIC_EJECTIONS, VALUES("a\"b\\c\nd\xc3\xa4"));
	assert_on_page(r, "{service=\"a\\\"b\\\\c\\nd\xc3\xa4\"} 0\n");
	metrics_drop(r, VALUES("service", "a\"b\\c\nd\xc3\xa4", NULL));
	assert_not_on_page(r, "slotgate_ejections_total");
	metrics_counter(r, METRIC_EJECTIONS, VALUES(""));
	assert_on_page(r, "{service=\"\"} 0\n");
}

static void what_is_not_utf8_is_replaced(void **state)
{
	(void)state;
	static const struct {
		const char *raw, *escaped;
	} cases[] = {
		{"\xff", "\xEF\xBF\xBD"},				  /* never in UTF-8 */
		{"a\x80z", "a\xEF\xBF\xBDz"},				  /* a lone continuation */
		{"\xc3", "\xEF\xBF\xBD"},				  /* cut short by the end */
		{"\xc0\xaf", "\xEF\xBF\xBD\xEF\xBF\xBD"},		  /* overlong */
		{"\xe0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* overlong */
		{"\xed\xa0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
		{"\xe2\x82\xac", "\xe2\x82\xac"},			  /* the euro sign */
		{"\xed\x9f\xbf", "\xed\x9f\xbf"},	  /* the last before the surrogates */
		{"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, /* the last one of all */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct str out;
		str_init(&out);
		label_escape(&out, cases[i].raw);
		assert_false(out.failed);
		assert_string_equal(out.at, cases[i].escaped);
		str_release(&out);
	}
}

/* --- histograms --------------------------------------------------------------------------- */

static void bounds_are_inclusive(void **state)
{
	struct metrics_registry *r = *state;
	struct metrics_histogram *h = metrics_histogram(r, METRIC_QUEUE_WAIT, VALUES("s"));
	for (size_t i = 0; i < METRICS_BOUNDS; i++) {
		/* What lies between two is told apart from neither. */
		assert_true(!i || 2 * metrics_bound_us(i) <= 3 * metrics_bound_us(i - 1));
		uint64_t below = h->buckets[i], above = h->buckets[i + 1];
		metrics_observe(h, metrics_bound_us(i) - 1);
		metrics_observe(h, metrics_bound_us(i));
		assert_int_equal(h->buckets[i], below + 2);
		metrics_observe(h, metrics_bound_us(i) + 1);
		assert_int_equal(h->buckets[i], below + 2);
		assert_int_equal(h->buckets[i + 1], above + 1);
	}
	uint64_t first = h->buckets[0], last = h->buckets[METRICS_BOUNDS];
	int64_t sum_us = h->sum_us;
	metrics_observe(h, 0);
	metrics_observe(h, -5);
	assert_int_equal(h->sum_us, sum_us);
	assert_int_equal(h->buckets[0], first + 2);
	metrics_observe(h, INT64_C(86400000000));
	assert_int_equal(h->buckets[METRICS_BOUNDS], last + 1);
}

static void buckets_are_cumulative(void **state)
{
	struct metrics_registry *r = *state;
	struct metrics_histogram *h = metrics_histogram(r, METRIC_COLD_START, VALUES("s"));
	static const int64_t times_us[] = {4000, 5000, 5001, 3250000, 899999999, 1000000000};
	static const char *const text[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
					   "1",	    "1.5",  "2.5",   "3.5",  "5",   "7.5",  "10",
					   "15",    "20",   "30",    "45",   "60",  "90",   "120",
					   "180",   "300",  "600",   "900",  "+Inf"};
	static const int counts[] = {2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4,
				     4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 6};
	for (size_t i = 0; i < sizeof(times_us) / sizeof(*times_us); i++)
		metrics_observe(h, times_us[i]);
	for (int format = EXPOSITION_TEXT; format <= EXPOSITION_OPENMETRICS; format++) {
		struct str want;
		str_init(&want);
		for (size_t i = 0; i < sizeof(text) / sizeof(*text); i++) {
			/* OpenMetrics writes bounds as floats. */
			bool whole = format == EXPOSITION_OPENMETRICS && !strpbrk(text[i], ".I");
			str_printf(&want, "slotgate_cold_start_seconds_bucket{service=\"s\",le=\"");
			str_printf(&want, "%s%s\"} %d\n", text[i], whole ? ".0" : "", counts[i]);
		}
		str_add_text(&want, "slotgate_cold_start_seconds_sum{service=\"s\"} 1903.264\n"
				    "slotgate_cold_start_seconds_count{service=\"s\"} 6\n");
		assert_false(want.failed);
		assert_non_null(strstr(page(r, format), want.at));
		str_release(&want);
	}
}

/* --- formats ------------------------------------------------------------------------------ */

static void openmetrics_names_families_without_total(void **state)
{
	struct metrics_registry *r = *state;
	assert_string_equal(page(r, EXPOSITION_OPENMETRICS), "# EOF\n");
	metrics_counter(r, METRIC_PROCESS_CPU, NULL); /* not in the catalogue's order */
	metrics_counter(r, METRIC_LOG_LINES_DROPPED, NULL);
	metrics_gauge(r, METRIC_SPOOLED_BYTES, VALUES("disk"));
	struct str want;
	str_init(&want);
	str_printf(&want,
		   "# HELP slotgate_spooled_bytes %s\n"
		   "# TYPE slotgate_spooled_bytes gauge\n"
		   "# UNIT slotgate_spooled_bytes bytes\n"
		   "slotgate_spooled_bytes{kind=\"disk\"} 0\n"
		   "# HELP slotgate_log_lines_dropped %s\n"
		   "# TYPE slotgate_log_lines_dropped counter\n"
		   "slotgate_log_lines_dropped_total 0\n"
		   "# HELP slotgate_process_cpu_seconds %s\n"
		   "# TYPE slotgate_process_cpu_seconds counter\n"
		   "# UNIT slotgate_process_cpu_seconds seconds\n"
		   "slotgate_process_cpu_seconds_total 0\n"
		   "# EOF\n",
		   catalogue_get(METRIC_SPOOLED_BYTES)->help,
		   catalogue_get(METRIC_LOG_LINES_DROPPED)->help,
		   catalogue_get(METRIC_PROCESS_CPU)->help);
	assert_false(want.failed);
	assert_string_equal(page(r, EXPOSITION_OPENMETRICS), want.at);
	str_release(&want);
	assert_on_page(r, "# TYPE slotgate_process_cpu_seconds_total counter\n");
	assert_not_on_page(r, "# EOF");
	assert_not_on_page(r, "# UNIT");
}

static void accept_header_chooses_the_format(void **state)
{
	(void)state;
	static const struct {
		const char *accept;
		enum exposition_format format;
	} cases[] = {
		{"", EXPOSITION_TEXT},
		{"*/*", EXPOSITION_TEXT},
		{"text/html,application/xhtml+xml,*/*;q=0.8", EXPOSITION_TEXT},
		{"text/plain;version=0.0.4", EXPOSITION_TEXT},
		{"application/openmetrics-text", EXPOSITION_OPENMETRICS},
		{"Application/OpenMetrics-Text; Version=\"1.0.0\"", EXPOSITION_OPENMETRICS},
		{"application/openmetrics-text; version=0.0.1", EXPOSITION_TEXT},
		{"application/openmetrics-text; version=1.0.0; q=0", EXPOSITION_TEXT},
		{"application/openmetrics-text;q=0.4,text/plain;q=0.5,text/plain;q=0.3",
		 EXPOSITION_TEXT},
		{"application/openmetrics-text;q=0.5,text/plain;q=0.5", EXPOSITION_OPENMETRICS},
		{"application/openmetrics-text;q=0.5 , */*;q=0.6", EXPOSITION_TEXT},
		{"application/openmetrics-text;q=0.5,text/plain;q=0.1,*/*;q=0.6",
		 EXPOSITION_OPENMETRICS}, /* the closer range counts */
		{"application/openmetrics-text;q=0.5,Text/*;q=0.6", EXPOSITION_TEXT},
		{"application/openmetrics-text;q=x", EXPOSITION_TEXT},
		{"application/openmetrics-text;;q=1.000;", EXPOSITION_OPENMETRICS},
		{"application/openmetrics-text;q=1.001", EXPOSITION_TEXT},
		{",;,=;q", EXPOSITION_TEXT},
		/* Prometheus 2.42, and 3.x */
		{"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		 "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		 EXPOSITION_OPENMETRICS},
		{"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
		 "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;"
		 "escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
		 EXPOSITION_OPENMETRICS},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (exposition_choose(slice_of(cases[i].accept)) != cases[i].format)
			fail_msg("wrong format for: %s", cases[i].accept);
	assert_int_equal(exposition_choose((struct slice){0}), EXPOSITION_TEXT);
	assert_int_equal(accept_quality((struct slice){0}, "text/plain", "0.0.4"), 1000);
	assert_int_equal(accept_quality(SLICE("text/*;q=0.125"), "text/plain", "0.0.4"), 125);
	assert_int_equal(accept_quality(SLICE("te*"), "text/plain", "0.0.4"), 0);
	assert_string_equal(exposition_content_type(EXPOSITION_OPENMETRICS),
			    "application/openmetrics-text; version=1.0.0; charset=utf-8");
	assert_string_equal(exposition_content_type(EXPOSITION_TEXT),
			    "text/plain; version=0.0.4; charset=utf-8");
}

/* --- dropping and folding ----------------------------------------------------------------- */

static void drop_takes_only_what_carries_all_the_labels(void **state)
{
	struct metrics_registry *r = *state;
	metrics_gauge(r, METRIC_SLOTS, VALUES("a", "p1", "free"));
	metrics_gauge(r, METRIC_SLOTS, VALUES("a", "p1", "working"));
	metrics_gauge(r, METRIC_SLOTS, VALUES("a", "p2", "free"));
	metrics_gauge(r, METRIC_SLOTS, VALUES("b", "p1", "free"));
	metrics_counter(r, METRIC_EJECTIONS, VALUES("a"));
	metrics_drop(r, VALUES("service", "a", "pod", "nobody", NULL));
	assert_int_equal(lines_with(page(r, EXPOSITION_TEXT), "slotgate_slots{"), 4);
	metrics_drop(r, VALUES("service", "a", "pod", "p1", NULL));
	assert_not_on_page(r, "service=\"a\",pod=\"p1\"");
	assert_on_page(r, "slotgate_slots{service=\"a\",pod=\"p2\",state=\"free\"} 0\n"
			  "slotgate_slots{service=\"b\",pod=\"p1\",state=\"free\"} 0\n");
	assert_on_page(r, "slotgate_ejections_total{service=\"a\"} 0\n");
	metrics_drop(r, VALUES("service", "a", NULL));
	assert_not_on_page(r, "service=\"a\"");
	assert_on_page(r, "service=\"b\"");
	assert_int_equal(metrics_gauge(r, METRIC_SLOTS, VALUES("a", "p1", "free"))->value, 0);
}

static void surplus_values_fold_into_other(void **state)
{
	(void)state;
	struct metrics_registry *r = metrics_new(2);
	struct metrics_counter *a = metrics_counter(r, METRIC_RETRIES, VALUES("a", "x"));
	metrics_counter(r, METRIC_RETRIES, VALUES("b", "x"));
	struct metrics_counter *c = metrics_counter(r, METRIC_RETRIES, VALUES("c", "x"));
	assert_ptr_equal(c, metrics_counter(r, METRIC_RETRIES, VALUES("d", "x")));
	assert_ptr_equal(c, metrics_counter(r, METRIC_RETRIES, VALUES("other", "x")));
	assert_ptr_equal(a, metrics_counter(r, METRIC_RETRIES, VALUES("a", "x")));
	metrics_count(c);
	assert_on_page(r, "slotgate_retries_total{service=\"other\",reason=\"x\"} 1\n");
	metrics_counter(r, METRIC_EJECTIONS, VALUES("c"));
	assert_on_page(r, "slotgate_ejections_total{service=\"c\"} 0\n");
	/* A value that is gone makes room for one; "other" takes none. */
	metrics_drop(r, VALUES("service", "a", NULL));
	metrics_counter(r, METRIC_RETRIES, VALUES("d", "x"));
	assert_on_page(r, "slotgate_retries_total{service=\"d\",reason=\"x\"} 0\n");
	assert_ptr_equal(c, metrics_counter(r, METRIC_RETRIES, VALUES("e", "x")));
	metrics_free(r);
}

/* --- collectors --------------------------------------------------------------------------- */

struct fake_service {
	const char *const *pods;
	int calls;
};

static bool collect_service(struct metrics_registry *r, void *owner, unsigned turn)
{
	struct fake_service *s = owner;
	s->calls += turn == 0;
	if (!s->pods[turn])
		return false;
	metrics_sample(r, metrics_gauge(r, METRIC_SLOTS, VALUES("s", s->pods[turn], "free")), 2);
	return true;
}

static bool collect_once(struct metrics_registry *r, void *owner, unsigned turn)
{
	if (turn == 0)
		return true;
	metrics_remove_collector(r, collect_once, owner);
	return false;
}

static void collectors_run_once_a_scrape(void **state)
{
	(void)state;
	struct metrics_registry *r = metrics_new(2);
	struct fake_service s = {VALUES("p1", "p2", "p3", "p4", NULL), 0};
	metrics_add_collector(r, collect_once, &s);
	metrics_add_collector(r, collect_service, &s);
	metrics_gauge(r, METRIC_DESIRED_PODS, VALUES("s"));
	for (int scrape = 1; scrape <= 3; scrape++) {
		const char *text = page(r, EXPOSITION_TEXT);
		assert_int_equal(s.calls, scrape);
		assert_non_null(strstr(text, "pod=\"p1\",state=\"free\"} 2\n"));
		assert_non_null(strstr(text, "pod=\"other\",state=\"free\"} 4\n"));
	}
	/* What is not sampled any more is not shown, but a gauge kept in step is. */
	s.pods = VALUES("p2", NULL);
	const char *text = page(r, EXPOSITION_TEXT);
	assert_int_equal(lines_with(text, "slotgate_slots{"), 1);
	assert_non_null(strstr(text, "pod=\"p2\",state=\"free\"} 2\n"));
	assert_non_null(strstr(text, "slotgate_desired_pods{service=\"s\"} 0\n"));
	metrics_remove_collector(r, collect_service, &s);
	assert_not_on_page(r, "slotgate_slots");
	assert_int_equal(s.calls, 4);
	metrics_free(r);
}

/* --- rendering in slices ------------------------------------------------------------------ */

static void fill(struct metrics_registry *r)
{
	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		for (int i = 0; i < 3; i++) {
			const char *values[] = {"sd \"x\"", i ? i > 1 ? "c" : "b" : "a", "z"};
			if (catalogue_get(m)->kind == METRIC_KIND_COUNTER)
				metrics_add(metrics_counter(r, m, values), 7);
			else if (catalogue_get(m)->kind == METRIC_KIND_GAUGE)
				metrics_gauge_set(metrics_gauge(r, m, values), 1234567);
			else
				metrics_observe(metrics_histogram(r, m, values), 1234567 << i);
		}
	}
}

static void slices_make_the_same_page(void **state)
{
	struct metrics_registry *r = *state;
	fill(r);
	for (int format = EXPOSITION_TEXT; format <= EXPOSITION_OPENMETRICS; format++) {
		const char *whole = page(r, format);
		for (size_t max = 1; max < 100; max++) {
			struct exposition_cursor c;
			struct str out;
			str_init(&out);
			exposition_begin(&c, r, format);
			while (exposition_step(&c, &out, max))
				;
			assert_false(out.failed);
			assert_string_equal(out.at, whole);
			exposition_end(&c);
			str_release(&out);
		}
	}
}

/* Series may go and come between two slices, also the very next one. */
static void slices_survive_drops(void **state)
{
	struct metrics_registry *r = *state;
	static const char *const pods[] = {"p0", "p1", "p2", "p3", "p4"};
	for (size_t dropped = 0; dropped < 5; dropped++) {
		for (size_t i = 0; i < 5; i++)
			metrics_gauge(r, METRIC_SLOTS, VALUES("s", pods[i], "free"));
		struct exposition_cursor c, abandoned;
		struct str out;
		str_init(&out);
		exposition_begin(&abandoned, r, EXPOSITION_TEXT);
		exposition_begin(&c, r, EXPOSITION_TEXT);
		assert_true(exposition_step(&c, &out, 2));
		for (size_t i = 0; i <= dropped; i++)
			metrics_drop(r, VALUES("service", "s", "pod", pods[i], NULL));
		metrics_gauge(r, METRIC_SLOTS, VALUES("s", "late", "free"));
		while (exposition_step(&c, &out, 1))
			;
		exposition_end(&abandoned);
		/* Two had been written. Of the rest, the dropped ones are not; the late one is not
		 * either where the walk had already come to the end of the metric. */
		static const size_t written[] = {6, 6, 5, 4, 2};
		assert_false(out.failed);
		assert_int_equal(lines_with(out.at, "slotgate_slots{"), written[dropped]);
		assert_int_equal(lines_with(out.at, "# TYPE"), 1);
		str_release(&out);
		metrics_drop(r, VALUES("service", "s", NULL));
	}
}

/* --- without memory ----------------------------------------------------------------------- */

static void without_memory_callers_get_a_cell_nobody_reads(void **state)
{
	(void)state;
	bool failed = true;
	for (long n = 0; failed; n++) {
		assert_true(n < 100);
		struct metrics_registry *r = metrics_new(10);
		mem_fail_after(n);
		struct metrics_gauge *g = metrics_gauge(r, METRIC_SLOTS, VALUES("a", "b", "c"));
		metrics_gauge_set(g, 5);
		struct metrics_counter *c =
			metrics_counter(r, METRIC_PROBES, VALUES("a", "b", "c"));
		metrics_count(c);
		metrics_observe(metrics_histogram(r, METRIC_COLD_START, VALUES("a")), 1);
		mem_fail_after(-1);
		size_t before = lines_with(page(r, EXPOSITION_TEXT), "# TYPE");
		failed = before < 3;
		assert_true(before >= 2); /* one allocation failed, so at most one cell is lost */
		metrics_gauge(r, METRIC_SLOTS, VALUES("a", "b", "c"));
		metrics_counter(r, METRIC_PROBES, VALUES("a", "b", "c"));
		metrics_histogram(r, METRIC_COLD_START, VALUES("a"));
		assert_int_equal(lines_with(page(r, EXPOSITION_TEXT), "# TYPE"), 3);
		/* Dropping needs no memory. */
		mem_fail_after(0);
		metrics_drop(r, VALUES("service", "a", NULL));
		mem_fail_after(-1);
		assert_string_equal(page(r, EXPOSITION_TEXT), "");
		metrics_free(r);
	}
}

/* With an argument it prints instead: the page of documentation, or an example for promtool. */
static int print(const char *what)
{
	struct metrics_registry *r = metrics_new(METRICS_MAX_LABEL_VALUES);
	struct str out;
	bool open = strcmp(what, "openmetrics") == 0;
	str_init(&out);
	fill(r);
	if (strcmp(what, "markdown") == 0)
		catalogue_write_markdown(&out);
	else
		exposition_render(r, open ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT, &out);
	fputs(out.at, stdout);
	str_release(&out);
	metrics_free(r);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(catalogue_keeps_its_rules),
		TEST(families_have_names_of_their_own),
		TEST(metrics_md_is_up_to_date),
		TEST(the_same_labels_are_the_same_cell),
		TEST(pages_begin_with_headers_and_only_for_what_is_there),
		TEST(numbers_are_exact),
		TEST(mirrored_totals_never_go_down),
		TEST(labels_are_escaped),
		TEST(what_is_not_utf8_is_replaced),
		TEST(bounds_are_inclusive),
		TEST(buckets_are_cumulative),
		TEST(openmetrics_names_families_without_total),
		TEST(accept_header_chooses_the_format),
		TEST(drop_takes_only_what_carries_all_the_labels),
		TEST(surplus_values_fold_into_other),
		TEST(collectors_run_once_a_scrape),
		TEST(slices_make_the_same_page),
		TEST(slices_survive_drops),
		TEST(without_memory_callers_get_a_cell_nobody_reads),
	};
	return argc > 1 ? print(argv[1]) : cmocka_run_group_tests(tests, NULL, NULL);
}
