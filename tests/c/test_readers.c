/*
 * A user who may only read a database, while others keep changing it, or have to recreate its log.
 */
#define _GNU_SOURCE
#include "faults.h"

#include "users.h"

/* ---- A file that was always changed a moment ago: the system's clock stands still. */

static struct timespec clock_stopped;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock != CLOCK_REALTIME || clock_stopped.tv_sec == 0)
        return (int)syscall(SYS_clock_gettime, clock, time);
    *time = clock_stopped;
    return 0;
}

/* Stops the clock at the file's last change. */
static void clock_stop(void)
{
    struct stat status;
    CHECK(stat(scratch("shared/kv.db"), &status) == 0);
    clock_stopped = status.st_ctim;
}

static luat_kv_status open_for(uint32_t busy_timeout_ms, luat_kv_store **store, luat_kv_error **error)
{
    luat_kv_open_options options;
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = busy_timeout_ms == 0 ? LUAT_KV_OPEN_NOWAIT : 0;
    options.busy_timeout_ms = busy_timeout_ms;
    return luat_kv_open(scratch("shared/kv.db"), &options, store, error);
}

static struct kv reader_opens(uint32_t busy_timeout_ms)
{
    luat_kv_store *store = NULL;
    CHECK_STATUS(open_for(busy_timeout_ms, &store, &error), LUAT_KV_OK);
    return kv_over(store);
}

static luat_kv_status reader_gets(struct kv kv, luat_kv_error **error)
{
    uint8_t value[10];
    size_t len = 0;
    return luat_kv_get(kv.ns, (const uint8_t *)"key", 3, value, sizeof value, &len, error);
}

static int forks;

/* Nothing is held while it waits: a fork would wait for it, and so for this very thread. */
static void fork_once(void)
{
    if (forks++ > 0)
        return;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
}

static void go_on(void)
{
    clock_stopped.tv_sec = 0;
}

static void reader_opens_what_changes_all_the_time(void *context)
{
    (void)context;
    luat_kv_store *store = NULL;
    become(READER, GROUP);
    clock_stop();
    fault_end();
    CHECK_REFUSED(open_for(0, &store, &error), LUAT_KV_BUSY, "it was changed less than 30ms ago");
    CHECK(fault_slept == 0);
    fault_before_sleep = fork_once;
    CHECK_REFUSED(open_for(20, &store, &error), LUAT_KV_IO, "while it is being changed all the time");
    CHECK(forks > 0 && store == NULL);
    fault_before_sleep = go_on; /* it has grown old when it is looked at again */
    struct kv kv = reader_opens(10000);
    check_holds(kv, "key", "1");
    kv_close(kv);
}

static void an_open_of_what_changes_all_the_time_ends(void)
{
    if (make_shared_database())
        child_run(reader_opens_what_changes_all_the_time, NULL);
}

static void reader_has_what_changes_all_the_time(void *context)
{
    struct turns *turns = context;
    become(READER, GROUP);
    kv_close(reader_opens(10000)); /* now the file is old enough */
    struct kv kv = reader_opens(20), nowait = reader_opens(0);
    turns_tell(turns, true);
    turns_wait(turns, true);
    clock_stop();
    fault_end();
    CHECK_REFUSED(reader_gets(nowait, &error), LUAT_KV_BUSY, "it was changed less than 30ms ago");
    CHECK(fault_slept == 0);
    fault_before_sleep = fork_once;
    CHECK_REFUSED(reader_gets(kv, &error), LUAT_KV_IO, "while it is being changed all the time");
    CHECK_REFUSED(reader_gets(kv, &error), LUAT_KV_IO, "again after it was written to");
    CHECK(forks > 0);
    fault_before_sleep = NULL;
    go_on();
    kv_close(kv);
    kv = reader_opens(10000);
    check_holds(kv, "key", "2");
    kv_close(kv);
    check_holds(nowait, "key", "2");
    kv_close(nowait);
}

static void a_read_of_what_changes_all_the_time_ends(void)
{
    struct turns turns;
    if (!make_shared_database())
        return;
    turns_make(&turns);
    pid_t reader = child_start(reader_has_what_changes_all_the_time, &turns);
    turns_wait(&turns, false);
    child_run(owner_puts, "2");
    turns_tell(&turns, false);
    child_join(reader);
}

/* ---- A log that another process must recreate, as when members come and go */

/* The state that a member finds when it has just recreated the shared memory. */
static void shared_memory_is_emptied(void *context)
{
    static const char nothing[136]; /* both copies of the header, and where readers are */
    (void)context;
    become(OWNER, GROUP);
    int file = open(scratch("shared/kv.db-shm"), O_RDWR);
    CHECK(file >= 0 && pwrite(file, nothing, sizeof nothing, 0) == sizeof nothing && close(file) == 0);
}

static void reader_finds_no_shared_memory(void *context)
{
    struct turns *turns = context;
    luat_kv_store *store = NULL;
    become(READER, GROUP);
    struct kv nowait = reader_opens(0), patient = reader_opens(60000);
    check_holds(nowait, "key", "2");
    check_holds(patient, "key", "2");
    turns_tell(turns, true), turns_wait(turns, true); /* it is emptied */
    CHECK_REFUSED(reader_gets(nowait, &error), LUAT_KV_IO, "its log must be set up again");
    CHECK_REFUSED(reader_gets(nowait, &error), LUAT_KV_IO, "after others who use it came or went");
    CHECK_REFUSED(open_for(0, &store, &error), LUAT_KV_IO, "its log must be set up again");
    turns_tell(turns, true); /* the owner sets it up, sooner or later */
    check_holds(patient, "key", "2");
    struct kv kv = reader_opens(60000);
    check_holds(kv, "key", "2");
    check_holds(nowait, "key", "2");
    kv_close(kv);
    turns_wait(turns, true);
    kv_close(nowait);
    kv_close(patient);
}

static void a_reader_waits_until_a_log_is_set_up_again(void)
{
    struct turns turns;
    if (!make_shared_database())
        return;
    turns_make(&turns);
    CHECK(seteuid(OWNER) == 0);
    struct kv kv = kv_open(scratch("shared/kv.db"));
    CHECK_PUT(kv.ns, "key", "2");
    CHECK(seteuid(0) == 0);
    pid_t reader = child_start(reader_finds_no_shared_memory, &turns);
    turns_wait(&turns, false);
    child_run(shared_memory_is_emptied, NULL);
    turns_tell(&turns, false), turns_wait(&turns, false);
    check_holds(kv, "key", "2"); /* as it reads, it sets it up */
    turns_tell(&turns, false);
    child_join(reader);
    CHECK_PUT(kv.ns, "key", "3");
    kv_close(kv);
    CHECK_INTEGRITY(scratch("shared/kv.db"));
}

/* ---- A log that has no change in it */

static void owner_is_killed(void *context)
{
    (void)context;
    become(OWNER, GROUP);
    kv_open(scratch("shared/kv.db"));
    kill(getpid(), SIGKILL);
}

static void reader_opens_and_reads(void *value)
{
    become(READER, GROUP);
    struct kv kv = reader_opens(0);
    check_holds(kv, "key", value);
    kv_close(kv);
}

/* A writer was killed when it had written the header of its log, which is 32 bytes, and no change yet. */
static void a_log_that_was_only_begun_does_not_matter(void)
{
    static const char header[32] = { [16] = 1, 2, 3, 4, 5, 6, 7, 8 }; /* its salts, which the index does not know yet */
    if (!make_shared_database())
        return;
    pid_t owner = child_start(owner_is_killed, NULL);
    int status = 0, log;
    CHECK(waitpid(owner, &status, 0) == owner && WIFSIGNALED(status));
    CHECK(exists(scratch("shared/kv.db-shm")));
    CHECK((log = open(scratch("shared/kv.db-wal"), O_RDWR)) >= 0 && write(log, header, 32) == 32 && close(log) == 0);
    usleep(50000); /* a file that has just been changed is not read */
    child_run(reader_opens_and_reads, "1");
    child_run(owner_puts, "2");
    usleep(50000);
    child_run(reader_opens_and_reads, "2");
}

static const struct check_test tests[] = {
    TEST(an_open_of_what_changes_all_the_time_ends),
    TEST(a_read_of_what_changes_all_the_time_ends),
    TEST(a_reader_waits_until_a_log_is_set_up_again),
    TEST(a_log_that_was_only_begun_does_not_matter),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
