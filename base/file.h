/*
 * Small files: read whole, and seen to change.
 */
#ifndef SLOTGATE_BASE_FILE_H
#define SLOTGATE_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Adds a file's bytes. 0, or an errno: EFBIG if it has more than `max` bytes. */
int file_read(const char *path, size_t max_bytes, struct str *);

/* A number that is another one when the file at this path is another one, or was written to. */
uint64_t file_stamp(const char *path);

#endif
