/*
 * A spool: a queue of bytes between a fast writer and a slow reader. Up to `memory_bytes` are kept
 * in memory; past that the rest goes through an unlinked temporary file, read and written by the
 * worker's thread. The writer is never held up: over `max_bytes`, when the disk is full, or when
 * the budget is spent because the disk cannot follow, the spool has failed and its owner decides
 * whom to disappoint.
 *
 *      write ->  [ tail: memory ] -> [ file ] -> [ head: memory ] -> read
 *
 * Bytes leave in the order they came. While nothing is in the file, tail and head are one.
 */
#ifndef SLOTGATE_BASE_SPOOL_H
#define SLOTGATE_BASE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/budget.h"
#include "base/worker.h"

struct spool;

/* What all spools of a process share: the disk's thread, and ceilings over all of them. */
struct spool_space {
	struct worker *worker;
	struct budget *budget; /* that their memory is part of */
	const char *directory; /* of the temporary files */
	int64_t memory_limit_bytes, disk_limit_bytes;
	int64_t memory_bytes, disk_bytes; /* in use */
	int64_t waiting_bytes;		  /* of the memory, on its way to the disk */
};

struct spool_limits {
	int64_t memory_bytes; /* of one spool, before it goes to the disk */
	int64_t max_bytes;    /* of one spool, in memory and on disk */
};

enum spool_error { SPOOL_OK, SPOOL_FULL, SPOOL_DISK, SPOOL_NO_MEMORY, SPOOL_NO_BUDGET };

/* Called at the end of a turn when bytes that were on disk have come, or the spool has failed. */
typedef void spool_fn(void *owner);

struct spool *spool_new(struct spool_space *, struct spool_limits, spool_fn *, void *owner);

/* Frees it with all that is in it; NULL is harmless. The disk may finish later, unseen. */
void spool_free(struct spool *);

/* Appends. On an error the spool stays failed and takes no more. */
enum spool_error spool_write(struct spool *, const void *bytes, size_t len);
enum spool_error spool_error(const struct spool *);
const char *spool_error_text(enum spool_error);

/* Bytes written and not yet consumed. */
int64_t spool_length(const struct spool *);

/* Whether part of it is, or is on its way to, the disk. */
bool spool_is_on_disk(const struct spool *);

/* Points `iov` at the first bytes in memory; returns how many pieces. 0 with a length above zero
 * means that they are being fetched from the disk: the owner is called. */
int spool_peek(struct spool *, struct iovec *iov, int max);

/* Drops the first `len` of what spool_peek showed. */
void spool_consume(struct spool *, size_t len);

#endif
