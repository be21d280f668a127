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
	TIGHT_BATCH_BYTES = 16 << 10, /* written, when memory is short */
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

struct spool {
	struct spool_space *space;
	struct spool_limits limits;
	spool_fn *fn;
	void *owner; /* NULL once freed by the owner: the disk's last job frees it */
	enum spool_error error;

	struct chunks head, tail; /* tail is used only while `on_disk` */
	bool on_disk;
	int fd;
	int64_t file_start, file_end; /* what of the file is unread */

	enum disk_state disk;
	struct work work;
	struct chunks batch; /* what the disk's thread works on */
	int disk_errno;
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
	return most < (int64_t)capacity ? round_up((size_t)most) : capacity;
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
	struct spool *s = LIST_OWNER(work, struct spool, work);
	s->disk_errno = 0;
	if (s->fd < 0 && (s->fd = open_unlinked(s->space->directory)) < 0) {
		s->disk_errno = errno;
		return;
	}
	int64_t at = s->file_end;
	LIST_EACH(c, &s->batch.list, struct chunk, link) {
		while (c->start < c->end) {
			ssize_t n = pwrite(s->fd, c->bytes + c->start, c->end - c->start, at);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0) {
				s->disk_errno = n < 0 ? errno : ENOSPC;
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
	struct spool *s = LIST_OWNER(work, struct spool, work);
	int64_t at = s->file_start;
	s->disk_errno = 0;
	LIST_EACH(c, &s->batch.list, struct chunk, link) {
		while (c->end < c->capacity && at < s->file_end) {
			size_t want = c->capacity - c->end;
			if ((int64_t)want > s->file_end - at)
				want = (size_t)(s->file_end - at);
			ssize_t n = pread(s->fd, c->bytes + c->end, want, at);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0) {
				s->disk_errno = n < 0 ? errno : EIO;
				return;
			}
			c->end += (size_t)n;
			at += n;
		}
	}
}

/* All of what waits in memory for the disk goes elsewhere. */
static void move_tail(struct spool *s, struct chunks *to)
{
	s->space->waiting_bytes -= (int64_t)s->tail.bytes;
	chunks_move(to, &s->tail);
}

static void destroy(struct spool *s)
{
	move_tail(s, &s->head);
	chunks_clear(s->space, &s->head);
	chunks_clear(s->space, &s->batch);
	s->space->disk_bytes -= s->file_end;
	if (s->fd >= 0)
		close(s->fd);
	mem_free(s);
}

static void fail(struct spool *s, enum spool_error error)
{
	if (s->error == SPOOL_OK)
		s->error = error;
}

static void drive(struct spool *);

static void on_written(struct spool *s)
{
	s->file_end += (int64_t)s->batch.bytes;
	chunks_clear(s->space, &s->batch);
}

static void on_read(struct spool *s)
{
	s->batch.bytes = 0;
	LIST_EACH(c, &s->batch.list, struct chunk, link)
		s->batch.bytes += c->end;
	s->file_start += (int64_t)s->batch.bytes;
	chunks_move(&s->head, &s->batch);
}

static void on_disk_done(struct work *work)
{
	struct spool *s = LIST_OWNER(work, struct spool, work);
	enum disk_state was = s->disk;
	s->disk = DISK_IDLE;
	if (was == DISK_WRITING && (s->disk_errno || !s->owner))
		s->space->disk_bytes -= (int64_t)s->batch.bytes; /* they are not in the file */
	if (!s->owner) {
		destroy(s);
		return;
	}
	if (s->disk_errno)
		fail(s, SPOOL_DISK);
	else if (was == DISK_WRITING)
		on_written(s);
	else
		on_read(s);
	drive(s);
	if (was == DISK_READING || s->error || s->head.bytes)
		s->fn(s->owner);
}

static void start_writing(struct spool *s)
{
	move_tail(s, &s->batch);
	s->space->disk_bytes += (int64_t)s->batch.bytes;
	s->disk = DISK_WRITING;
	s->work.run = write_batch;
	worker_submit(s->space->worker, &s->work);
}

static void start_reading(struct spool *s)
{
	int64_t left = s->file_end - s->file_start;
	for (int64_t n = 0; n < left && n < BATCH_BYTES; n += CHUNK_BYTES) {
		struct chunk *c = chunk_new(s->space, CHUNK_BYTES);
		if (!c) {
			fail(s, SPOOL_NO_MEMORY);
			break; /* what there is is read: its end tells the owner */
		}
		list_push_back(&s->batch.list, &c->link);
	}
	s->disk = DISK_READING;
	s->work.run = read_batch;
	worker_submit(s->space->worker, &s->work);
}

static int least_batch(const struct spool *s)
{
	return budget_is_tight(s->space->budget) ? TIGHT_BATCH_BYTES : BATCH_BYTES;
}

/* Keeps the disk at what is most wanted: first the reader, then room for the writer. */
static void drive(struct spool *s)
{
	if (!s->on_disk || s->disk != DISK_IDLE || s->error)
		return;
	bool reader_waits = s->head.bytes < CHUNK_BYTES;
	if (reader_waits && s->file_start < s->file_end) {
		start_reading(s);
	} else if (reader_waits && s->file_start == s->file_end) {
		/* The reader has caught up: what is left is in memory, and the file is done with
		 * until memory runs over again. */
		move_tail(s, &s->head);
		s->on_disk = false;
	} else if (s->tail.bytes >= (size_t)least_batch(s)) {
		start_writing(s);
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
	s->fd = -1;
	s->work.done = on_disk_done;
	list_init(&s->work.link);
	chunks_init(&s->head);
	chunks_init(&s->tail);
	chunks_init(&s->batch);
	return s;
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	s->owner = NULL;
	if (s->disk == DISK_IDLE)
		destroy(s);
}

int64_t spool_length(const struct spool *s)
{
	int64_t pending = s->disk == DISK_WRITING ? (int64_t)s->batch.bytes : 0;
	return (int64_t)s->head.bytes + (int64_t)s->tail.bytes + pending + s->file_end -
	       s->file_start;
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
	bool over = budget_is_tight(space->budget) ||
		    (int64_t)(s->head.bytes + len) > s->limits.memory_bytes ||
		    space->memory_bytes + (int64_t)len > space->memory_limit_bytes;
	if (over && !s->on_disk) {
		s->on_disk = true;
		/* What the file held was read: write it anew from its start. */
		space->disk_bytes -= s->file_end;
		s->file_start = s->file_end = 0;
	}
	/* What the others have on their way there will be in its place. */
	if (s->on_disk &&
	    space->disk_bytes + space->waiting_bytes + (int64_t)len > space->disk_limit_bytes) {
		fail(s, SPOOL_FULL);
		return s->error;
	}
	size_t before = s->tail.bytes;
	if (!chunks_add(space, s->on_disk ? &s->tail : &s->head, bytes, len,
			s->limits.max_bytes - spool_length(s)))
		fail(s, SPOOL_NO_MEMORY);
	space->waiting_bytes += (int64_t)(s->tail.bytes - before);
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
