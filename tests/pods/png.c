/* png: draws a plasma from a seed and writes it as a true-colour PNG (stored, not compressed). */
#include "png.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STORED_BLOCK_MAX 65535
#define ADLER_MODULUS	 65521
/* The largest count of bytes after which 32-bit Adler sums cannot have overflowed (zlib's NMAX). */
#define ADLER_RUN 5552

static uint32_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_fill_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
		crc_table[i] = c;
	}
}

static uint32_t crc32_of(const uint8_t *bytes, size_t n)
{
	uint32_t c = 0xffffffff;

	for (size_t i = 0; i < n; i++)
		c = crc_table[(c ^ bytes[i]) & 0xff] ^ c >> 8;
	return ~c;
}

static uint32_t adler32_of(const uint8_t *bytes, size_t n)
{
	uint32_t a = 1, b = 0;

	while (n) {
		size_t run = n < ADLER_RUN ? n : ADLER_RUN;

		n -= run;
		while (run--) {
			a += *bytes++;
			b += a;
		}
		a %= ADLER_MODULUS;
		b %= ADLER_MODULUS;
	}
	return b << 16 | a;
}

static void add_u32(struct buf *out, uint32_t v)
{
	uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	buf_add(out, b, sizeof(b));
}

/* A chunk is begun with a length of 0, filled in place, and closed: no copy of the pixels. */
static size_t chunk_begin(struct buf *out, const char type[4])
{
	size_t start = out->len;

	add_u32(out, 0);
	buf_add(out, type, 4);
	return start;
}

static void chunk_end(struct buf *out, size_t start)
{
	uint32_t n = (uint32_t)(out->len - start - 8);

	for (int i = 0; i < 4; i++)
		out->data[start + (size_t)i] = (char)(n >> (24 - 8 * i));
	add_u32(out, crc32_of((uint8_t *)out->data + start + 4, n + 4));
}

static void add_stored_zlib(struct buf *out, const uint8_t *bytes, size_t n)
{
	uint32_t adler = adler32_of(bytes, n);

	buf_add(out, "\x78\x01", 2);
	do {
		uint16_t len = n < STORED_BLOCK_MAX ? (uint16_t)n : STORED_BLOCK_MAX;
		uint16_t inverse = (uint16_t)~len;
		uint8_t head[5] = {n == len, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)inverse,
				   (uint8_t)(inverse >> 8)};

		buf_add(out, head, sizeof(head));
		buf_add(out, bytes, len);
		bytes += len;
		n -= len;
	} while (n);
	add_u32(out, adler);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* One sine wave along an axis, as a table, so that the pixel loop has no libm call in it. */
static void fill_wave(float *wave, uint32_t n, uint64_t *random)
{
	float turns = 1.0F + (float)(next_random(random) % 300) / 100.0F;
	float phase = (float)(next_random(random) % 628) / 100.0F;

	for (uint32_t i = 0; i < n; i++)
		wave[i] = sinf(phase + turns * 6.2831853F * (float)i / (float)n);
}

static void draw_rows(struct buf *rows, uint32_t width, uint32_t height, uint64_t seed,
		      float clarity)
{
	uint64_t random = seed;
	size_t wave_len = (size_t)width + height;
	float *across[3], *down[3];
	float *waves = calloc(6 * wave_len, sizeof(*waves));
	uint8_t *to;

	if (!waves)
		abort();
	for (int c = 0; c < 3; c++) {
		across[c] = waves + 2 * (size_t)c * wave_len;
		down[c] = across[c] + wave_len;
		fill_wave(across[c], width, &random);
		fill_wave(down[c], height, &random);
	}
	buf_reserve(rows, (size_t)height * (1 + 3 * (size_t)width));
	to = (uint8_t *)rows->data;
	for (uint32_t y = 0; y < height; y++) {
		*to++ = 0; /* the row's filter: none */
		for (uint32_t x = 0; x < width; x++) {
			uint64_t noise = clarity < 1.0F ? next_random(&random) : 0;

			for (int c = 0; c < 3; c++) {
				float image = 127.5F + 63.0F * (across[c][x] + down[c][y]);
				float grain = (float)(noise >> (8 * c) & 0xff);

				*to++ = (uint8_t)(clarity * image + (1.0F - clarity) * grain);
			}
		}
	}
	rows->len = (size_t)(to - (uint8_t *)rows->data);
	free(waves);
}

void png_draw(struct buf *out, uint32_t width, uint32_t height, uint64_t seed, double clarity)
{
	struct buf rows;
	size_t chunk;

	pthread_once(&crc_once, crc_fill_table);
	buf_init(&rows);
	draw_rows(&rows, width, height, seed, (float)(clarity < 0 ? 0 : clarity > 1 ? 1 : clarity));

	buf_add(out, "\x89PNG\r\n\x1a\n", 8);
	chunk = chunk_begin(out, "IHDR");
	add_u32(out, width);
	add_u32(out, height);
	buf_add(out, "\x08\x02\x00\x00\x00", 5); /* 8 bits, RGB, deflate, filters, no interlace */
	chunk_end(out, chunk);
	chunk = chunk_begin(out, "IDAT");
	add_stored_zlib(out, (uint8_t *)rows.data, rows.len);
	chunk_end(out, chunk);
	chunk = chunk_begin(out, "IEND");
	chunk_end(out, chunk);
	buf_release(&rows);
}
