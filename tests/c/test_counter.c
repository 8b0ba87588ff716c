/*
 * Writes that depend on the present entry, on both back ends: incr, add and touch.
 */
#define _GNU_SOURCE /* clock.h */
#include "backends.h"
#include "clock.h"
#include "process.h"

#include <inttypes.h>

static luat_kv_incr_options incr_options(int64_t initial, int64_t expiration, int64_t ttl)
{
    luat_kv_incr_options options;
    luat_kv_incr_options_init(&options, sizeof options);
    options.initial = initial;
    options.expiration = expiration;
    options.expiration_ttl = ttl;
    return options;
}

/* Counting a key with these options results in this sum. */
#define CHECK_INCR(ns, key, by, options, expected) \
    do { \
        int64_t sum_ = 7; \
        CHECK_STATUS(luat_kv_incr(ns, LUAT_KV_TEXT(key), by, options, &sum_, &error), LUAT_KV_OK); \
        if (sum_ != (expected)) \
            check_fail(__FILE__, __LINE__, "%s is %" PRId64 ", not %" PRId64, key, sum_, (int64_t)(expected)); \
    } while (0)

/* It cannot be counted, and holds what it held. */
#define CHECK_NO_INCR(ns, value, by) \
    do { \
        int64_t sum_ = 7; \
        CHECK_PUT(ns, "odd", value); \
        CHECK_REFUSED(luat_kv_incr(ns, LUAT_KV_TEXT("odd"), by, NULL, &sum_, &error), LUAT_KV_INVALID, "odd"); \
        CHECK(sum_ == 0); \
        CHECK_VALUE(ns, "odd", value); \
    } while (0)

static int64_t expiration_of(luat_kv_namespace *ns, const char *key)
{
    luat_kv_entry *entry = kv_entry(ns, key);
    int64_t expiration = luat_kv_entry_expiration(entry);
    luat_kv_entry_free(entry);
    return expiration;
}

/* ---- incr */

static void a_counter_is_decimal_text(void)
{
    struct kv kv = open_default();
    luat_kv_incr_options options = incr_options(100, 0, 0);
    CHECK_INCR(kv.ns, "n", 1, NULL, 1);
    CHECK_INCR(kv.ns, "n", 41, NULL, 42);
    CHECK_VALUE(kv.ns, "n", "42");
    CHECK_INCR(kv.ns, "n", -50, NULL, -8);
    CHECK_INCR(kv.ns, "n", 0, &options, -8); /* only a missing key begins somewhere */
    CHECK_VALUE(kv.ns, "n", "-8");
    CHECK_INCR(kv.ns, "m", 5, &options, 105);
    CHECK_INCR(kv.ns, "zero", 0, NULL, 0);
    CHECK_VALUE(kv.ns, "zero", "0");
    CHECK_PUT(kv.ns, "put", "1000");
    CHECK_INCR(kv.ns, "put", 1, NULL, 1001);
    CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("put"), 1, NULL, NULL, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "put", "1002");
    kv_close(kv);
}

static void a_counter_holds_64_bits_and_no_more(void)
{
    struct kv kv = open_default();
    luat_kv_incr_options options = incr_options(INT64_MAX, 0, 0);
    int64_t sum = 7;
    CHECK_INCR(kv.ns, "top", INT64_MAX, NULL, INT64_MAX);
    CHECK_INCR(kv.ns, "bottom", INT64_MIN, NULL, INT64_MIN);
    CHECK_INCR(kv.ns, "top", INT64_MIN, NULL, -1);
    CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("bottom"), -1, NULL, &sum, &error), LUAT_KV_INVALID);
    CHECK(sum == 0);
    CHECK_VALUE(kv.ns, "bottom", "-9223372036854775808");
    CHECK_NO_INCR(kv.ns, "9223372036854775807", 1);
    CHECK_NO_INCR(kv.ns, "1", INT64_MAX);
    CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("new"), 1, &options, &sum, &error), LUAT_KV_INVALID);
    CHECK_MISSING(kv.ns, "new");
    kv_close(kv);
}

static void what_is_no_whole_number_is_not_counted(void)
{
    struct kv kv = open_default();
    CHECK_NO_INCR(kv.ns, "", 1);
    CHECK_NO_INCR(kv.ns, "one", 1);
    CHECK_NO_INCR(kv.ns, "1.5", 1);
    CHECK_NO_INCR(kv.ns, "1e3", 1);
    CHECK_NO_INCR(kv.ns, " 1", 1);
    CHECK_NO_INCR(kv.ns, "1\n", 1);
    CHECK_NO_INCR(kv.ns, "1\0", 1);
    CHECK_NO_INCR(kv.ns, "+1", 1);
    CHECK_NO_INCR(kv.ns, "-", 1);
    CHECK_NO_INCR(kv.ns, "0x10", 1);
    CHECK_NO_INCR(kv.ns, "9223372036854775808", -1);
    CHECK_NO_INCR(kv.ns, "\xff", 0);
    kv_close(kv);
}

static void counting_keeps_metadata_and_expiration(void)
{
    struct kv kv = open_default();
    luat_kv_incr_options later = incr_options(0, 4100000000, 0), soon = incr_options(0, 4100000000, 1000);
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("{\"a\":1}") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("n"), LUAT_KV_TEXT("1"), &options, &error), LUAT_KV_OK);
    CHECK_INCR(kv.ns, "n", 1, &later, 2);
    luat_kv_entry *entry = kv_entry(kv.ns, "n");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "{\"a\":1}");
    CHECK(luat_kv_entry_expiration(entry) == 4000000000);
    luat_kv_entry_free(entry);

    CHECK_INCR(kv.ns, "new", 1, &later, 1);
    CHECK(expiration_of(kv.ns, "new") == 4100000000);
    CHECK_INCR(kv.ns, "soon", 1, &soon, 1); /* the lifetime wins */
    CHECK(expiration_of(kv.ns, "soon") < 4000000000);
    CHECK_INCR(kv.ns, "plain", 1, NULL, 1);
    CHECK(expiration_of(kv.ns, "plain") == 0);
    kv_close(kv);
}

static void the_options_of_a_counter_are_checked(void)
{
    struct kv kv = open_default();
    luat_kv_incr_options past = incr_options(0, 1000, 0), negative = incr_options(0, 0, -1), bad;
    int64_t sum = 7;
    CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, &past, &sum, &error), LUAT_KV_INVALID);
    CHECK(sum == 0);
    CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, &negative, &sum, &error), LUAT_KV_INVALID);
    bad = incr_options(0, 0, 0);
    bad.flags = 1;
    CHECK_REFUSED(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, &bad, &sum, &error), LUAT_KV_INVALID, "flags");
    CHECK_MISSING(kv.ns, "n");
    kv_close(kv);

    kv = open_cloudflare();
    luat_kv_incr_options brief = incr_options(0, 0, 59);
    CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, &brief, &sum, &error), LUAT_KV_LIMIT);
    kv_close(kv);
}

/* ---- add */

static void add_stores_what_is_missing(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration_ttl = 1000;
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("first"), NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("second"), &options, &error), LUAT_KV_CONFLICT);
    CHECK_VALUE(kv.ns, "key", "first");
    CHECK(expiration_of(kv.ns, "key") == 0);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("key"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT(""), &options, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "key", "");
    CHECK(expiration_of(kv.ns, "key") != 0);
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("x"), NULL, &error), LUAT_KV_CONFLICT);
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("no JSON") };
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("other"), LUAT_KV_TEXT("x"), &options, &error), LUAT_KV_INVALID);
    CHECK_MISSING(kv.ns, "other");
    kv_close(kv);
}

/* ---- touch */

static void touch_changes_the_expiration_alone(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("[1]") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("a\0b"), &options, &error), LUAT_KV_OK);
    luat_kv_entry *before = kv_entry(kv.ns, "key");
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), 4000000000, 0, &error), LUAT_KV_OK);
    luat_kv_entry *after = kv_entry(kv.ns, "key");
    CHECK_VIEW(luat_kv_entry_value, after, "a\0b");
    CHECK_VIEW(luat_kv_entry_metadata, after, "[1]");
    CHECK(luat_kv_entry_expiration(after) == 4000000000);
    CHECK(!kv_same_version(before, after));
    luat_kv_entry_free(before);
    luat_kv_entry_free(after);

    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), 4000000000, 1000, &error),
                 LUAT_KV_OK); /* the lifetime wins */
    CHECK(expiration_of(kv.ns, "key") < 4000000000);
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), 0, 0, &error), LUAT_KV_OK);
    CHECK(expiration_of(kv.ns, "key") == 0);
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), 1000, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), -1, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), 0, INT64_MAX, &error), LUAT_KV_INVALID);
    CHECK(expiration_of(kv.ns, "key") == 0);
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("missing"), 0, 0, &error), LUAT_KV_NOT_FOUND);
    CHECK_MISSING(kv.ns, "missing");
    kv_close(kv);
}

/* ---- What has expired is missing */

static void what_has_expired_is_missing(void)
{
    struct kv kv = open_default();
    luat_kv_incr_options options = incr_options(10, 0, 1);
    CHECK_INCR(kv.ns, "n", 1, &options, 11);
    CHECK_PUT(kv.ns, "added", "x");
    CHECK_PUT(kv.ns, "touched", "x");
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("added"), 0, 1, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("touched"), 0, 1, &error), LUAT_KV_OK);
    clock_advance(3); /* a lifetime of a second is over within two, and a tick of the clock */
    CHECK_INCR(kv.ns, "n", 1, NULL, 1);
    CHECK(expiration_of(kv.ns, "n") == 0);
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("added"), LUAT_KV_TEXT("again"), NULL, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "added", "again");
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("touched"), 0, 0, &error), LUAT_KV_NOT_FOUND);
    CHECK_MISSING(kv.ns, "touched");
    kv_close(kv);
}

/* ---- Many at once */

enum { PROCESSES = 8, TIMES = 1000 };

static void count_up(void *path)
{
    struct kv kv = kv_open(path);
    for (int time = 0; time < TIMES; time++)
        CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("hits"), 1, NULL, NULL, &error), LUAT_KV_OK);
    kv_close(kv);
}

static void eight_processes_count_together(void)
{
    pid_t children[PROCESSES];
    for (int at = 0; at < PROCESSES; at++)
        children[at] = child_start(count_up, scratch("kv.db"));
    for (int at = 0; at < PROCESSES; at++)
        child_join(children[at]);
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_VALUE(kv.ns, "hits", "8000");
    kv_close(kv);
    CHECK_INTEGRITY(scratch("kv.db"));
}

/* Exits with 0 if this process was the first. */
static void add_once(void *path)
{
    struct kv kv = kv_open(path);
    luat_kv_status status = luat_kv_add(kv.ns, LUAT_KV_TEXT("lock"), LUAT_KV_TEXT("mine"), NULL, NULL);
    kv_close(kv);
    _exit(status == LUAT_KV_OK ? 0 : status == LUAT_KV_CONFLICT ? 1 : 2);
}

static void one_of_eight_processes_adds(void)
{
    pid_t children[PROCESSES];
    int first = 0;
    for (int at = 0; at < PROCESSES; at++)
        children[at] = child_start(add_once, scratch("kv.db"));
    for (int at = 0; at < PROCESSES; at++) {
        int status = child_status(children[at]);
        CHECK(status == 0 || status == 1);
        first += status == 0;
    }
    CHECK(first == 1);
}

static const struct check_test tests[] = {
    TEST(a_counter_is_decimal_text),
    TEST(a_counter_holds_64_bits_and_no_more),
    TEST(what_is_no_whole_number_is_not_counted),
    TEST(counting_keeps_metadata_and_expiration),
    TEST(the_options_of_a_counter_are_checked),
    TEST(add_stores_what_is_missing),
    TEST(touch_changes_the_expiration_alone),
    TEST(what_has_expired_is_missing),
};

static const struct check_test processes[] = {
    TEST(eight_processes_count_together),
    TEST(one_of_eight_processes_adds),
};

int main(void)
{
    check_both_backends(tests);
    check_tests("", processes);
    return check_done();
}
