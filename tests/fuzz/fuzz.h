/*
 * The fuzz targets. Each takes any bytes and aborts if a promise is broken; a sanitizer sees the
 * rest. fuzz_main.c gives one of them to libFuzzer, replay_main.c runs the corpora through them
 * all without it.
 */
#ifndef SLOTGATE_TESTS_FUZZ_FUZZ_H
#define SLOTGATE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int fuzz_request(const uint8_t *data, size_t size);
int fuzz_response(const uint8_t *data, size_t size);
int fuzz_http2(const uint8_t *data, size_t size);
int fuzz_grpc(const uint8_t *data, size_t size);
int fuzz_config(const uint8_t *data, size_t size);
int fuzz_kubernetes(const uint8_t *data, size_t size);
int fuzz_core(const uint8_t *data, size_t size);

/* Like assert, but says what the numbers were. */
void fuzz_fail(const char *file, int line, const char *what, long long a, long long b)
	__attribute__((noreturn));
#define FUZZ_CHECK(true_is, a, b)                                                                  \
	do {                                                                                       \
		if (!(true_is))                                                                    \
			fuzz_fail(__FILE__, __LINE__, #true_is, (long long)(a), (long long)(b));   \
	} while (0)

#endif
