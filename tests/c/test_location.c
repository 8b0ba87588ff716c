/*
 * Where a database may lie: mounts of the file alone, folders that may not be written, other users.
 */
#define _GNU_SOURCE
#include "privileges.h"

static luat_kv_status try_open(const char *path, uint32_t flags, luat_kv_error **error)
{
    luat_kv_open_options options;
    luat_kv_store *store = GARBAGE;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = flags;
    luat_kv_status status = luat_kv_open(path, &options, &store, error);
    CHECK((store == NULL) == (status != LUAT_KV_OK));
    luat_kv_close(store);
    return status;
}

static void put_and_close(const char *path, const char *key)
{
    struct kv kv = kv_open(path);
    CHECK_STATUS(kv_put(kv.ns, key, "value", &error), LUAT_KV_OK);
    kv_close(kv);
}

/* ---- Mounts. `mount` of one file puts it into a folder where its log is another. */

static void mounts_of_a_file(void *context)
{
    (void)context;
    luat_kv_store *store = GARBAGE;
    own_mounts();
    CHECK(mount(scratch("host/kv.db"), scratch("guest/.luat/data/kv.db"), NULL, MS_BIND, NULL) == 0);
    CHECK_REFUSED(try_open(scratch("guest/.luat/data/kv.db"), 0, &error), LUAT_KV_IO, "mount the folder");
    CHECK_REFUSED(try_open(scratch("guest/.luat/data/kv.db"), LUAT_KV_OPEN_READONLY, &error), LUAT_KV_IO, "mounted");
    CHECK_REFUSED(try_open(scratch("guest/link.db"), 0, &error), LUAT_KV_IO, "mount the folder");
    CHECK_REFUSED(luat_kv_open_project(scratch("guest"), NULL, &store, &error), LUAT_KV_IO, "mount the folder");
    CHECK(store == NULL);
    CHECK(umount(scratch("guest/.luat/data/kv.db")) == 0);

    CHECK(mount(scratch("host/kv.db"), scratch("host/kv.db"), NULL, MS_BIND, NULL) == 0); /* over itself */
    CHECK_REFUSED(try_open(scratch("host/kv.db"), 0, &error), LUAT_KV_IO, "mount the folder");
    CHECK(umount(scratch("host/kv.db")) == 0);

    CHECK(mount(scratch("elsewhere"), scratch("host/kv.db-wal"), NULL, MS_BIND, NULL) == 0);
    CHECK_REFUSED(try_open(scratch("host/kv.db"), 0, &error), LUAT_KV_IO, "kv.db-wal is mounted by itself");
}

static void a_file_that_is_mounted_alone_is_refused(void)
{
    mkdir(scratch("host"), 0700), mkdir(scratch("guest"), 0700);
    mkdir(scratch("guest/.luat"), 0700), mkdir(scratch("guest/.luat/data"), 0700);
    put_and_close(scratch("host/kv.db"), "key");
    close(creat(scratch("guest/.luat/data/kv.db"), 0600));
    close(creat(scratch("host/kv.db-wal"), 0600));
    close(creat(scratch("elsewhere"), 0600));
    CHECK(symlink(".luat/data/kv.db", scratch("guest/link.db")) == 0);
    child_run_if_allowed(mounts_of_a_file, NULL);
}

static void mount_of_the_folder(void *context)
{
    (void)context;
    own_mounts();
    CHECK(mount(scratch("host"), scratch("guest"), NULL, MS_BIND, NULL) == 0);
    struct kv kv = kv_open(scratch("guest/kv.db"));
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_PUT(kv.ns, "more", "value");
    kv_close(kv);
}

static void a_folder_that_is_mounted_is_fine(void)
{
    mkdir(scratch("host"), 0700), mkdir(scratch("guest"), 0700);
    put_and_close(scratch("host/kv.db"), "key");
    child_run_if_allowed(mount_of_the_folder, NULL);
    struct kv kv = kv_open(scratch("host/kv.db"));
    if (!check_skipped)
        CHECK_VALUE(kv.ns, "more", "value");
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(a_file_that_is_mounted_alone_is_refused),
    TEST(a_folder_that_is_mounted_is_fine),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
