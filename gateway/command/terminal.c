/* The terminal that a command writes to. */
#include "gateway/command/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_ELSEWHERE = 100 };

bool terminal_obeys(void)
{
	const char *kind = getenv("TERM");
	return isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

struct frame_look terminal_look(void)
{
	const char *plain = getenv("NO_COLOR");
	struct winsize size = {0};
	struct frame_look look = {.columns = COLUMNS_ELSEWHERE};
	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col) {
		look.columns = size.ws_col;
		look.lines = size.ws_row;
	}
	look.colour = terminal_obeys() && !(plain && *plain);
	return look;
}

bool terminal_write(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fprintf(stderr, "slotgate: standard output: %s\n", strerror(errno));
			return false;
		}
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}
