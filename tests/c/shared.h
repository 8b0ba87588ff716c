/*
 * A store in a file that a test shares with its children and threads.
 */
#ifndef SHARED_H
#define SHARED_H

#include "process.h"

#include <dirent.h>

static struct kv shared;
static char database[PATH_MAX];

static inline void open_shared(void)
{
    snprintf(database, sizeof database, "%s", scratch("kv.db"));
    shared = kv_open(database);
}

/* Closes it, and checks the file with another program. */
static inline void close_shared(void)
{
    kv_close(shared);
    CHECK_INTEGRITY(database);
}

/* How many of this process's descriptors are open for the database. */
static inline int descriptors_of_database(void)
{
    struct stat file, open;
    struct dirent *entry;
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder && stat(database, &file) == 0);
    while (folder && (entry = readdir(folder)))
        count += fstat(atoi(entry->d_name), &open) == 0 && open.st_dev == file.st_dev && open.st_ino == file.st_ino;
    if (folder)
        closedir(folder);
    return count;
}

static inline void do_nothing(void *unused)
{
    (void)unused;
}

#endif
