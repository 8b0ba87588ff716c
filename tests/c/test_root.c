/*
 * What root creates for other users, and a process that drops its rights or changes its root folder while a store is
 * open.
 */
#define _GNU_SOURCE /* chroot, setgroups, clock.h */
#include "clock.h"
#include "shared.h"

#include <grp.h>

enum { USER = 12345, GROUP = 23456 };

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    check_skipped = "it takes root";
    return false;
}

/* Makes a folder of that user's in the test's folder, with a way to it. */
static const char *folder_of_user(const char *name)
{
    char *path = scratch(name);
    CHECK(chmod(check_root, 0711) == 0 && chmod(scratch(""), 0711) == 0);
    CHECK(mkdir(path, 0700) == 0 && chown(path, USER, GROUP) == 0);
    return path;
}

static void become_user(void)
{
    CHECK(setgroups(0, NULL) == 0 && setgid(GROUP) == 0 && setuid(USER) == 0);
}

static bool is_users(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 && found.st_uid == USER && found.st_gid == GROUP;
}

/* ---- What root makes */

static void use_as_user(void *path)
{
    become_user();
    struct kv kv = kv_open(path);
    CHECK_VALUE(kv.ns, "by", "root");
    CHECK_PUT(kv.ns, "by", "user");
    kv_close(kv);
}

static void a_new_file_belongs_to_whom_its_folder_belongs_to(void)
{
    if (!is_root())
        return;
    folder_of_user("home");
    struct kv kv = kv_open(scratch("home/a/b/kv.db"));
    CHECK_PUT(kv.ns, "by", "root");
    CHECK(is_users(scratch("home/a")) && is_users(scratch("home/a/b")) && is_users(scratch("home/a/b/kv.db")));
    CHECK(is_users(scratch("home/a/b/kv.db-wal")) && is_users(scratch("home/a/b/kv.db-shm")));
    child_run(use_as_user, scratch("home/a/b/kv.db"));
    CHECK_VALUE(kv.ns, "by", "user");
    kv_close(kv);
}

static void what_was_there_keeps_its_owner(void)
{
    struct stat found;
    if (!is_root())
        return;
    folder_of_user("home");
    CHECK(mkdir(scratch("home/roots"), 0700) == 0);
    FILE *file = fopen(scratch("home/empty.db"), "wb");
    CHECK(file && fclose(file) == 0);
    kv_close(kv_open(scratch("home/empty.db")));
    CHECK(stat(scratch("home/empty.db"), &found) == 0 && found.st_uid == 0);
    kv_close(kv_open(scratch("home/roots/new/kv.db")));
    CHECK(stat(scratch("home/roots"), &found) == 0 && found.st_uid == 0);
    CHECK(stat(scratch("home/roots/new"), &found) == 0 && found.st_uid == 0);
    CHECK(stat(scratch("home/roots/new/kv.db"), &found) == 0 && found.st_uid == 0);

    /* A link leads to another folder, and what is made there is that folder's owner's. */
    CHECK(symlink(scratch("home/roots/linked.db"), scratch("home/link.db")) == 0);
    kv_close(kv_open(scratch("home/link.db")));
    CHECK(stat(scratch("home/roots/linked.db"), &found) == 0 && found.st_uid == 0);
    CHECK(lstat(scratch("home/link.db"), &found) == 0 && found.st_uid == 0);
}

/* ---- A process that cannot reach its file by the path any more */

enum { FORKS = 20 };

static void use_in_child(void *may_open)
{
    if (*(int *)may_open) {
        CHECK_VALUE(shared.ns, "key", "value");
        CHECK_PUT(shared.ns, "child", "value");
        return;
    }
    CHECK_REFUSED(kv_put(shared.ns, "child", "value", &error), LUAT_KV_IO, "again after a fork");
    CHECK_REFUSED(kv_put(shared.ns, "child", "value", &error), LUAT_KV_IO, "the path and the rights");
    kv_close(shared);
}

/* The parent works on, with as many children as it likes. */
static void fork_and_use(int children_may_open)
{
    for (int round = 0; round < FORKS && !check_failures; round++) {
        child_run(use_in_child, &children_may_open);
        CHECK_VALUE(shared.ns, "key", "value");
        CHECK_STATUS(kv_put_number(shared.ns, "parent", round, &error), LUAT_KV_OK);
        if (round == 0)
            clock_advance(2); /* what is looked at once a second is looked at */
    }
    kv_check_numbers(shared.ns, "parent", FORKS);
    CHECK_STATUS(luat_kv_checkpoint(shared.store, NULL, &error), LUAT_KV_OK);
    kv_close(shared);
}

static void drop_rights(void *unused)
{
    (void)unused;
    CHECK(mkdir(scratch("roots"), 0700) == 0);
    snprintf(database, sizeof database, "%s", scratch("roots/kv.db"));
    shared = kv_open(database);
    CHECK_PUT(shared.ns, "key", "value");
    become_user();
    fork_and_use(false);
}

static void drop_rights_within_the_folder(void *unused)
{
    (void)unused;
    folder_of_user("home");
    snprintf(database, sizeof database, "%s", scratch("home/kv.db"));
    shared = kv_open(database);
    CHECK_PUT(shared.ns, "key", "value");
    become_user();
    fork_and_use(true);
}

static void change_root(void *unused)
{
    (void)unused;
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    CHECK(mkdir(scratch("jail"), 0700) == 0 && chroot(scratch("jail")) == 0 && chdir("/") == 0);
    fork_and_use(false);
}

static void check_after(const char *path)
{
    struct kv kv = kv_open(path);
    kv_check_numbers(kv.ns, "parent", FORKS);
    kv_close(kv);
    CHECK_INTEGRITY(path);
}

static void a_parent_that_dropped_its_rights_keeps_its_store(void)
{
    if (!is_root())
        return;
    CHECK(chmod(check_root, 0711) == 0 && chmod(scratch(""), 0711) == 0);
    child_run(drop_rights, NULL);
    check_after(scratch("roots/kv.db"));
}

static void a_server_drops_its_rights_and_its_children_go_on(void)
{
    if (!is_root())
        return;
    child_run(drop_rights_within_the_folder, NULL);
    check_after(scratch("home/kv.db"));
}

static void a_parent_that_changed_its_root_keeps_its_store(void)
{
    if (!is_root())
        return;
    child_run(change_root, NULL);
    check_after(scratch("kv.db"));
}

static void open_the_path_within_another_root(void *unused)
{
    (void)unused;
    open_shared();
    CHECK_PUT(shared.ns, "key", "outside");
    CHECK(mkdir(scratch("jail"), 0700) == 0 && chroot(scratch("jail")) == 0 && chdir("/") == 0);
    struct kv first = kv_open(database);
    CHECK_MISSING(first.ns, "key");
    CHECK_PUT(first.ns, "key", "inside");
    struct kv second = kv_open(database);
    CHECK_VALUE(second.ns, "key", "inside");
    CHECK_VALUE(shared.ns, "key", "outside");
    kv_close(second);
    kv_close(first);
    CHECK_PUT(shared.ns, "key", "still outside");
    kv_close(shared);
}

static void a_path_in_another_root_is_another_file_s(void)
{
    if (!is_root())
        return;
    child_run(open_the_path_within_another_root, NULL);
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_VALUE(kv.ns, "key", "still outside");
    kv_close(kv);
    CHECK_INTEGRITY(scratch("kv.db"));
}

/* As a server does that takes the rights of a client for a request, and opens a path that the client names. */
static void open_as_another_user(void *unused)
{
    (void)unused;
    luat_kv_store *store;
    open_shared();
    CHECK_PUT(shared.ns, "key", "root's");
    CHECK(chmod(database, 0600) == 0 && seteuid(USER) == 0);
    CHECK_REFUSED(luat_kv_open(database, NULL, &store, &error), LUAT_KV_IO, "may not read");
    CHECK(seteuid(0) == 0 && chmod(database, 0644) == 0);
    CHECK(chmod(scratch("kv.db-wal"), 0644) == 0 && chmod(scratch("kv.db-shm"), 0644) == 0 && seteuid(USER) == 0);
    struct kv kv = kv_open(database);
    CHECK_VALUE(kv.ns, "key", "root's");
    CHECK_REFUSED(kv_put(kv.ns, "key", "user's", &error), LUAT_KV_READONLY, "may not write");
    kv_close(kv);
    CHECK_VALUE(shared.ns, "key", "root's");
    kv_close(shared);
}

static void a_store_has_the_rights_of_the_user_who_opens_it(void)
{
    if (!is_root())
        return;
    CHECK(chmod(check_root, 0711) == 0 && chmod(scratch(""), 0711) == 0);
    child_run(open_as_another_user, NULL);
}

static const struct check_test tests[] = {
    TEST(a_new_file_belongs_to_whom_its_folder_belongs_to),
    TEST(what_was_there_keeps_its_owner),
    TEST(a_parent_that_dropped_its_rights_keeps_its_store),
    TEST(a_server_drops_its_rights_and_its_children_go_on),
    TEST(a_parent_that_changed_its_root_keeps_its_store),
    TEST(a_path_in_another_root_is_another_file_s),
    TEST(a_store_has_the_rights_of_the_user_who_opens_it),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
