/*
 * Batches, on both back ends: all or nothing, versions and conditions, and invalid batches.
 */
#include "backends.h"
#include "process.h"

#include <time.h>

static luat_kv_batch *batch_open(luat_kv_store *store)
{
    luat_kv_batch *batch = NULL;
    CHECK_STATUS(luat_kv_batch_open(store, &batch, &error), LUAT_KV_OK);
    return batch;
}

static luat_kv_namespace *namespace_open(luat_kv_store *store, const char *name)
{
    luat_kv_namespace *ns = NULL;
    CHECK_STATUS(luat_kv_namespace_open(store, TEXT(name), &ns, &error), LUAT_KV_OK);
    return ns;
}

/* Keys and values are literals. */
#define CHECK_BATCH_PUT(batch, ns, key, value) \
    CHECK_STATUS(luat_kv_batch_put(batch, ns, LUAT_KV_TEXT(key), LUAT_KV_TEXT(value), NULL, &error), LUAT_KV_OK)

/* As it was when the entry was read; NULL: missing. */
static luat_kv_status check_entry(luat_kv_batch *batch, luat_kv_namespace *ns, const char *key,
                                  const luat_kv_entry *entry, luat_kv_error **error)
{
    size_t len = 0;
    const uint8_t *version = luat_kv_entry_version(entry, &len);
    return luat_kv_batch_check(batch, ns, TEXT(key), version, len, error);
}

/* ---- What a batch does */

static void a_batch_changes_several_namespaces_in_order(void)
{
    struct kv kv = open_default();
    luat_kv_namespace *other = namespace_open(kv.store, "other");
    CHECK_PUT(kv.ns, "old", "x");
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_BATCH_PUT(batch, kv.ns, "a\0b", "first");
    CHECK_BATCH_PUT(batch, other, "a\0b", "another");
    CHECK_BATCH_PUT(batch, kv.ns, "a\0b", "a\0second");
    CHECK_BATCH_PUT(batch, kv.ns, "gone", "x");
    CHECK_STATUS(luat_kv_batch_delete(batch, kv.ns, LUAT_KV_TEXT("gone"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_delete(batch, kv.ns, LUAT_KV_TEXT("old"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_delete(batch, kv.ns, LUAT_KV_TEXT("missing"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("n"), 2, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("n"), 3, NULL, &error), LUAT_KV_OK);
    CHECK_MISSING(kv.ns, "a\0b"); /* not before the commit */
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);
    CHECK_VALUE(kv.ns, "a\0b", "a\0second");
    CHECK_VALUE(other, "a\0b", "another");
    CHECK_VALUE(kv.ns, "n", "5");
    CHECK_MISSING(kv.ns, "gone");
    CHECK_MISSING(kv.ns, "old");
    luat_kv_namespace_free(other);
    kv_close(kv);
}

static void a_batch_puts_with_options(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_incr_options count;
    luat_kv_put_options_init(&options, sizeof options);
    luat_kv_incr_options_init(&count, sizeof count);
    char key[] = "key", value[] = "value", metadata[] = "[1]";
    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ TEXT(metadata) };
    count.initial = 10;
    count.expiration = 4100000000;
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, TEXT(key), TEXT(value), &options, &error), LUAT_KV_OK);
    memset(key, 'x', 3), memset(value, 'x', 5), memset(metadata, 'x', 3); /* borrowed for the call only */
    CHECK_STATUS(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("n"), -1, &count, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);

    luat_kv_entry *entry = kv_entry(kv.ns, "key"), *n = kv_entry(kv.ns, "n");
    CHECK_VIEW(luat_kv_entry_value, entry, "value");
    CHECK_VIEW(luat_kv_entry_metadata, entry, "[1]");
    CHECK(luat_kv_entry_expiration(entry) == 4000000000);
    CHECK_VIEW(luat_kv_entry_value, n, "9");
    CHECK(luat_kv_entry_expiration(n) == 4100000000);
    luat_kv_entry_free(entry);
    luat_kv_entry_free(n);
    kv_close(kv);
}

static void an_empty_batch_commits(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);
    luat_kv_batch_free(batch_open(kv.store)); /* and one may be forgotten */
    kv_close(kv);
}

static void a_batch_keeps_its_store_open(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_BATCH_PUT(batch, kv.ns, "key", "value");
    kv_close(kv);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);
    if (backend == DISK) {
        kv = open_default();
        CHECK_VALUE(kv.ns, "key", "value");
        kv_close(kv);
    }
}

/* ---- Conditions */

static void a_batch_goes_on_only_if_nobody_has_written(void)
{
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "key", "1");
    luat_kv_entry *read = kv_entry(kv.ns, "key");
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_STATUS(check_entry(batch, kv.ns, "key", read, &error), LUAT_KV_OK);
    CHECK_STATUS(check_entry(batch, kv.ns, "missing", NULL, &error), LUAT_KV_OK);
    CHECK_BATCH_PUT(batch, kv.ns, "key", "2");
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "key", "2");
    luat_kv_batch_free(batch);

    batch = batch_open(kv.store); /* the version is stale now */
    CHECK_BATCH_PUT(batch, kv.ns, "other", "x");
    CHECK_STATUS(check_entry(batch, kv.ns, "key", read, &error), LUAT_KV_OK);
    CHECK_BATCH_PUT(batch, kv.ns, "key", "3");
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_CONFLICT);
    CHECK_NO_VIEW(luat_kv_batch_version, batch);
    CHECK_VALUE(kv.ns, "key", "2");
    CHECK_MISSING(kv.ns, "other"); /* not what came before the condition either */
    CHECK_REFUSED(luat_kv_batch_commit(batch, &error), LUAT_KV_INVALID, "committed"); /* a conflict is its end */
    luat_kv_batch_free(batch);

    batch = batch_open(kv.store);
    CHECK_STATUS(check_entry(batch, kv.ns, "key", NULL, &error), LUAT_KV_OK); /* it is not missing */
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_CONFLICT);
    luat_kv_batch_free(batch);
    luat_kv_entry_free(read);
    kv_close(kv);
}

static luat_kv_status commit_checked(struct kv kv, const luat_kv_entry *entry, luat_kv_error **error)
{
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_STATUS(check_entry(batch, kv.ns, "key", entry, &error), LUAT_KV_OK);
    luat_kv_status status = luat_kv_batch_commit(batch, error);
    luat_kv_batch_free(batch);
    return status;
}

static void every_write_gives_another_version(void)
{
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "key", "same");
    luat_kv_entry *first = kv_entry(kv.ns, "key");
    CHECK_STATUS(commit_checked(kv, first, &error), LUAT_KV_OK);
    CHECK_STATUS(commit_checked(kv, first, &error), LUAT_KV_OK); /* reading is no write */
    CHECK_PUT(kv.ns, "key", "same");
    CHECK_STATUS(commit_checked(kv, first, &error), LUAT_KV_CONFLICT);
    CHECK_STATUS(kv_delete(kv.ns, "key", &error), LUAT_KV_OK);
    CHECK_STATUS(commit_checked(kv, first, &error), LUAT_KV_CONFLICT);
    CHECK_STATUS(commit_checked(kv, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_add(kv.ns, LUAT_KV_TEXT("key"), LUAT_KV_TEXT("same"), NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(commit_checked(kv, first, &error), LUAT_KV_CONFLICT);
    luat_kv_entry *added = kv_entry(kv.ns, "key");
    CHECK_STATUS(luat_kv_touch(kv.ns, LUAT_KV_TEXT("key"), 0, 0, &error), LUAT_KV_OK);
    CHECK_STATUS(commit_checked(kv, added, &error), LUAT_KV_CONFLICT);
    luat_kv_entry_free(first);
    luat_kv_entry_free(added);
    kv_close(kv);
}

static void a_commit_tells_the_version_of_what_it_put(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = batch_open(kv.store), *next = batch_open(kv.store);
    size_t len = 0;
    CHECK_BATCH_PUT(batch, kv.ns, "a", "1");
    CHECK_BATCH_PUT(batch, kv.ns, "b", "1");
    CHECK_NO_VIEW(luat_kv_batch_version, batch);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    const uint8_t *version = luat_kv_batch_version(batch, &len);
    luat_kv_entry *a = kv_entry(kv.ns, "a"), *b = kv_entry(kv.ns, "b");
    size_t entry_len = 0;
    const uint8_t *entry_version = luat_kv_entry_version(a, &entry_len);
    CHECK(kv_same_version(a, b));
    CHECK(version && entry_version && len == entry_len && memcmp(version, entry_version, len) == 0);
    CHECK(luat_kv_batch_version(batch, NULL) == version);

    CHECK_STATUS(luat_kv_batch_check(next, kv.ns, LUAT_KV_TEXT("b"), version, len, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);
    CHECK_STATUS(luat_kv_batch_commit(next, &error), LUAT_KV_OK);
    luat_kv_batch_free(next);
    luat_kv_entry_free(a);
    luat_kv_entry_free(b);
    kv_close(kv);
}

static void a_malformed_version_is_refused(void)
{
    static const char *const garbage[] = {
        "x", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA=", "AAAA AAAAAAAAAAA", "\xff\xfe", "null",
    };
    struct kv kv = open_default();
    luat_kv_batch *batch = batch_open(kv.store);
    for (size_t at = 0; at < sizeof garbage / sizeof *garbage; at++)
        CHECK_REFUSED(luat_kv_batch_check(batch, kv.ns, LUAT_KV_TEXT("key"), TEXT(garbage[at]), &error),
                      LUAT_KV_INVALID,
                      "version");
    CHECK_STATUS(luat_kv_batch_check(batch, kv.ns, LUAT_KV_TEXT("key"), NULL, 16, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_check(batch, kv.ns, LUAT_KV_TEXT("key"), (const uint8_t *)"", 0, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK); /* none of them was added */
    luat_kv_batch_free(batch);
    kv_close(kv);
}

/* ---- Errors */

static void what_is_refused_leaves_a_batch_as_it_was(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = batch_open(kv.store);
    luat_kv_put_options put;
    luat_kv_incr_options incr;
    luat_kv_put_options_init(&put, sizeof put);
    luat_kv_incr_options_init(&incr, sizeof incr);
    CHECK_BATCH_PUT(batch, kv.ns, "key", "value");
    put.expiration = 1000;
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("a"), LUAT_KV_TEXT("x"), &put, &error), LUAT_KV_INVALID);
    put.expiration = 0;
    put.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("no JSON") };
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("a"), LUAT_KV_TEXT("x"), &put, &error), LUAT_KV_INVALID);
    put.struct_size = 0;
    CHECK_REFUSED(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("a"), LUAT_KV_TEXT("x"), &put, &error),
                  LUAT_KV_INVALID, "size");
    incr.flags = 1;
    CHECK_REFUSED(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("a"), 1, &incr, &error), LUAT_KV_INVALID, "flags");
    incr.flags = 0;
    incr.expiration_ttl = -1;
    CHECK_STATUS(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("a"), 1, &incr, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_delete(batch, kv.ns, LUAT_KV_TEXT(""), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_delete(batch, kv.ns, LUAT_KV_TEXT("\xff"), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(batch);
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_MISSING(kv.ns, "a");
    kv_close(kv);
}

static void a_batch_may_be_tried_again_after_an_error(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_PUT(kv.ns, "n", "no number");
    CHECK_BATCH_PUT(batch, kv.ns, "key", "value");
    CHECK_STATUS(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("n"), 1, NULL, &error), LUAT_KV_OK);
    CHECK_REFUSED(luat_kv_batch_commit(batch, &error), LUAT_KV_INVALID, "\"n\"");
    CHECK_NO_VIEW(luat_kv_batch_version, batch);
    CHECK_MISSING(kv.ns, "key");
    CHECK_PUT(kv.ns, "n", "41");
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "n", "42");
    CHECK_VALUE(kv.ns, "key", "value");

    CHECK_STATUS(kv_put(kv.ns, "n", "9223372036854775807", &error), LUAT_KV_OK);
    luat_kv_batch *over = batch_open(kv.store);
    CHECK_STATUS(luat_kv_batch_incr(over, kv.ns, LUAT_KV_TEXT("n"), 1, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_commit(over, &error), LUAT_KV_INVALID);
    luat_kv_batch_free(over);
    luat_kv_batch_free(batch);
    kv_close(kv);
}

static void a_batch_commits_once(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_STATUS(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("n"), 1, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    CHECK_REFUSED(luat_kv_batch_commit(batch, &error), LUAT_KV_INVALID, "committed");
    CHECK(luat_kv_batch_version(batch, NULL) != NULL); /* it still tells */
    CHECK_STATUS(luat_kv_batch_incr(batch, kv.ns, LUAT_KV_TEXT("n"), 1, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("k"), LUAT_KV_TEXT("v"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_delete(batch, kv.ns, LUAT_KV_TEXT("k"), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_check(batch, kv.ns, LUAT_KV_TEXT("k"), NULL, 0, &error), LUAT_KV_INVALID);
    CHECK_VALUE(kv.ns, "n", "1");
    luat_kv_batch_free(batch);
    kv_close(kv);
}

static void a_batch_is_for_one_store(void)
{
    struct kv kv = open_default(), memory = kv_memory(), same = open_default();
    luat_kv_batch *batch = batch_open(kv.store);
    CHECK_REFUSED(luat_kv_batch_put(batch, memory.ns, LUAT_KV_TEXT("k"), LUAT_KV_TEXT("v"), NULL, &error),
                  LUAT_KV_INVALID, "store");
    CHECK_STATUS(luat_kv_batch_check(batch, memory.ns, LUAT_KV_TEXT("k"), NULL, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_delete(batch, memory.ns, LUAT_KV_TEXT("k"), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_incr(batch, memory.ns, LUAT_KV_TEXT("k"), 1, NULL, &error), LUAT_KV_INVALID);
    /* A store that was opened twice is two stores. */
    CHECK_STATUS(luat_kv_batch_delete(batch, same.ns, LUAT_KV_TEXT("k"), &error), LUAT_KV_INVALID);
    luat_kv_batch_free(batch);
    kv_close(kv);
    kv_close(memory);
    kv_close(same);
}

static void a_batch_needs_its_arguments(void)
{
    struct kv kv = open_default();
    luat_kv_batch *batch = GARBAGE;
    CHECK_STATUS(luat_kv_batch_open(NULL, &batch, &error), LUAT_KV_INVALID);
    CHECK(batch == NULL);
    CHECK_STATUS(luat_kv_batch_open(kv.store, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_open(kv.store, NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_check(NULL, kv.ns, LUAT_KV_TEXT("k"), NULL, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_put(NULL, kv.ns, LUAT_KV_TEXT("k"), LUAT_KV_TEXT("v"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_delete(NULL, kv.ns, LUAT_KV_TEXT("k"), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_incr(NULL, kv.ns, LUAT_KV_TEXT("k"), 1, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_commit(NULL, &error), LUAT_KV_INVALID);
    CHECK_NO_VIEW(luat_kv_batch_version, NULL);
    luat_kv_batch_free(NULL);

    batch = batch_open(kv.store);
    CHECK_STATUS(luat_kv_batch_check(batch, NULL, LUAT_KV_TEXT("k"), NULL, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_check(batch, kv.ns, NULL, 0, NULL, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_put(batch, NULL, LUAT_KV_TEXT("k"), LUAT_KV_TEXT("v"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, NULL, 1, LUAT_KV_TEXT("v"), NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("k"), NULL, 1, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("k"), NULL, 1, NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_delete(batch, NULL, LUAT_KV_TEXT("k"), &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_incr(batch, NULL, LUAT_KV_TEXT("k"), 1, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("k"), NULL, 0, NULL, &error), LUAT_KV_OK); /* empty */
    CHECK_STATUS(luat_kv_batch_commit(batch, NULL), LUAT_KV_OK);
    luat_kv_batch_free(batch);
    CHECK_VALUE(kv.ns, "k", "");
    kv_close(kv);
}

/* ---- Processes */

enum { PROCESSES = 8, TIMES = 200 };

/* Reads a number and puts the next one. If another process has written meanwhile, it starts again. */
static void check_and_put(void *path)
{
    struct kv kv = kv_open(path);
    for (int done = 0; done < TIMES;) {
        luat_kv_entry *entry = kv_entry(kv.ns, "n");
        luat_kv_batch *batch = batch_open(kv.store);
        char text[20] = "";
        size_t len = 0;
        const uint8_t *value = luat_kv_entry_value(entry, &len);
        memcpy(text, value, len);
        len = (size_t)snprintf(text, sizeof text, "%d", atoi(text) + 1);
        CHECK_STATUS(check_entry(batch, kv.ns, "n", entry, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, LUAT_KV_TEXT("n"), TEXT(text), NULL, &error), LUAT_KV_OK);
        luat_kv_status status = luat_kv_batch_commit(batch, NULL);
        CHECK(status == LUAT_KV_OK || status == LUAT_KV_CONFLICT);
        done += status == LUAT_KV_OK;
        luat_kv_batch_free(batch);
        luat_kv_entry_free(entry);
        if (check_failures)
            break;
    }
    kv_close(kv);
}

static void eight_processes_lose_no_update(void)
{
    pid_t children[PROCESSES];
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "n", "0");
    kv_close(kv);
    for (int at = 0; at < PROCESSES; at++)
        children[at] = child_start(check_and_put, scratch("kv.db"));
    for (int at = 0; at < PROCESSES; at++)
        child_join(children[at]);
    kv = kv_open(scratch("kv.db"));
    CHECK_VALUE(kv.ns, "n", "1600");
    kv_close(kv);
}

enum { ROUNDS = 40, PUTS = 2000 };

/* A batch of many puts, whose value is the round's. */
static luat_kv_status put_round(struct kv kv, const char *value, luat_kv_error **error)
{
    luat_kv_batch *batch = batch_open(kv.store);
    char key[20];
    for (int number = 0; number < PUTS; number++) {
        snprintf(key, sizeof key, "k%d", number);
        CHECK_STATUS(luat_kv_batch_put(batch, kv.ns, TEXT(key), TEXT(value), NULL, &error), LUAT_KV_OK);
    }
    luat_kv_status status = luat_kv_batch_commit(batch, error);
    luat_kv_batch_free(batch);
    return status;
}

/* Commits batch upon batch until it is killed, after having said that it is about to. */
static void put_rounds(void *context)
{
    const int *out = context;
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK(write(*out, "!", 1) == 1);
    for (int round = 0;; round++) {
        char value[20];
        snprintf(value, sizeof value, "%d in %d", round, (int)getpid());
        CHECK_STATUS(put_round(kv, value, &error), LUAT_KV_OK);
    }
}

/* All the keys hold one value. */
static void check_one_round(luat_kv_namespace *ns)
{
    luat_kv_list_options options = kv_list_options("", PUTS + 1);
    luat_kv_page *page = NULL;
    options.flags = LUAT_KV_LIST_VALUES;
    CHECK_STATUS(luat_kv_list(ns, &options, &page, &error), LUAT_KV_OK);
    CHECK(luat_kv_page_len(page) == PUTS);
    size_t first_len = 0, len = 0, others = 0;
    const uint8_t *first = luat_kv_entry_value(luat_kv_page_at(page, 0), &first_len);
    for (size_t at = 1; at < luat_kv_page_len(page); at++) {
        const uint8_t *value = luat_kv_entry_value(luat_kv_page_at(page, at), &len);
        others += len != first_len || memcmp(value, first, len) != 0;
    }
    CHECK(others == 0);
    luat_kv_page_free(page);
}

static void a_kill_leaves_all_of_a_batch_or_nothing(void)
{
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_STATUS(put_round(kv, "the first", &error), LUAT_KV_OK);
    kv_close(kv);
    for (int round = 0; round < ROUNDS; round++) {
        int pipes[2];
        char byte;
        CHECK(pipe(pipes) == 0);
        pid_t child = child_start(put_rounds, &pipes[1]);
        close(pipes[1]);
        CHECK(read(pipes[0], &byte, 1) == 1);
        close(pipes[0]);
        const struct timespec moment = { 0, round * 1500000L }; /* another each time */
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        CHECK(child_status(child) == 128 + SIGKILL);
        kv = kv_open(scratch("kv.db"));
        check_one_round(kv.ns);
        kv_close(kv);
    }
    CHECK_INTEGRITY(scratch("kv.db"));
}

struct carried {
    struct kv kv;
    luat_kv_batch *batch;
};

/* The child's batch is a copy, as its handles are. */
static void commit_carried(void *context)
{
    struct carried *carried = context;
    CHECK_STATUS(luat_kv_batch_commit(carried->batch, &error), LUAT_KV_OK);
    luat_kv_batch_free(carried->batch);
    kv_close(carried->kv);
}

static void parent_and_child_each_commit(void)
{
    struct carried carried = { kv_open(scratch("kv.db")), NULL };
    carried.batch = batch_open(carried.kv.store);
    CHECK_STATUS(luat_kv_batch_incr(carried.batch, carried.kv.ns, LUAT_KV_TEXT("n"), 1, NULL, &error), LUAT_KV_OK);
    child_run(commit_carried, &carried);
    CHECK_VALUE(carried.kv.ns, "n", "1");
    luat_kv_entry *childs = kv_entry(carried.kv.ns, "n");
    CHECK_STATUS(luat_kv_batch_commit(carried.batch, &error), LUAT_KV_OK);
    CHECK_VALUE(carried.kv.ns, "n", "2");
    luat_kv_entry *ours = kv_entry(carried.kv.ns, "n");
    CHECK(!kv_same_version(childs, ours));
    luat_kv_entry_free(childs);
    luat_kv_entry_free(ours);
    luat_kv_batch_free(carried.batch);
    kv_close(carried.kv);
}

static void a_batch_waits_and_may_be_tried_again(void)
{
    luat_kv_open_options options;
    luat_kv_store *store = NULL;
    char line[20];
    luat_kv_open_options_init(&options, sizeof options);
    options.flags = LUAT_KV_OPEN_NOWAIT;
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_OK);
    struct kv kv = kv_over(store);
    luat_kv_batch *batch = batch_open(store);
    CHECK_BATCH_PUT(batch, kv.ns, "key", "value");
    struct process shell = process_start((const char *const[]){ "sqlite3", scratch("kv.db"), NULL });
    process_write(shell, "BEGIN IMMEDIATE;\nSELECT 'held';\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "held") == 0);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_BUSY);
    CHECK_MISSING(kv.ns, "key");
    process_write(shell, "COMMIT;\nSELECT 'free';\n");
    CHECK(process_read(shell, line, sizeof line) && strcmp(line, "free") == 0);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK(process_end(shell) == 0);
    luat_kv_batch_free(batch);
    kv_close(kv);
}

static const struct check_test tests[] = {
    TEST(a_batch_changes_several_namespaces_in_order),
    TEST(a_batch_puts_with_options),
    TEST(an_empty_batch_commits),
    TEST(a_batch_keeps_its_store_open),
    TEST(a_batch_goes_on_only_if_nobody_has_written),
    TEST(every_write_gives_another_version),
    TEST(a_commit_tells_the_version_of_what_it_put),
    TEST(a_malformed_version_is_refused),
    TEST(what_is_refused_leaves_a_batch_as_it_was),
    TEST(a_batch_may_be_tried_again_after_an_error),
    TEST(a_batch_commits_once),
    TEST(a_batch_is_for_one_store),
    TEST(a_batch_needs_its_arguments),
};

static const struct check_test processes[] = {
    TEST(eight_processes_lose_no_update),
    TEST(a_kill_leaves_all_of_a_batch_or_nothing),
    TEST(parent_and_child_each_commit),
    TEST(a_batch_waits_and_may_be_tried_again),
};

int main(void)
{
    check_both_backends(tests);
    check_tests("", processes);
    return check_done();
}
