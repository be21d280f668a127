/* The page for people: its files, embedded, and how they are served. */
#include "gateway/admin/ui.h"

#include <string.h>

#include "gateway/autoscalers/target.h"
#include "gateway/reply.h"

/* The assembler reads them, from the folder that the build runs in. */
#define EMBED(name, path)                                                                          \
	__asm__(".section .rodata\n"                                                               \
		".global ui_" #name "\n.global ui_" #name "_end\n"                                 \
		"ui_" #name ":\n.incbin \"" path "\"\n"                                            \
		"ui_" #name "_end:\n.byte 0\n.previous\n");                                        \
	extern const char ui_##name[], ui_##name##_end[]

EMBED(html, "gateway/admin/ui/page.html");
EMBED(css, "gateway/admin/ui/page.css");
EMBED(js, "gateway/admin/ui/page.js");

static const struct file {
	const char *path, *content_type, *begin, *end;
} files[] = {
	{"/ui", "text/html; charset=utf-8", ui_html, ui_html_end},
	{"/ui/page.css", "text/css; charset=utf-8", ui_css, ui_css_end},
	{"/ui/page.js", "text/javascript; charset=utf-8", ui_js, ui_js_end},
};

/* Nothing from elsewhere, nothing inline, in nobody's frame. */
static const char policy[] = "default-src 'none'; style-src 'self'; script-src 'self'; "
			     "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
			     "form-action 'none'; frame-ancestors 'none'";

static const struct file *find(struct slice target)
{
	struct slice path = target_path(target);
	for (size_t i = 1; i < sizeof(files) / sizeof(*files); i++)
		if (slice_is(path, files[i].path))
			return &files[i];
	return &files[0];
}

void ui_show(struct exchange *x, const struct http_head *head)
{
	const struct file *f = find(head->target);
	struct http_header headers[] = {
		{SLICE("Date"), reply_date(), HEADER_DATE},
		{SLICE("Content-Type"), slice_of(f->content_type), HEADER_OTHER},
		{SLICE("Content-Security-Policy"), slice_of(policy), HEADER_OTHER},
		{SLICE("X-Content-Type-Options"), SLICE("nosniff"), HEADER_OTHER},
		{SLICE("Referrer-Policy"), SLICE("no-referrer"), HEADER_OTHER},
		{SLICE("Cache-Control"), SLICE("no-cache"), HEADER_OTHER},
	};
	struct answer a = {
		.status = 200,
		.headers = headers,
		.count = sizeof(headers) / sizeof(*headers),
		.content_length = f->end - f->begin,
		.has_body = !slice_is(head->method, "HEAD"),
	};
	exchange_respond(x, &a);
	if (a.has_body)
		exchange_write(x, f->begin, (size_t)a.content_length);
	exchange_end(x);
}
