/*
 * Two copies of SQLite in one process would drop each other's locks on a file that both have open. This program has one
 * copy of the library, loads another, and checks that the second to open a file is refused.
 *
 * The other copy is made from LUAT_KV_SO, or else from target/lib/libluat_kv.so: a separate file, which the dynamic
 * linker cannot mistake for the one that is already loaded.
 */
#define _DEFAULT_SOURCE /* syscall */
#include "process.h"
#include "threads.h"

#include <dlfcn.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* The other copy's functions, as far as they are needed. */
static struct {
    luat_kv_status (*open)(const char *, const luat_kv_open_options *, luat_kv_store **, luat_kv_error **);
    void (*close)(luat_kv_store *);
    luat_kv_status (*namespace_open)(luat_kv_store *, const uint8_t *, size_t, luat_kv_namespace **, luat_kv_error **);
    void (*namespace_free)(luat_kv_namespace *);
    luat_kv_status (*put)(luat_kv_namespace *, const uint8_t *, size_t, const uint8_t *, size_t,
                          const luat_kv_put_options *, luat_kv_error **);
} other;

static void copy_file(const char *from, const char *to)
{
    static char buffer[1 << 16];
    size_t len;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    if (!in)
        perror(from);
    while (in && out && (len = fread(buffer, 1, sizeof buffer, in)) > 0)
        fwrite(buffer, 1, len, out);
    CHECK(in && fclose(in) == 0 && out && fclose(out) == 0);
}

/* dlsym() returns a data pointer. POSIX guarantees that it is as wide as a function pointer. */
static void find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found);
}

static void a_second_copy_is_loaded(void)
{
    const char *original = getenv("LUAT_KV_SO");
    copy_file(original ? original : "target/lib/libluat_kv.so", scratch("copy.so"));
    void *library = dlopen(scratch("copy.so"), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        check_fail(__FILE__, __LINE__, "%s", dlerror());
        return;
    }
    find(library, "luat_kv_open", &other.open);
    find(library, "luat_kv_close", &other.close);
    find(library, "luat_kv_namespace_open", &other.namespace_open);
    find(library, "luat_kv_namespace_free", &other.namespace_free);
    find(library, "luat_kv_put", &other.put);
    CHECK(other.open != luat_kv_open);
}

/* The errors of one copy are read by this one's functions: both were made from the same source. */
static struct kv other_open(const char *path)
{
    struct kv kv = { NULL, NULL };
    CHECK_STATUS(other.open(path, NULL, &kv.store, &error), LUAT_KV_OK);
    if (kv.store)
        CHECK_STATUS(other.namespace_open(kv.store, LUAT_KV_TEXT("test"), &kv.ns, &error), LUAT_KV_OK);
    return kv;
}

static void other_close(struct kv kv)
{
    other.namespace_free(kv.ns);
    other.close(kv.store);
}

#define CHECK_OTHER_PUT(ns, key, value) CHECK_STATUS(other.put(ns, LUAT_KV_TEXT(key), LUAT_KV_TEXT(value), NULL, \
    &error), LUAT_KV_OK)

/* Refused at once, without the busy timeout, and for the reason that the message gives. */
#define CHECK_SECOND(open, path) \
    do { \
        luat_kv_store *second = GARBAGE; \
        CHECK_REFUSED(open(path, NULL, &second, &error), LUAT_KV_BUSY, "in this process"); \
        CHECK(second == NULL); \
    } while (0)

/* ---- One file */

static void whoever_comes_second_is_refused(void)
{
    const char *path = scratch("kv.db");
    struct kv mine = kv_open(path);
    CHECK_PUT(mine.ns, "key", "mine");
    CHECK_SECOND(other.open, path);
    struct kv again = kv_open(path); /* the same copy may, any number of times */
    CHECK_VALUE(again.ns, "key", "mine");
    kv_close(mine);
    CHECK_SECOND(other.open, path);
    CHECK_VALUE(again.ns, "key", "mine");
    kv_close(again);

    struct kv theirs = other_open(path);
    CHECK_OTHER_PUT(theirs.ns, "key", "theirs");
    CHECK_SECOND(luat_kv_open, path);
    other_close(theirs);
    mine = kv_open(path);
    CHECK_VALUE(mine.ns, "key", "theirs");
    kv_close(mine);
    CHECK_INTEGRITY(path);
}

static void a_file_is_the_same_by_any_name(void)
{
    char here[PATH_MAX];
    struct kv mine = kv_open(scratch("kv.db"));
    CHECK(symlink("kv.db", scratch("symlink.db")) == 0 && link(scratch("kv.db"), scratch("link.db")) == 0);
    CHECK_SECOND(other.open, scratch("symlink.db"));
    CHECK_SECOND(other.open, scratch("link.db"));
    CHECK(getcwd(here, sizeof here) && chdir(scratch("")) == 0);
    CHECK_SECOND(other.open, "kv.db");
    CHECK(chdir(here) == 0);
    kv_close(mine);
}

static void readonly_is_no_way_round(void)
{
    luat_kv_open_options options;
    luat_kv_store *second = GARBAGE;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = LUAT_KV_OPEN_READONLY;
    struct kv mine = kv_open(scratch("kv.db"));
    CHECK_REFUSED(other.open(scratch("kv.db"), &options, &second, &error), LUAT_KV_BUSY, "in this process");
    CHECK(second == NULL);
    kv_close(mine);
}

/* The refused one has looked at the file; had it opened and closed it, the first one's locks would be gone now. */
static void being_refused_harms_nobody(void)
{
    const char *path = scratch("kv.db");
    struct kv mine = kv_open(path);
    kv_put_numbers(mine.ns, "before", 10);
    for (int round = 0; round < 10; round++)
        CHECK_SECOND(other.open, path);
    struct process churn = process_start_self("churn", path, "churn", "50");
    for (int number = 0; number < 200; number++)
        CHECK_STATUS(kv_put_number(mine.ns, "mine", number, &error), LUAT_KV_OK);
    CHECK(process_written(churn) == 50);
    kv_close(mine);
    mine = kv_open(path);
    kv_check_numbers(mine.ns, "before", 10);
    kv_check_numbers(mine.ns, "mine", 200);
    kv_check_numbers(mine.ns, "churn", 50);
    kv_close(mine);
    CHECK_INTEGRITY(path);
}

static void a_descriptor_of_the_host_is_such_a_case(void)
{
    const char *path = scratch("kv.db");
    kv_close(kv_open(path));
    int descriptor = open(path, O_RDONLY);
    CHECK(descriptor >= 0);
    CHECK_SECOND(luat_kv_open, path);
    CHECK_SECOND(other.open, path);
    close(descriptor);
    kv_close(kv_open(path));
}

/* Then the descriptors cannot be listed, as without /proc. */
static void a_process_without_a_free_descriptor_is_no_way_round(void)
{
    enum { MOST = 64 };
    struct rlimit limit, low;
    int taken[MOST], count = 0;
    luat_kv_open_options options;
    luat_kv_store *second = GARBAGE;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = LUAT_KV_OPEN_READONLY; /* it makes no file */
    struct kv mine = kv_open(scratch("kv.db"));
    CHECK_PUT(mine.ns, "key", "value");
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    low = limit;
    low.rlim_cur = MOST;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    while (count < MOST && (taken[count] = dup(STDIN_FILENO)) >= 0)
        count++;
    CHECK_REFUSED(other.open(scratch("kv.db"), &options, &second, &error), LUAT_KV_BUSY, "in this process");
    CHECK(second == NULL);
    while (count > 0)
        close(taken[--count]);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    kv_close(mine);
}

/* ---- Both at once */

static pthread_barrier_t together;
static luat_kv_status first_status[2];

static void open_together(int which)
{
    luat_kv_store *store = NULL;
    pthread_barrier_wait(&together);
    first_status[which] = (which ? other.open : luat_kv_open)(scratch("kv.db"), NULL, &store, NULL);
    pthread_barrier_wait(&together); /* not closed before both have tried */
    (which ? other.close : luat_kv_close)(store);
}

static void of_two_at_once_one_is_refused(void)
{
    CHECK(pthread_barrier_init(&together, NULL, 2) == 0);
    for (int round = 0; round < 200 && !check_failures; round++) {
        threads_run(2, open_together);
        CHECK(first_status[0] != LUAT_KV_OK || first_status[1] != LUAT_KV_OK);
        for (int which = 0; which < 2; which++)
            CHECK(first_status[which] == LUAT_KV_OK || first_status[which] == LUAT_KV_BUSY);
    }
    pthread_barrier_destroy(&together);
}

/* ---- How copies exclude each other: by a lock that no other user can hold */

static struct stat data_folder;
static int flocks, flocks_of_data;

/* In the place of the system's, for the library too: counts. */
int flock(int descriptor, int operation)
{
    struct stat found;
    __atomic_add_fetch(&flocks, 1, __ATOMIC_RELAXED);
    if (fstat(descriptor, &found) == 0 && (found.st_dev == data_folder.st_dev || S_ISREG(found.st_mode)))
        __atomic_add_fetch(&flocks_of_data, 1, __ATOMIC_RELAXED);
    return (int)syscall(SYS_flock, descriptor, operation);
}

static void a_locked_folder_is_no_obstacle(void)
{
    int folder = open(scratch(""), O_RDONLY);
    CHECK(folder >= 0 && fstat(folder, &data_folder) == 0);
    CHECK(flock(folder, LOCK_EX) == 0 && flocks_of_data == 1); /* as `flock FOLDER luat-kv backup` has it */
    flocks = flocks_of_data = 0;
    kv_close(kv_open(scratch("kv.db")));
    CHECK(flocks > 0);
    CHECK(flocks_of_data == 0);
    close(folder);
}

/* ---- Two files, two copies */

static struct kv mine, theirs;

static void use_both(void *unused)
{
    (void)unused;
    CHECK_PUT(mine.ns, "key", "value");
    CHECK_OTHER_PUT(theirs.ns, "key", "value");
    CHECK_VALUE(mine.ns, "key", "value");
}

static void different_files_are_fine(void)
{
    mine = kv_open(scratch("mine.db"));
    theirs = other_open(scratch("theirs.db"));
    use_both(NULL);
    child_run(use_both, NULL); /* a fork, too, is each copy's own affair */
    use_both(NULL);
    CHECK_SECOND(luat_kv_open, scratch("theirs.db"));
    CHECK_SECOND(other.open, scratch("mine.db"));
    kv_close(mine);
    other_close(theirs);
}

static const struct check_test loading[] = { TEST(a_second_copy_is_loaded) };

static const struct check_test tests[] = {
    TEST(whoever_comes_second_is_refused),
    TEST(a_file_is_the_same_by_any_name),
    TEST(readonly_is_no_way_round),
    TEST(being_refused_harms_nobody),
    TEST(a_descriptor_of_the_host_is_such_a_case),
    TEST(a_process_without_a_free_descriptor_is_no_way_round),
    TEST(of_two_at_once_one_is_refused),
    TEST(a_locked_folder_is_no_obstacle),
    TEST(different_files_are_fine),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", loading);
    if (other.put)
        check_tests("", tests);
    return check_done();
}
