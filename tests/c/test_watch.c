/*
 * Watches, on both back ends: what they tell, and for how long they wait; and on disk with other processes: their writes
 * and those of the sqlite3 shell, forks, and watchers and writers that are killed.
 */
#define _GNU_SOURCE
#include "clock.h"

#include "backends.h"
#include "shared.h"
#include "threads.h"

#include <poll.h>

static luat_kv_watch *watch_with(luat_kv_namespace *ns, const char *prefix, uint32_t flags)
{
    luat_kv_watch_options options;
    luat_kv_watch *watch = GARBAGE;
    luat_kv_watch_options_init(&options, sizeof options);
    options.prefix = (luat_kv_bytes){ TEXT(prefix) };
    options.flags = flags;
    CHECK_STATUS(luat_kv_watch_open(ns, &options, &watch, &error), LUAT_KV_OK);
    return watch;
}

/* What a page of changes tells: +KEY=VALUE, -KEY, !KEY, with a space after each. The page is freed. */
static const char *told(luat_kv_page *page)
{
    static __thread char text[4000];
    size_t end = 0;
    text[0] = '\0';
    for (size_t index = 0; index < luat_kv_page_len(page); index++) {
        const luat_kv_entry *entry = luat_kv_page_at(page, index);
        size_t key_len = 0, value_len = 0;
        const char *key = (const char *)luat_kv_entry_key(entry, &key_len);
        const char *value = (const char *)luat_kv_entry_value(entry, &value_len);
        char sign = "?+-!"[luat_kv_entry_change(entry) % 4];
        CHECK((sign == '+') == (luat_kv_entry_version(entry, NULL) != NULL));
        end += (size_t)snprintf(text + end, sizeof text - end, "%c%.*s%s%.*s ", sign, (int)key_len, key, value ? "=" : "",
                                (int)value_len, value ? value : "");
    }
    luat_kv_page_free(page);
    return text;
}

static const char *next(luat_kv_watch *watch, int64_t timeout_ms)
{
    luat_kv_page *page = NULL;
    CHECK_STATUS(luat_kv_watch_next(watch, timeout_ms, &page, &error), LUAT_KV_OK);
    return told(page);
}

#define CHECK_TOLD(text, expected) \
    do { \
        const char *text_ = (text); \
        CHECK_BYTES(text_, strlen(text_), expected); \
    } while (0)

static void check_nothing(luat_kv_watch *watch)
{
    luat_kv_page *page = GARBAGE;
    CHECK_STATUS(luat_kv_watch_next(watch, 0, &page, &error), LUAT_KV_TIMEOUT);
    CHECK(page == NULL);
}

/* ---- On both back ends */

static void changes_are_told_once(void)
{
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "before", "0");
    luat_kv_watch *all = watch_with(kv.ns, "", LUAT_KV_WATCH_VALUES), *some = watch_with(kv.ns, "user:", 0);
    check_nothing(all);
    CHECK_PUT(kv.ns, "a", "1");
    CHECK_PUT(kv.ns, "a", "2");
    CHECK_PUT(kv.ns, "user:1", "Alice");
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("before"), &error), LUAT_KV_OK);
    CHECK_TOLD(next(all, 0), "+a=2 -before +user:1=Alice ");
    CHECK_TOLD(next(some, 0), "+user:1 ");
    check_nothing(all);
    check_nothing(some);
    luat_kv_watch_free(some);
    kv_close(kv); /* the watch keeps the store */
    check_nothing(all);
    luat_kv_watch_free(all);
    luat_kv_watch_free(NULL);
}

static void keys_can_be_named(void)
{
    struct kv kv = open_default();
    luat_kv_bytes keys[] = { { LUAT_KV_TEXT("b") }, { LUAT_KV_TEXT("a\0") }, { LUAT_KV_TEXT("b") } };
    luat_kv_watch_options options;
    luat_kv_watch *watch = NULL;
    luat_kv_watch_options_init(&options, sizeof options);
    options.keys = keys;
    options.key_count = 3;
    CHECK_STATUS(luat_kv_watch_open(kv.ns, &options, &watch, &error), LUAT_KV_OK);
    memset(keys, 0xff, sizeof keys); /* they were copied */
    CHECK_PUT(kv.ns, "a", "");
    check_nothing(watch);
    CHECK_STATUS(luat_kv_put(kv.ns, "a", 2, "", 0, NULL, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "b", "");
    luat_kv_page *page = NULL;
    CHECK_STATUS(luat_kv_watch_next(watch, 0, &page, &error), LUAT_KV_OK);
    CHECK(luat_kv_page_len(page) == 2);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "a\0");
    CHECK_NO_VIEW(luat_kv_entry_value, luat_kv_page_at(page, 0));
    CHECK_NO_VIEW(luat_kv_page_cursor, page);
    luat_kv_page_free(page);
    luat_kv_watch_free(watch);
    kv_close(kv);
}

static void what_expires_is_told_with_the_next_change(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration_ttl = 10;
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("k"), LUAT_KV_TEXT("v"), &options, &error), LUAT_KV_OK);
    luat_kv_watch *watch = watch_with(kv.ns, "", 0);
    clock_advance(20);
    check_nothing(watch);
    CHECK_PUT(kv.ns, "other", "");
    CHECK_TOLD(next(watch, 0), "!k +other ");
    luat_kv_watch_free(watch);
    kv_close(kv);
}

/* Only a server has another clock than this program. */
static void the_time_of_the_store_tells_an_expiry_from_a_removal(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration_ttl = 1000;
    for (int hours = -1; hours <= 1; hours++) {
        int64_t *shared_clock = clock_ahead;
        CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("gone"), LUAT_KV_TEXT(""), &options, &error), LUAT_KV_OK);
        CHECK_PUT(kv.ns, "other", "");
        luat_kv_watch *watch = watch_with(kv.ns, "", 0);
        clock_advance(2000);
        CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT(""), &options, &error), LUAT_KV_OK);
        if (backend == POSTGRES) {
            clock_own = *clock_ahead + hours * 3600;
            clock_ahead = &clock_own;
        }
        CHECK_TOLD(next(watch, 0), "!gone +key ");
        CHECK_STATUS(luat_kv_delete(kv.ns, TEXT("key"), &error), LUAT_KV_OK);
        CHECK_TOLD(next(watch, 0), "-key ");
        clock_ahead = shared_clock;
        luat_kv_watch_free(watch);
    }
    kv_close(kv);
}

static void a_watch_can_begin_with_what_is_there(void)
{
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "a", "1");
    CHECK_PUT(kv.ns, "b", "2");
    luat_kv_watch *watch = watch_with(kv.ns, "", LUAT_KV_WATCH_VALUES | LUAT_KV_WATCH_EXISTING);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("a"), &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "c", "3");
    CHECK_TOLD(next(watch, 0), "+b=2 +c=3 ");
    check_nothing(watch);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("c"), &error), LUAT_KV_OK);
    CHECK_TOLD(next(watch, 0), "-c ");
    luat_kv_watch_free(watch);
    kv_close(kv);
}

static luat_kv_watch *waited_for;

/* A watch that goes on from a token of another one. */
static luat_kv_watch *watch_since(luat_kv_namespace *ns, luat_kv_bytes token)
{
    luat_kv_watch_options options;
    luat_kv_watch *watch = GARBAGE;
    luat_kv_watch_options_init(&options, sizeof options);
    options.since = token;
    CHECK_STATUS(luat_kv_watch_open(ns, &options, &watch, &error), LUAT_KV_OK);
    return watch;
}

static luat_kv_bytes token_of(luat_kv_watch *watch, size_t handled)
{
    luat_kv_bytes token = { GARBAGE, 1 };
    CHECK_STATUS(luat_kv_watch_token(watch, handled, &token, &error), LUAT_KV_OK);
    CHECK(token.data != NULL && token.len > 0);
    return token;
}

static void a_token_is_where_another_watch_goes_on(void)
{
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "a", "1");
    luat_kv_watch *watch = watch_with(kv.ns, "", 0), *later;
    CHECK_PUT(kv.ns, "b", "1");
    CHECK_STATUS(luat_kv_delete(kv.ns, TEXT("a"), &error), LUAT_KV_OK);
    luat_kv_watch_free(watch_since(kv.ns, token_of(watch, SIZE_MAX)));
    CHECK_TOLD(next(watch, 0), "-a +b ");
    for (size_t handled = 0; handled < 4; handled++) {
        later = watch_since(kv.ns, token_of(watch, handled));
        if (handled == 0)
            CHECK_TOLD(next(later, 0), "-a +b ");
        if (handled == 1)
            CHECK_TOLD(next(later, 0), "+b ");
        check_nothing(later);
        luat_kv_watch_free(later);
    }
    luat_kv_bytes token = token_of(watch, SIZE_MAX);
    CHECK_PUT(kv.ns, "b", "2");
    later = watch_since(kv.ns, token);
    luat_kv_watch_free(watch); /* the token is not valid any more */
    CHECK_TOLD(next(later, 0), "+b ");
    luat_kv_watch_free(later);
    later = watch_since(kv.ns, (luat_kv_bytes){ NULL, 0 });
    check_nothing(later);
    CHECK_REFUSED(luat_kv_watch_token(NULL, 1, &token, &error), LUAT_KV_INVALID, "watch");
    CHECK(token.data == NULL && token.len == 0);
    CHECK_REFUSED(luat_kv_watch_token(later, 1, NULL, &error), LUAT_KV_INVALID, "token");
    luat_kv_watch_free(later);
    kv_close(kv);
}

static void wait_for_one(int number)
{
    (void)number;
    CHECK_TOLD(next(waited_for, -1), "+key ");
}

static void a_wait_ends_with_a_change(void)
{
    struct kv kv = open_default();
    struct thread thread;
    luat_kv_page *page = GARBAGE;
    waited_for = watch_with(kv.ns, "", 0);
    CHECK_STATUS(luat_kv_watch_next(waited_for, 20, &page, &error), LUAT_KV_TIMEOUT);
    threads_start(&thread, 1, wait_for_one);
    usleep(20000);
    CHECK_PUT(kv.ns, "key", "");
    threads_join(&thread, 1);
    luat_kv_watch_free(waited_for);
    kv_close(kv);
}

static void wrong_requests_are_refused(void)
{
    struct kv kv = open_default();
    luat_kv_bytes key = { LUAT_KV_TEXT("k") }, empty = { NULL, 0 };
    luat_kv_watch_options options;
    luat_kv_watch *watch;
#define REFUSED(status, words) CHECK_REFUSED(luat_kv_watch_open(kv.ns, &options, &watch, &error), status, words)
    luat_kv_watch_options_init(&options, sizeof options);
    options.flags = 4;
    REFUSED(LUAT_KV_INVALID, "luat_kv_watch_options.flags has the unknown value 4");
    options.flags = 0;
    options.keys = &key;
    options.key_count = 1;
    options.prefix = key;
    REFUSED(LUAT_KV_INVALID, "a watch has either keys or a prefix");
    options.prefix = empty;
    options.keys = &empty;
    REFUSED(LUAT_KV_INVALID, "the key is empty");
    static luat_kv_bytes many[1001];
    for (int at = 0; at < 1001; at++)
        many[at] = key;
    options.keys = many;
    options.key_count = 1001;
    REFUSED(LUAT_KV_LIMIT, "1001 keys were to be watched; the limit is 1000");
    luat_kv_watch_options_init(&options, sizeof options);
    options.since = key;
    REFUSED(LUAT_KV_INVALID, "the token is malformed");
    options.flags = LUAT_KV_WATCH_EXISTING;
    REFUSED(LUAT_KV_INVALID, "either with what exists or since a token");
    options.struct_size = 0;
    REFUSED(LUAT_KV_INVALID, "call luat_kv_watch_options_init() first");
#undef REFUSED
    CHECK(watch == NULL);
    kv_close(kv);
}

static void a_descriptor_tells_an_event_loop(void)
{
    struct kv kv = open_default();
    luat_kv_watch *watch = watch_with(kv.ns, "", 0);
    struct pollfd polled = { -1, POLLIN, 0 };
    CHECK_STATUS(luat_kv_watch_fd(watch, &polled.fd, &error), LUAT_KV_OK);
    CHECK(poll(&polled, 1, 0) == 1); /* a first look is due */
    check_nothing(watch);
    for (int number = 0; number < 10; number++) {
        CHECK_STATUS(kv_put_number(kv.ns, "", number, &error), LUAT_KV_OK);
        CHECK(poll(&polled, 1, 10000) == 1);
        CHECK(next(watch, 0)[0] == '+');
    }
    luat_kv_watch_free(watch);
    kv_close(kv);
}

/* ---- On disk, with others */

static void writes_of_other_processes_are_told(void)
{
    open_shared();
    luat_kv_watch *watch = watch_with(shared.ns, "p", LUAT_KV_WATCH_VALUES);
    struct process writer = process_start_self("write", database, "p", "500");
    bool seen[500] = { false };
    int count = 0;
    while (count < 500) {
        const char *text = next(watch, 20000);
        if (*text == '\0')
            break; /* the check has failed */
        for (const char *at = text; (at = strchr(at, '+')); at++) {
            int number = atoi(at + 2);
            CHECK(number >= 0 && number < 500 && !seen[number]);
            seen[number] = true;
            count++;
        }
    }
    CHECK(process_written(writer) == 500);
    sqlite_answer(database, "UPDATE kv SET value = 'by the shell' WHERE key = 'p7'");
    CHECK_TOLD(next(watch, 20000), "+p7=by the shell ");
    sqlite_answer(database, "INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('test', 'p8', 'Luat')");
    CHECK_TOLD(next(watch, 20000), "+p8=Luat ");
    sqlite_answer(database, "DELETE FROM kv WHERE key = 'p9'");
    CHECK_TOLD(next(watch, 20000), "-p9 ");
    check_nothing(watch);
    luat_kv_watch_free(watch);
    close_shared();
}

static void in_the_child(void *watch)
{
    luat_kv_page *page;
    luat_kv_watch *own;
    luat_kv_bytes token;
    struct pollfd polled = {.events = POLLIN};
    int fd;
    CHECK_REFUSED(luat_kv_watch_next(watch, 0, &page, &error), LUAT_KV_INVALID, "before a fork");
    CHECK_REFUSED(luat_kv_watch_fd(watch, &fd, &error), LUAT_KV_INVALID, "before a fork");
    CHECK_REFUSED(luat_kv_watch_token(watch, 1, &token, &error), LUAT_KV_INVALID, "before a fork");
    luat_kv_watch_free(watch);
    own = watch_with(shared.ns, "", 0);
    CHECK_STATUS(luat_kv_watch_fd(own, &polled.fd, &error), LUAT_KV_OK);
    CHECK(poll(&polled, 1, 0) == 1);
    check_nothing(own);
    CHECK_PUT(shared.ns, "child", "");
    CHECK(poll(&polled, 1, 10000) == 1);
    CHECK_TOLD(next(own, 0), "+child ");
    luat_kv_watch_free(own);
}

static void wait_until_told(int number)
{
    (void)number;
    CHECK_TOLD(next(waited_for, -1), "+child ");
}

static void a_fork_leaves_the_watch_to_the_parent(void)
{
    struct thread thread;
    int fd = -1;
    open_shared();
    luat_kv_watch *watch = watch_with(shared.ns, "", 0);
    waited_for = watch_with(shared.ns, "", 0);
    CHECK_STATUS(luat_kv_watch_fd(watch, &fd, &error), LUAT_KV_OK); /* and there is a thread that waits */
    threads_start(&thread, 1, wait_until_told);
    usleep(20000); /* most likely it waits by now, and the child has a locked watch */
    child_run(in_the_child, waited_for);
    threads_join(&thread, 1);
    CHECK_TOLD(next(watch, 0), "+child ");
    child_run(in_the_child, watch);
    CHECK_TOLD(next(watch, 0), "+child ");
    luat_kv_watch_free(watch);
    luat_kv_watch_free(waited_for);
    close_shared();
}

static int token_pipe[2];

static void give_a_token(void *in_memory)
{
    struct kv kv = in_memory ? *(struct kv *)in_memory : kv_memory();
    CHECK_PUT(kv.ns, "key", "first");
    luat_kv_watch *watch = watch_with(kv.ns, "", 0);
    luat_kv_bytes token = token_of(watch, SIZE_MAX);
    CHECK(write(token_pipe[1], token.data, token.len) == (ssize_t)token.len);
    luat_kv_watch_free(watch);
    if (!in_memory)
        kv_close(kv);
}

/* Its store has as many writes, and so the same versions. */
static void refuse_a_token(void *in_memory)
{
    struct kv kv = in_memory ? *(struct kv *)in_memory : kv_memory();
    char token[1000];
    ssize_t len = read(token_pipe[0], token, sizeof token);
    luat_kv_watch_options options;
    luat_kv_watch *watch;
    CHECK_PUT(kv.ns, "key", "second");
    luat_kv_watch_options_init(&options, sizeof options);
    options.since = (luat_kv_bytes){ token, (size_t)len };
    CHECK_REFUSED(luat_kv_watch_open(kv.ns, &options, &watch, &error), LUAT_KV_INVALID, "another store");
    if (!in_memory)
        kv_close(kv);
}

static void children_have_stores_in_memory_of_their_own(void)
{
    struct kv before = kv_memory();
    luat_kv_watch *watch = watch_with(before.ns, "", 0);
    token_of(watch, SIZE_MAX); /* so this thread has needed random numbers, which its children inherit */
    CHECK(pipe(token_pipe) == 0);
    struct kv *stores[] = { &before, NULL };
    for (int which = 0; which < 2; which++) {
        child_run(give_a_token, stores[which]);
        child_run(refuse_a_token, stores[which]);
        child_run(give_a_token, stores[which]);
        refuse_a_token(stores[which]);
    }
    close(token_pipe[0]);
    close(token_pipe[1]);
    luat_kv_watch_free(watch);
    kv_close(before);
}

/* Watches until it is killed. */
static void watch_for_ever(void *unused)
{
    (void)unused;
    struct kv kv = kv_open_patiently(database);
    luat_kv_watch *watch = watch_with(kv.ns, "", LUAT_KV_WATCH_VALUES);
    luat_kv_page *page;
    while (luat_kv_watch_next(watch, -1, &page, NULL) == LUAT_KV_OK)
        luat_kv_page_free(page);
}

static void who_is_killed_leaves_nothing_behind(void)
{
    open_shared();
    luat_kv_watch *watch = watch_with(shared.ns, "", 0);
    for (int round = 0; round < 10; round++) {
        pid_t watcher = child_start(watch_for_ever, NULL);
        struct process writer = process_start_self("write", database, "p", "100000");
        CHECK(next(watch, 20000)[0] == '+');
        usleep(5000);
        kill(writer.id, SIGKILL);
        kill(watcher, SIGKILL);
        child_status(watcher);
        child_status(writer.id);
        close(writer.in);
        close(writer.out);
        luat_kv_page *page = NULL;
        while (luat_kv_watch_next(watch, 0, &page, NULL) == LUAT_KV_OK)
            luat_kv_page_free(page);
        CHECK_PUT(shared.ns, "mine", "");
        CHECK_TOLD(next(watch, 20000), "+mine ");
    }
    luat_kv_watch_free(watch);
    close_shared();
}

static const struct check_test tests[] = {
    TEST(changes_are_told_once),
    TEST(keys_can_be_named),
    TEST(what_expires_is_told_with_the_next_change),
    TEST(the_time_of_the_store_tells_an_expiry_from_a_removal),
    TEST(a_watch_can_begin_with_what_is_there),
    TEST(a_token_is_where_another_watch_goes_on),
    TEST(a_wait_ends_with_a_change),
    TEST(wrong_requests_are_refused),
    TEST(a_descriptor_tells_an_event_loop),
};

static const struct check_test on_disk[] = {
    TEST(writes_of_other_processes_are_told),
    TEST(a_fork_leaves_the_watch_to_the_parent),
    TEST(children_have_stores_in_memory_of_their_own),
    TEST(who_is_killed_leaves_nothing_behind),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_both_backends(tests);
    check_tests("disk", on_disk);
    return check_done();
}
