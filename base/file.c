/* Small files. */
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int file_read(const char *path, size_t max_bytes, struct str *text)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return errno;
	char chunk[8192];
	size_t n, total = 0;
	while (total <= max_bytes && (n = fread(chunk, 1, sizeof(chunk), file)) > 0) {
		total += n;
		if (total <= max_bytes)
			str_add(text, chunk, n);
	}
	int error = ferror(file) ? errno : total > max_bytes ? EFBIG : text->failed ? ENOMEM : 0;
	fclose(file);
	return error;
}

/* FNV-1a. */
static uint64_t stir(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * UINT64_C(1099511628211);
	return hash;
}

uint64_t file_stamp(const char *path)
{
	struct stat st;
	int64_t seen[5] = {0};
	if (stat(path, &st) == 0) {
		seen[0] = (int64_t)st.st_ino;
		seen[1] = (int64_t)st.st_dev;
		seen[2] = st.st_mtim.tv_sec;
		seen[3] = st.st_mtim.tv_nsec;
		seen[4] = (int64_t)st.st_size;
	}
	uint64_t hash = stir(UINT64_C(14695981039346656037), path, strlen(path));
	return stir(hash, seen, sizeof(seen));
}
