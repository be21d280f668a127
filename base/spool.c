/* A queue of bytes, in memory and then in an unlinked temporary file. */
#include "base/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum {
	CHUNK_BYTES = 64 << 10,	      /* of memory at a time, but for small spools */
	BATCH_BYTES = 256 << 10,      /* read from or written to the disk at a time */
	SHORT_BATCH_BYTES = 16 << 10, /* likewise, when memory is short */
};

struct chunk {
	struct list link;
	size_t start, end, capacity;
	char bytes[];
};

/* A list of chunks, and how many bytes are in them. */
struct chunks {
	struct list list;
	size_t bytes;
};

enum disk_state { DISK_IDLE, DISK_WRITING, DISK_READING };

/* The way of a spool's bytes through its file. Few spools ever need one. */
struct disk {
	struct spool *spool;
	enum disk_state state;
	struct chunks tail; /* on its way to the file */
	int fd;
	int64_t file_start, file_end; /* what of the file is unread */
	struct work work;
	struct chunks batch; /* what the disk's thread works on */
	int failed_errno;
};

struct spool {
	struct spool_space *space;
	struct spool_limits limits;
	spool_fn *fn;
	void *owner; /* NULL once freed by the owner: the disk's last job frees it */
	enum spool_error error;
	bool on_disk; /* what comes goes behind what is there */
	struct chunks head;
	struct disk *disk; /* NULL: never yet */
};

/* --- chunks --- */

static void chunks_init(struct chunks *c)
{
	list_init(&c->list);
	c->bytes = 0;
}

static void count_memory(struct spool_space *space, int64_t by)
{
	space->memory_bytes += by;
	space->budget->used_bytes += by;
}

/* Whether that much more memory would be too much: then only what is
 * short stays out of the files. */
static bool is_short(const struct spool_space *space, int64_t more_bytes)
{
	return budget_is_tight(space->budget) ||
	       space->memory_bytes + more_bytes > space->memory_limit_bytes;
}

static struct chunk *chunk_new(struct spool_space *space, size_t capacity)
{
	struct chunk *c = mem_alloc(sizeof(*c) + capacity);
	if (!c)
		return NULL;
	list_init(&c->link);
	c->start = c->end = 0;
	c->capacity = capacity;
	count_memory(space, (int64_t)capacity);
	return c;
}

static void chunk_free(struct spool_space *space, struct chunk *c)
{
	list_remove(&c->link);
	count_memory(space, -(int64_t)c->capacity);
	mem_free(c);
}

static void chunks_clear(struct spool_space *space, struct chunks *c)
{
	LIST_EACH(it, &c->list, struct chunk, link)
		chunk_free(space, it);
	c->bytes = 0;
}

/* Moves all chunks of `from` behind those of `to`. */
static void chunks_move(struct chunks *to, struct chunks *from)
{
	LIST_EACH(it, &from->list, struct chunk, link) {
		list_remove(&it->link);
		list_push_back(&to->list, &it->link);
	}
	to->bytes += from->bytes;
	from->bytes = 0;
}

static size_t round_up(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

/* Small spools get chunks of their size, and none gets more than may still come (`most`): a held
 * request costs its bytes, not 64 KiB. */
static size_t capacity_for(const struct chunks *c, size_t len, int64_t most)
{
	size_t capacity = round_up(len > c->bytes ? len : c->bytes);
	if (c->bytes + len >= CHUNK_BYTES)
		capacity = CHUNK_BYTES;
	return most < (int64_t)capacity ? (size_t)most : capacity;
}

static bool chunks_add(struct spool_space *space, struct chunks *c, const char *at, size_t len,
		       int64_t most)
{
	struct chunk *last =
		list_is_empty(&c->list) ? NULL : LIST_OWNER(c->list.prev, struct chunk, link);
	while (len) {
		if (!last || last->end == last->capacity) {
			last = chunk_new(space, capacity_for(c, len, most));
			if (!last)
				return false;
			list_push_back(&c->list, &last->link);
		}
		size_t room = last->capacity - last->end;
		size_t n = len < room ? len : room;
		memcpy(last->bytes + last->end, at, n);
		last->end += n;
		c->bytes += n;
		at += n;
		len -= n;
		most -= (int64_t)n;
	}
	return true;
}

/* --- the disk --- */

static int open_unlinked(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	/* A file system without O_TMPFILE. */
	char path[4096];
	size_t n = strlen(directory);
	static const char name[] = "/slotgate-XXXXXX";
	if (n + sizeof(name) > sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(path, directory, n);
	memcpy(path + n, name, sizeof(name));
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* In the worker's thread. */
static void write_batch(struct work *work)
{
	struct disk *d = LIST_OWNER(work, struct disk, work);
	d->failed_errno = 0;
	if (d->fd < 0 && (d->fd = open_unlinked(d->spool->space->directory)) < 0) {
		d->failed_errno = errno;
		return;
	}
	int64_t at = d->file_end;
	LIST_EACH(c, &d->batch.list, struct chunk, link) {
		while (c->start < c->end) {
			ssize_t n = pwrite(d->fd, c->bytes + c->start, c->end - c->start, at);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0) {
				d->failed_errno = n < 0 ? errno : ENOSPC;
				return;
			}
			c->start += (size_t)n;
			at += n;
		}
	}
}

/* In the worker's thread. */
static void read_batch(struct work *work)
{
	struct disk *d = LIST_OWNER(work, struct disk, work);
	int64_t at = d->file_start;
	d->failed_errno = 0;
	LIST_EACH(c, &d->batch.list, struct chunk, link) {
		while (c->end < c->capacity && at < d->file_end) {
			size_t want = c->capacity - c->end;
			if ((int64_t)want > d->file_end - at)
				want = (size_t)(d->file_end - at);
			ssize_t n = pread(d->fd, c->bytes + c->end, want, at);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0) {
				d->failed_errno = n < 0 ? errno : EIO;
				return;
			}
			c->end += (size_t)n;
			at += n;
		}
	}
}

/* All of what waits in memory for the disk goes elsewhere. */
static void move_tail(struct disk *d, struct chunks *to)
{
	d->spool->space->waiting_bytes -= (int64_t)d->tail.bytes;
	chunks_move(to, &d->tail);
}

static void disk_free(struct disk *d)
{
	struct spool_space *space = d->spool->space;
	move_tail(d, &d->spool->head);
	chunks_clear(space, &d->batch);
	space->disk_bytes -= d->file_end;
	if (d->fd >= 0)
		close(d->fd);
	mem_free(d);
}

static void destroy(struct spool *s)
{
	if (s->disk)
		disk_free(s->disk);
	chunks_clear(s->space, &s->head);
	mem_free(s);
}

static void fail(struct spool *s, enum spool_error error)
{
	if (s->error == SPOOL_OK)
		s->error = error;
}

static void drive(struct spool *);

static void on_written(struct disk *d)
{
	d->file_end += (int64_t)d->batch.bytes;
	chunks_clear(d->spool->space, &d->batch);
}

static void on_read(struct disk *d)
{
	d->batch.bytes = 0;
	LIST_EACH(c, &d->batch.list, struct chunk, link)
		d->batch.bytes += c->end;
	d->file_start += (int64_t)d->batch.bytes;
	chunks_move(&d->spool->head, &d->batch);
}

static void on_disk_done(struct work *work)
{
	struct disk *d = LIST_OWNER(work, struct disk, work);
	struct spool *s = d->spool;
	enum disk_state was = d->state;
	d->state = DISK_IDLE;
	if (was == DISK_WRITING && (d->failed_errno || !s->owner))
		s->space->disk_bytes -= (int64_t)d->batch.bytes; /* they are not in the file */
	if (!s->owner) {
		destroy(s);
		return;
	}
	if (d->failed_errno)
		fail(s, SPOOL_DISK);
	else if (was == DISK_WRITING)
		on_written(d);
	else
		on_read(d);
	drive(s);
	if (was == DISK_READING || s->error || s->head.bytes)
		s->fn(s->owner);
}

static struct disk *disk_new(struct spool *s)
{
	struct disk *d = mem_zalloc(sizeof(*d));
	if (!d)
		return NULL;
	d->spool = s;
	d->fd = -1;
	d->work.done = on_disk_done;
	list_init(&d->work.link);
	chunks_init(&d->tail);
	chunks_init(&d->batch);
	return d;
}

/* No more at a time: while it is written, a batch is in memory and on the disk. */
static void fill_batch(struct disk *d)
{
	while (d->tail.bytes && d->batch.bytes < BATCH_BYTES) {
		struct chunk *c = LIST_FIRST(&d->tail.list, struct chunk, link);
		size_t bytes = c->end - c->start;
		list_remove(&c->link);
		list_push_back(&d->batch.list, &c->link);
		d->tail.bytes -= bytes;
		d->batch.bytes += bytes;
		d->spool->space->waiting_bytes -= (int64_t)bytes;
	}
}

static void start_writing(struct disk *d)
{
	struct spool_space *space = d->spool->space;
	fill_batch(d);
	space->disk_bytes += (int64_t)d->batch.bytes;
	d->state = DISK_WRITING;
	d->work.run = write_batch;
	worker_submit(space->worker, &d->work);
}

static void start_reading(struct disk *d)
{
	struct spool_space *space = d->spool->space;
	int64_t left = d->file_end - d->file_start;
	int64_t most = is_short(space, 0) ? SHORT_BATCH_BYTES : BATCH_BYTES;
	size_t capacity = most < CHUNK_BYTES ? (size_t)most : CHUNK_BYTES;
	for (int64_t n = 0; n < left && n < most; n += (int64_t)capacity) {
		struct chunk *c = chunk_new(space, capacity);
		if (!c) {
			fail(d->spool, SPOOL_NO_MEMORY);
			break; /* what there is is read: its end tells the owner */
		}
		list_push_back(&d->batch.list, &c->link);
	}
	d->state = DISK_READING;
	d->work.run = read_batch;
	worker_submit(space->worker, &d->work);
}

/* Keeps the disk at what is most wanted: first the reader, then room for the writer. */
static void drive(struct spool *s)
{
	struct disk *d = s->disk;
	if (!s->on_disk || d->state != DISK_IDLE || s->error)
		return;
	bool spares = is_short(s->space, 0);
	bool reader_waits = s->head.bytes < (spares ? SHORT_BATCH_BYTES : CHUNK_BYTES);
	bool writer_waits = d->tail.bytes >= (spares ? SHORT_BATCH_BYTES : BATCH_BYTES);
	if (reader_waits && d->file_start < d->file_end) {
		start_reading(d);
	} else if (reader_waits && !(spares && writer_waits)) {
		/* The reader has caught up: what is left is in memory, and the file is done with
		 * until memory runs over again. */
		move_tail(d, &s->head);
		s->on_disk = false;
	} else if (writer_waits) {
		start_writing(d);
	}
}

/* --- the interface --- */

struct spool *spool_new(struct spool_space *space, struct spool_limits limits, spool_fn *fn,
			void *owner)
{
	struct spool *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	assert(owner);
	s->space = space;
	s->limits = limits;
	s->fn = fn;
	s->owner = owner;
	chunks_init(&s->head);
	return s;
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	s->owner = NULL;
	if (!s->disk || s->disk->state == DISK_IDLE) {
		destroy(s);
		return;
	}
	move_tail(s->disk, &s->head); /* the batch alone is the disk's */
	chunks_clear(s->space, &s->head);
}

int64_t spool_length(const struct spool *s)
{
	const struct disk *d = s->disk;
	int64_t length = (int64_t)s->head.bytes;
	if (d)
		length += (int64_t)d->tail.bytes + d->file_end - d->file_start;
	if (d && d->state == DISK_WRITING)
		length += (int64_t)d->batch.bytes;
	return length;
}

bool spool_is_on_disk(const struct spool *s)
{
	return s->on_disk;
}

enum spool_error spool_error(const struct spool *s)
{
	return s->error;
}

const char *spool_error_text(enum spool_error error)
{
	static const char *const texts[] = {
		[SPOOL_OK] = "no error",
		[SPOOL_FULL] = "over its size limit",
		[SPOOL_DISK] = "the disk refused (is it full?)",
		[SPOOL_NO_MEMORY] = "out of memory",
		[SPOOL_NO_BUDGET] = "limits.memory is used up",
	};
	return texts[error];
}

/* What its file held was read: it is written anew from its start. */
static bool turn_to_disk(struct spool *s)
{
	if (!s->disk)
		s->disk = disk_new(s);
	if (!s->disk)
		return false;
	s->on_disk = true;
	s->space->disk_bytes -= s->disk->file_end;
	s->disk->file_start = s->disk->file_end = 0;
	return true;
}

enum spool_error spool_write(struct spool *s, const void *bytes, size_t len)
{
	struct spool_space *space = s->space;
	if (s->error)
		return s->error;
	if (spool_length(s) + (int64_t)len > s->limits.max_bytes) {
		fail(s, SPOOL_FULL);
		return s->error;
	}
	if (budget_is_spent(space->budget)) {
		fail(s, SPOOL_NO_BUDGET);
		return s->error;
	}
	bool over = is_short(space, (int64_t)len) ||
		    (int64_t)(s->head.bytes + len) > s->limits.memory_bytes;
	if (over && !s->on_disk && !turn_to_disk(s)) {
		fail(s, SPOOL_NO_MEMORY);
		return s->error;
	}
	/* What the others have on their way there will be in its place. */
	if (s->on_disk &&
	    space->disk_bytes + space->waiting_bytes + (int64_t)len > space->disk_limit_bytes) {
		fail(s, SPOOL_FULL);
		return s->error;
	}
	struct chunks *to = s->on_disk ? &s->disk->tail : &s->head;
	size_t before = to->bytes;
	if (!chunks_add(space, to, bytes, len, s->limits.max_bytes - spool_length(s)))
		fail(s, SPOOL_NO_MEMORY);
	if (s->on_disk)
		space->waiting_bytes += (int64_t)(to->bytes - before);
	drive(s);
	return s->error;
}

int spool_peek(struct spool *s, struct iovec *iov, int max)
{
	int n = 0;
	if (!s->head.bytes)
		drive(s);
	LIST_EACH(c, &s->head.list, struct chunk, link) {
		if (n == max)
			break;
		iov[n++] = (struct iovec){c->bytes + c->start, c->end - c->start};
	}
	return n;
}

void spool_consume(struct spool *s, size_t len)
{
	assert(len <= s->head.bytes);
	s->head.bytes -= len;
	LIST_EACH(c, &s->head.list, struct chunk, link) {
		size_t have = c->end - c->start;
		size_t n = len < have ? len : have;
		c->start += n;
		len -= n;
		if (c->start == c->end)
			chunk_free(s->space, c);
		if (!len)
			break;
	}
	drive(s);
}
