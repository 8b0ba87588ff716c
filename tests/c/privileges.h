/*
 * Mounts and other users, for child processes of a test: their changes end with them.
 */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

#ifndef _GNU_SOURCE
#error "_GNU_SOURCE is to be defined before anything is included"
#endif

#include "process.h"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>

/* A child's exit status if the machine does not allow what it has to test. */
enum { CHILD_SKIPPED = 77 };

static inline void write_text(const char *path, const char *text)
{
    int file = open(path, O_WRONLY);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text) && close(file) == 0);
}

/* Gives this child its own mounts: as root, or as the root of a user namespace. Ends the child if neither is allowed. */
static inline void own_mounts(void)
{
    char map[50];
    bool root = geteuid() == 0;
    snprintf(map, sizeof map, "0 %d 1", (int)geteuid());
    if (unshare(root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0)
        _exit(CHILD_SKIPPED);
    if (!root)
        write_text("/proc/self/uid_map", map);
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(CHILD_SKIPPED);
}

/* Makes this child a user with one more group. Ends the child if that is not allowed. */
static inline void become(uid_t user, gid_t group)
{
    if (geteuid() != 0 || setgroups(1, &group) != 0 || setgid(user) != 0 || setuid(user) != 0)
        _exit(CHILD_SKIPPED);
}

/* Runs the body in a child, and skips the test if the child was not allowed to do it. */
static inline void child_run_if_allowed(void (*body)(void *), void *context)
{
    int status = child_status(child_start(body, context));
    if (status == CHILD_SKIPPED)
        check_skip("this needs root, or user namespaces");
    else
        CHECK(status == 0);
}

#endif
