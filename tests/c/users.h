/*
 * Users: the owner of the database, and a user of the owner's group who may only read it.
 */
#ifndef USERS_H
#define USERS_H

#include "privileges.h"

enum { OWNER = 12001, READER = 12002, GROUP = 12000 };

static inline bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static inline uid_t owner_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_uid : (uid_t)-1;
}

static inline void check_holds(struct kv kv, const char *key, const char *value)
{
    kv_check_value(kv.ns, TEXT(key), TEXT(value), __FILE__, __LINE__);
}

/* Two processes that take turns: each tells the other to continue, and waits until it is told. */
struct turns {
    int told[2][2];
};

static inline void turns_make(struct turns *turns)
{
    CHECK(pipe(turns->told[0]) == 0 && pipe(turns->told[1]) == 0);
}

static inline void turns_tell(struct turns *turns, bool child)
{
    CHECK(write(turns->told[child][1], "", 1) == 1);
}

/* (If the other process has ended, the alarm of the test ends this one.) */
static inline void turns_wait(struct turns *turns, bool child)
{
    char byte;
    CHECK(read(turns->told[!child][0], &byte, 1) == 1);
}

static inline void owner_puts(void *value)
{
    become(OWNER, GROUP);
    struct kv kv = kv_open(scratch("shared/kv.db"));
    CHECK_STATUS(kv_put(kv.ns, "key", value, &error), LUAT_KV_OK);
    kv_close(kv);
}

/* Creates the database in a folder whose group is inherited by new files. Returns false if that is not possible. */
static inline bool make_shared_database(void)
{
    CHECK(chmod(check_root, 0755) == 0 && chmod(scratch(""), 0755) == 0);
    mkdir(scratch("shared"), 0700);
    if (geteuid() != 0 || chown(scratch("shared"), OWNER, GROUP) != 0) {
        check_skip("this needs root");
        return false;
    }
    CHECK(chmod(scratch("shared"), 02770) == 0);
    child_run(owner_puts, "1");
    CHECK(chmod(scratch("shared/kv.db"), 0640) == 0);
    return true;
}

#endif
