/* png: draws a plasma from a seed and writes it as a true-colour PNG (stored, not compressed). */
#ifndef DEMO_POD_PNG_H
#define DEMO_POD_PNG_H

#include <stdint.h>

#include "buf.h"

/*
 * Appends the PNG to out. `clarity` 1.0 is the finished image; less mixes in noise, as an
 * interrupted diffusion looks. The same arguments give the same bytes.
 */
void png_draw(struct buf *out, uint32_t width, uint32_t height, uint64_t seed, double clarity);

#endif
