/* From root to an ordinary user. */
#include "gateway/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

struct identity {
	const char *name; /* NULL: not in the user database */
	uid_t uid;
	gid_t gid;
};

static bool parse_number(const char *text, unsigned *number)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	*number = (unsigned)n;
	return *text >= '0' && *text <= '9' && !*end && !errno && n < UINT32_MAX;
}

static bool find_user(const char *text, bool has_group, struct identity *who)
{
	unsigned number;
	bool is_number = parse_number(text, &number);
	const struct passwd *p = is_number ? getpwuid(number) : getpwnam(text);
	if (p) {
		*who = (struct identity){p->pw_name, p->pw_uid, p->pw_gid};
		return true;
	}
	who->uid = number;
	if (!is_number)
		log_error("user: there is no user \"%s\" here", text);
	else if (!has_group)
		log_error("user: %s is not in the user database: name its \"group\" too", text);
	return is_number && has_group;
}

static bool find_group(const char *text, gid_t *gid)
{
	unsigned number;
	if (parse_number(text, &number)) {
		*gid = number;
		return true;
	}
	const struct group *g = getgrnam(text);
	if (!g) {
		log_error("group: there is no group \"%s\" here", text);
		return false;
	}
	*gid = g->gr_gid;
	return true;
}

static bool failed(const char *what)
{
	log_error("user: %s: %s", what, strerror(errno));
	return false;
}

/* With the user's other groups: those of a GPU's devices may be among them. */
static bool become(const struct identity *who)
{
	int groups = who->name ? initgroups(who->name, who->gid) : setgroups(1, &who->gid);
	if (groups != 0)
		return failed("cannot set its groups");
	if (setresgid(who->gid, who->gid, who->gid) != 0)
		return failed("cannot set its group");
	if (setresuid(who->uid, who->uid, who->uid) != 0)
		return failed("cannot become it");
	uid_t real, effective, saved;
	if (getresuid(&real, &effective, &saved) != 0 || real != who->uid ||
	    effective != who->uid || saved != who->uid || (who->uid && setuid(0) == 0)) {
		log_error("user: the process could become root again: it does not go on so");
		return false;
	}
	return true;
}

/* What will have to be written later: better to hear of it now. */
static bool can_work(const struct config *c)
{
	if (access(c->spool_directory, W_OK | X_OK) == 0)
		return true;
	log_error("spoolDirectory: the user %s cannot write to %s: %s", c->user ? c->user : "",
		  c->spool_directory, strerror(errno));
	return false;
}

bool privileges_drop(const struct config *c)
{
	struct identity who = {NULL, getuid(), getgid()};
	if (!c->user && !c->group)
		return true;
	if (c->user && !find_user(c->user, c->group != NULL, &who))
		return false;
	if (c->group && !find_group(c->group, &who.gid))
		return false;
	bool is_it = getuid() == who.uid && geteuid() == who.uid && getegid() == who.gid;
	if (!is_it && geteuid() != 0) {
		log_error("user: only root can become %s: start slotgate as root, or as that user",
			  c->user ? c->user : c->group);
		return false;
	}
	if (!is_it && !become(&who))
		return false;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return failed("cannot renounce new privileges");
	if (!is_it)
		log_info("running as user %u, group %u", who.uid, who.gid);
	return can_work(c);
}
