/* audit: counts what the pod works on, so that a test can catch a gateway that overbooks it. */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"

void audit_init(struct audit *a, const char *file)
{
	memset(a, 0, sizeof(*a));
	pthread_mutex_init(&a->mutex, NULL);
	pthread_mutex_init(&a->file_mutex, NULL);
	a->file = file;
}

void audit_ready(struct audit *a)
{
	pthread_mutex_lock(&a->mutex);
	a->ready_us = clock_mono_us();
	a->ready_wall_us = clock_wall_us();
	pthread_mutex_unlock(&a->mutex);
}

static void increment(struct audit *a, uint64_t *counter)
{
	pthread_mutex_lock(&a->mutex);
	++*counter;
	pthread_mutex_unlock(&a->mutex);
}

void audit_connection(struct audit *a)
{
	increment(a, &a->connections);
}

void audit_other_request(struct audit *a)
{
	increment(a, &a->other_requests);
}

/* The job's place in the ring, or NULL when a newer one or a reset has taken it. */
static struct audit_record *record_of(struct audit *a, const struct audit_job *job)
{
	struct audit_record *record = &a->records[job->number % AUDIT_RECORDS];

	return record->number == job->number ? record : NULL;
}

static void raise_to(uint64_t *highest, uint64_t now)
{
	if (*highest < now)
		*highest = now;
}

void audit_arrived(struct audit *a, struct audit_job *job, const char *id, const char *path)
{
	struct audit_record *record;

	pthread_mutex_lock(&a->mutex);
	*job = (struct audit_job){.number = ++a->last_number, .state = AUDIT_ARRIVED};
	record = &a->records[job->number % AUDIT_RECORDS];
	*record = (struct audit_record){.number = job->number, .arrived_us = clock_mono_us()};
	snprintf(record->id, sizeof(record->id), "%s", id ? id : "");
	snprintf(record->path, sizeof(record->path), "%s", path);
	if (!a->first_request_us) {
		a->first_request_us = record->arrived_us;
		a->first_request_wall_us = clock_wall_us();
	}
	a->arrived++;
	a->waiting++;
	raise_to(&a->highest_simultaneous, a->waiting + a->working);
	pthread_mutex_unlock(&a->mutex);
}

void audit_started(struct audit *a, struct audit_job *job, bool holds)
{
	struct audit_record *record;

	pthread_mutex_lock(&a->mutex);
	job->state = AUDIT_STARTED;
	job->holding = holds;
	a->waiting--;
	a->working++;
	a->started++;
	a->holding += holds;
	raise_to(&a->highest_holding, a->holding);
	record = record_of(a, job);
	if (record)
		record->started_us = clock_mono_us();
	pthread_mutex_unlock(&a->mutex);
}

void audit_computed(struct audit *a, struct audit_job *job, bool interrupted)
{
	struct audit_record *record;

	pthread_mutex_lock(&a->mutex);
	a->holding -= job->holding;
	job->holding = false;
	a->interrupted += interrupted;
	record = record_of(a, job);
	if (record)
		record->interrupted = interrupted;
	pthread_mutex_unlock(&a->mutex);
}

void audit_ended(struct audit *a, struct audit_job *job, enum audit_outcome outcome)
{
	struct audit_record *record;

	if (job->state == AUDIT_ENDED)
		return;
	pthread_mutex_lock(&a->mutex);
	a->working -= job->state == AUDIT_STARTED;
	a->waiting -= job->state == AUDIT_ARRIVED;
	job->state = AUDIT_ENDED;
	job->outcome = outcome;
	a->ended[outcome]++;
	record = record_of(a, job);
	if (record) {
		record->ended_us = clock_mono_us();
		record->outcome = outcome;
	}
	pthread_mutex_unlock(&a->mutex);
	audit_write_file(a);
}

void audit_amend_aborted(struct audit *a, struct audit_job *job)
{
	struct audit_record *record;

	if (job->outcome != AUDIT_SERVED)
		return;
	pthread_mutex_lock(&a->mutex);
	job->outcome = AUDIT_ABORTED;
	record = record_of(a, job);
	/* Without its record it was served before a reset, and is not in the counts any more. */
	if (record) {
		record->outcome = AUDIT_ABORTED;
		a->ended[AUDIT_SERVED]--;
		a->ended[AUDIT_ABORTED]++;
	}
	pthread_mutex_unlock(&a->mutex);
	audit_write_file(a);
}

uint64_t audit_served(struct audit *a)
{
	uint64_t served;

	pthread_mutex_lock(&a->mutex);
	served = a->ended[AUDIT_SERVED];
	pthread_mutex_unlock(&a->mutex);
	return served;
}

void audit_reset(struct audit *a)
{
	pthread_mutex_lock(&a->mutex);
	a->arrived = a->started = a->interrupted = 0;
	memset(a->ended, 0, sizeof(a->ended));
	a->connections = a->other_requests = 0;
	a->first_request_us = a->first_request_wall_us = 0;
	a->highest_simultaneous = a->working + a->waiting;
	a->highest_holding = a->holding;
	memset(a->records, 0, sizeof(a->records));
	pthread_mutex_unlock(&a->mutex);
	audit_write_file(a);
}

static void add_number(struct buf *out, const char *key, uint64_t n)
{
	buf_printf(out, "\"%s\":%" PRIu64 ",", key, n);
}

/* A time that has not come is null, never 0. */
static void add_time(struct buf *out, const char *key, uint64_t us)
{
	if (us)
		add_number(out, key, us);
	else
		buf_printf(out, "\"%s\":null,", key);
}

static void add_record(struct buf *out, const struct audit_record *record)
{
	buf_puts(out, "{\"id\":");
	if (record->id[0])
		json_quote(out, record->id, strlen(record->id));
	else
		buf_puts(out, "null");
	buf_puts(out, ",\"path\":");
	json_quote(out, record->path, strlen(record->path));
	buf_puts(out, ",");
	add_time(out, "arrivedMicros", record->arrived_us);
	add_time(out, "startMicros", record->started_us);
	add_time(out, "endMicros", record->ended_us);
	buf_printf(out, "\"interrupted\":%s,\"aborted\":%s}",
		   record->interrupted ? "true" : "false",
		   record->outcome == AUDIT_ABORTED ? "true" : "false");
}

void audit_json(struct audit *a, struct buf *out)
{
	bool first = true;

	pthread_mutex_lock(&a->mutex);
	buf_puts(out, "{");
	add_number(out, "pid", (uint64_t)getpid());
	add_number(out, "arrived", a->arrived);
	add_number(out, "started", a->started);
	add_number(out, "served", a->ended[AUDIT_SERVED]);
	add_number(out, "aborted", a->ended[AUDIT_ABORTED]);
	add_number(out, "broken", a->ended[AUDIT_BROKEN]);
	add_number(out, "interrupted", a->interrupted);
	add_number(out, "working", a->working);
	add_number(out, "waiting", a->waiting);
	add_number(out, "holding", a->holding);
	add_number(out, "highestSimultaneous", a->highest_simultaneous);
	add_number(out, "highestHolding", a->highest_holding);
	add_number(out, "connections", a->connections);
	add_number(out, "otherRequests", a->other_requests);
	add_time(out, "firstRequestMicros", a->first_request_us);
	add_time(out, "firstRequestWallMicros", a->first_request_wall_us);
	add_time(out, "readyMicros", a->ready_us);
	add_time(out, "readyWallMicros", a->ready_wall_us);
	buf_puts(out, "\"requests\":[");
	for (uint64_t i = 1; i <= AUDIT_RECORDS; i++) { /* the oldest first */
		const struct audit_record *record =
			&a->records[(a->last_number + i) % AUDIT_RECORDS];

		if (!record->number)
			continue;
		if (!first)
			buf_puts(out, ",");
		first = false;
		add_record(out, record);
	}
	buf_puts(out, "]}\n");
	pthread_mutex_unlock(&a->mutex);
}

void audit_write_file(struct audit *a)
{
	struct buf text, temporary;
	FILE *file;
	bool ok;

	if (!a->file)
		return;
	buf_init(&text);
	buf_init(&temporary);
	pthread_mutex_lock(&a->file_mutex);
	audit_json(a, &text);
	buf_printf(&temporary, "%s.%ld.tmp", a->file, (long)getpid());
	file = fopen(temporary.data, "w");
	ok = file && fwrite(text.data, 1, text.len, file) == text.len;
	if (file && fclose(file) != 0)
		ok = false;
	if (!ok || rename(temporary.data, a->file) != 0)
		perror("demo-pod: --audit-file");
	pthread_mutex_unlock(&a->file_mutex);
	buf_release(&text);
	buf_release(&temporary);
}
