/* options: the command line of demo-pod, one table of flags; durations become microseconds. */
#ifndef DEMO_POD_OPTIONS_H
#define DEMO_POD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_size {
	uint32_t width, height; /* 0 = as the request says */
};

struct options {
	const char *host;
	uint64_t port;
	int64_t audit_port; /* -1 = none */
	const char *audit_file;
	uint64_t service_time_us;
	double per_step_pixel_ns; /* 0 = service_time_us counts */
	uint64_t model_load_us;
	uint64_t cold_start_us;
	uint64_t api_delay_us;
	uint64_t keep_alive_us;
	uint64_t threads;
	uint64_t max_connections;
	uint64_t crash_after; /* 0 = never */
	struct image_size image_size;
	bool fail_start;
	bool unlimited;
};

/*
 * Fills the options. Returns true to go on; false to exit with *exit_code, after --help or a
 * message that names the faulty flag.
 */
bool options_parse(struct options *o, int argc, char **argv, int *exit_code);

/* "250ms", "1.5s", "2m"; a number alone is seconds. Also for the X-Demo-* headers. */
bool options_duration(const char *text, uint64_t *us);

#endif
