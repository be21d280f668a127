/* The terminal that a command writes to. */
#include "gateway/command/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_ELSEWHERE = 100 };

struct frame_look terminal_look(void)
{
	const char *plain = getenv("NO_COLOR");
	struct winsize size = {0};
	struct frame_look look = {.columns = COLUMNS_ELSEWHERE};
	bool is_terminal = isatty(STDOUT_FILENO);
	if (is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col) {
		look.columns = size.ws_col;
		look.lines = size.ws_row;
	}
	look.colour = is_terminal && !(plain && *plain);
	return look;
}

void terminal_write(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, bytes, len);
		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}
