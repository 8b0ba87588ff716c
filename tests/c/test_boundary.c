/*
 * Attacks on the boundary: NULL for every pointer of every function that can fail, and a length beyond all memory for
 * every length, each with and without an error object; then inputs that end where readable memory does. The last test
 * reads the header, and finds functions that are not covered.
 */
#include "kv.h"

#include <stddef.h>
#include <sys/mman.h>

static struct kv kv;
static luat_kv_batch *batch;

static void attack_begins(void)
{
    kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "as before");
    CHECK_STATUS(luat_kv_batch_open(kv.store, &batch, &error), LUAT_KV_OK);
}

static void attack_ends(void)
{
    CHECK_VALUE(kv.ns, "key", "as before");
    CHECK(kv_count(kv.ns, "") == 1);
    CHECK_STATUS(luat_kv_batch_commit(batch, &error), LUAT_KV_OK);
    CHECK(kv_count(kv.ns, "") == 1); /* nothing was added to it */
    luat_kv_batch_free(batch);
    kv_close(kv);
}

/* ---- What was attacked, as "function.parameter " */

static char attacked[1 << 14];

static void note(const char *function, const char *parameter)
{
    char name[200];
    int len = snprintf(name, sizeof name, "luat_kv_%s.%s ", function, parameter);
    if (strstr(attacked, name))
        return;
    CHECK(strlen(attacked) + (size_t)len < sizeof attacked);
    strncat(attacked, name, sizeof attacked - strlen(attacked) - 1);
}

/* The call takes `at` for its error: once that of a variable, once NULL. */
#define CALL(function, parameter, call, status) \
    do { \
        luat_kv_error *error = GARBAGE, **at = &error; \
        luat_kv_status status_ = (call); \
        check_status(status_, status, error, "", #call, __FILE__, __LINE__); \
        at = NULL; \
        CHECK((call) == (status)); \
        note(#function, #parameter); \
        note(#function, "error"); \
    } while (0)

#define REFUSED(function, parameter, call) CALL(function, parameter, call, LUAT_KV_INVALID)
#define TAKEN(function, parameter, call) CALL(function, parameter, call, LUAT_KV_OK)

/* The same, and an output is overwritten. */
#define RESET(function, parameter, call, output, garbage, none) \
    do { \
        output = garbage; \
        REFUSED(function, parameter, call); \
        CHECK(output == none); \
    } while (0)
#define NO_HANDLE(function, parameter, call) RESET(function, parameter, call, out, GARBAGE, NULL)
#define NO_NUMBER(function, parameter, call) RESET(function, parameter, call, number, 7, 0)

#define KEY LUAT_KV_TEXT("key")
#define VALUE LUAT_KV_TEXT("x")
#define LONG (const uint8_t *)"key", (size_t)PTRDIFF_MAX + 1
#define LONGEST (const uint8_t *)"key", SIZE_MAX

/* ---- Stores */

static void opening(void)
{
    char path[PATH_MAX];
    luat_kv_store *out;
    snprintf(path, sizeof path, "%s", scratch("none.db"));
    NO_HANDLE(open, path, luat_kv_open(NULL, NULL, &out, at));
    REFUSED(open, out, luat_kv_open(path, NULL, NULL, at));
    NO_HANDLE(open_url, url, luat_kv_open_url(NULL, NULL, &out, at));
    REFUSED(open_url, out, luat_kv_open_url(path, NULL, NULL, at));
    CHECK(access(path, F_OK) != 0);
    REFUSED(open_project, out, luat_kv_open_project(scratch(""), NULL, NULL, at));
    REFUSED(open_memory, out, luat_kv_open_memory(NULL, NULL, at));
#define CLOSED(call) ((call) == LUAT_KV_OK ? luat_kv_close(out), LUAT_KV_OK : LUAT_KV_INTERNAL)
    TAKEN(open, options, CLOSED(luat_kv_open(path, NULL, &out, at)));
    TAKEN(open_url, options, CLOSED(luat_kv_open_url("memory:", NULL, &out, at)));
    TAKEN(open_project, options, CLOSED(luat_kv_open_project(scratch(""), NULL, &out, at)));
    TAKEN(open_memory, options, CLOSED(luat_kv_open_memory(NULL, &out, at)));
    char here[PATH_MAX];
    CHECK(getcwd(here, sizeof here) && chdir(scratch("")) == 0);
    TAKEN(open_project, dir, CLOSED(luat_kv_open_project(NULL, NULL, &out, at)));
    CHECK(chdir(here) == 0);
#undef CLOSED
}

static void store_calls(void)
{
    attack_begins();
    uint64_t number;
    int complete = 7;
    luat_kv_page *page = GARBAGE;
    NO_NUMBER(sweep, store, luat_kv_sweep(NULL, 0, &number, at));
    TAKEN(sweep, removed, luat_kv_sweep(kv.store, 0, NULL, at));
    REFUSED(compact, store, luat_kv_compact(NULL, at));
    REFUSED(checkpoint, store, luat_kv_checkpoint(NULL, &complete, at));
    CHECK(complete == 0);
    TAKEN(checkpoint, complete, luat_kv_checkpoint(kv.store, NULL, at));
    REFUSED(backup, store, luat_kv_backup(NULL, "nowhere.db", at));
    REFUSED(backup, path, luat_kv_backup(kv.store, NULL, at));
    RESET(namespaces, store, luat_kv_namespaces(NULL, &page, at), page, GARBAGE, NULL);
    REFUSED(namespaces, out, luat_kv_namespaces(kv.store, NULL, at));
    attack_ends();
}

static void handles_of_a_store(void)
{
    attack_begins();
    {
        luat_kv_namespace *out;
        NO_HANDLE(namespace_open, store, luat_kv_namespace_open(NULL, KEY, &out, at));
        NO_HANDLE(namespace_open, name, luat_kv_namespace_open(kv.store, NULL, 3, &out, at));
        NO_HANDLE(namespace_open, name_len, luat_kv_namespace_open(kv.store, LONG, &out, at));
        NO_HANDLE(namespace_open, name_len, luat_kv_namespace_open(kv.store, LONGEST, &out, at));
        REFUSED(namespace_open, out, luat_kv_namespace_open(kv.store, KEY, NULL, at));
    }
    luat_kv_stats *stats;
    RESET(stats_read, store, luat_kv_stats_read(NULL, &stats, at), stats, GARBAGE, NULL);
    REFUSED(stats_read, out, luat_kv_stats_read(kv.store, NULL, at));
    luat_kv_batch *out;
    NO_HANDLE(batch_open, store, luat_kv_batch_open(NULL, &out, at));
    REFUSED(batch_open, out, luat_kv_batch_open(kv.store, NULL, at));
    attack_ends();
}

/* ---- Namespaces */

/* A function that takes nothing but a key. */
#define KEYS(function) \
    REFUSED(function, ns, luat_kv_##function(NULL, KEY, at)); \
    REFUSED(function, key, luat_kv_##function(kv.ns, NULL, 3, at)); \
    REFUSED(function, key_len, luat_kv_##function(kv.ns, LONG, at)); \
    REFUSED(function, key_len, luat_kv_##function(kv.ns, LONGEST, at))

static void reads(void)
{
    attack_begins();
    uint8_t dst[9];
    size_t number;
    NO_NUMBER(get, ns, luat_kv_get(NULL, KEY, dst, sizeof dst, &number, at));
    NO_NUMBER(get, key, luat_kv_get(kv.ns, NULL, 3, dst, sizeof dst, &number, at));
    NO_NUMBER(get, key_len, luat_kv_get(kv.ns, LONG, dst, sizeof dst, &number, at));
    NO_NUMBER(get, key_len, luat_kv_get(kv.ns, LONGEST, dst, sizeof dst, &number, at));
    NO_NUMBER(get, dst, luat_kv_get(kv.ns, KEY, NULL, 9, &number, at));
    NO_NUMBER(get, dst, luat_kv_get(kv.ns, KEY, NULL, SIZE_MAX, &number, at));
    TAKEN(get, cap, luat_kv_get(kv.ns, KEY, dst, SIZE_MAX, &number, at));
    REFUSED(get, len, luat_kv_get(kv.ns, KEY, dst, sizeof dst, NULL, at));
    {
        luat_kv_entry *out;
        NO_HANDLE(get_entry, ns, luat_kv_get_entry(NULL, KEY, &out, at));
        NO_HANDLE(get_entry, key, luat_kv_get_entry(kv.ns, NULL, 3, &out, at));
        NO_HANDLE(get_entry, key_len, luat_kv_get_entry(kv.ns, LONG, &out, at));
        NO_HANDLE(get_entry, key_len, luat_kv_get_entry(kv.ns, LONGEST, &out, at));
        REFUSED(get_entry, out, luat_kv_get_entry(kv.ns, KEY, NULL, at));
    }
    KEYS(has);
    luat_kv_page *out;
    const luat_kv_bytes good = { KEY }, none = { NULL, 3 }, too_long = { LONG };
    NO_HANDLE(get_many, ns, luat_kv_get_many(NULL, &good, 1, &out, at));
    NO_HANDLE(get_many, keys, luat_kv_get_many(kv.ns, NULL, 1, &out, at));
    NO_HANDLE(get_many, keys, luat_kv_get_many(kv.ns, &none, 1, &out, at));
    NO_HANDLE(get_many, keys, luat_kv_get_many(kv.ns, &too_long, 1, &out, at));
    NO_HANDLE(get_many, count, luat_kv_get_many(kv.ns, &good, SIZE_MAX, &out, at));
    NO_HANDLE(get_many, count, luat_kv_get_many(kv.ns, &good, SIZE_MAX / sizeof good + 2, &out, at)); /* times 16: 16 */
    NO_HANDLE(get_many, count, luat_kv_get_many(kv.ns, &good, PTRDIFF_MAX / sizeof good + 1, &out, at));
    REFUSED(get_many, out, luat_kv_get_many(kv.ns, &good, 1, NULL, at));
    attack_ends();
}

static void writes(void)
{
    attack_begins();
    int64_t number;
#define PUTS(put) \
    REFUSED(put, ns, luat_kv_##put(NULL, KEY, VALUE, NULL, at)); \
    REFUSED(put, key, luat_kv_##put(kv.ns, NULL, 3, VALUE, NULL, at)); \
    REFUSED(put, key_len, luat_kv_##put(kv.ns, LONG, VALUE, NULL, at)); \
    REFUSED(put, key_len, luat_kv_##put(kv.ns, LONGEST, VALUE, NULL, at)); \
    REFUSED(put, value, luat_kv_##put(kv.ns, LUAT_KV_TEXT("other"), NULL, 1, NULL, at)); \
    REFUSED(put, value_len, luat_kv_##put(kv.ns, LUAT_KV_TEXT("other"), LONG, NULL, at)); \
    REFUSED(put, value_len, luat_kv_##put(kv.ns, LUAT_KV_TEXT("other"), LONGEST, NULL, at))
    PUTS(put);
    PUTS(add);
#undef PUTS
    TAKEN(put, options, luat_kv_put(kv.ns, KEY, LUAT_KV_TEXT("as before"), NULL, at));
    CALL(add, options, luat_kv_add(kv.ns, KEY, VALUE, NULL, at), LUAT_KV_CONFLICT);
    REFUSED(touch, ns, luat_kv_touch(NULL, KEY, 0, 0, at));
    REFUSED(touch, key, luat_kv_touch(kv.ns, NULL, 3, 0, 0, at));
    REFUSED(touch, key_len, luat_kv_touch(kv.ns, LONG, 0, 0, at));
    REFUSED(touch, key_len, luat_kv_touch(kv.ns, LONGEST, 0, 0, at));
    NO_NUMBER(incr, ns, luat_kv_incr(NULL, KEY, 1, NULL, &number, at));
    NO_NUMBER(incr, key, luat_kv_incr(kv.ns, NULL, 3, 1, NULL, &number, at));
    NO_NUMBER(incr, key_len, luat_kv_incr(kv.ns, LONG, 1, NULL, &number, at));
    NO_NUMBER(incr, key_len, luat_kv_incr(kv.ns, LONGEST, 1, NULL, &number, at));
    TAKEN(incr, options, luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, NULL, &number, at));
    TAKEN(incr, sum, luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, NULL, NULL, at));
    KEYS(delete);
    KEYS(remove);
#undef KEYS
    TAKEN(delete, key, luat_kv_delete(kv.ns, LUAT_KV_TEXT("n"), at));
    luat_kv_entry *out;
    NO_HANDLE(take, ns, luat_kv_take(NULL, KEY, &out, at));
    NO_HANDLE(take, key, luat_kv_take(kv.ns, NULL, 3, &out, at));
    NO_HANDLE(take, key_len, luat_kv_take(kv.ns, LONG, &out, at));
    NO_HANDLE(take, key_len, luat_kv_take(kv.ns, LONGEST, &out, at));
    REFUSED(take, out, luat_kv_take(kv.ns, KEY, NULL, at));
    attack_ends();
}

static void writes_with_versions(void)
{
    attack_begins();
    char version[LUAT_KV_VERSION_SIZE];
#define NO_VERSION(put, parameter, call) RESET(put, parameter, call, *version, 7, '\0')
#define PUTS(put) \
    NO_VERSION(put, ns, luat_kv_##put(NULL, KEY, VALUE, NULL, version, at)); \
    NO_VERSION(put, key, luat_kv_##put(kv.ns, NULL, 3, VALUE, NULL, version, at)); \
    NO_VERSION(put, key_len, luat_kv_##put(kv.ns, LONG, VALUE, NULL, version, at)); \
    NO_VERSION(put, key_len, luat_kv_##put(kv.ns, LONGEST, VALUE, NULL, version, at)); \
    NO_VERSION(put, value, luat_kv_##put(kv.ns, LUAT_KV_TEXT("other"), NULL, 1, NULL, version, at)); \
    NO_VERSION(put, value_len, luat_kv_##put(kv.ns, LUAT_KV_TEXT("other"), LONG, NULL, version, at)); \
    NO_VERSION(put, value_len, luat_kv_##put(kv.ns, LUAT_KV_TEXT("other"), LONGEST, NULL, version, at))
    PUTS(put_versioned);
    PUTS(add_versioned);
#undef PUTS
    TAKEN(put_versioned, options, luat_kv_put_versioned(kv.ns, KEY, LUAT_KV_TEXT("as before"), NULL, version, at));
    TAKEN(put_versioned, version, luat_kv_put_versioned(kv.ns, KEY, LUAT_KV_TEXT("as before"), NULL, NULL, at));
    CALL(add_versioned, options, luat_kv_add_versioned(kv.ns, KEY, VALUE, NULL, version, at), LUAT_KV_CONFLICT);
    CALL(add_versioned, version, luat_kv_add_versioned(kv.ns, KEY, VALUE, NULL, NULL, at), LUAT_KV_CONFLICT);
    attack_ends();
}

static void attack_iterators(void)
{
    luat_kv_iter *out, *iter = NULL;
    const luat_kv_entry *entry;
    luat_kv_list_options options;
    NO_HANDLE(iter_open, ns, luat_kv_iter_open(NULL, NULL, &out, at));
    REFUSED(iter_open, out, luat_kv_iter_open(kv.ns, NULL, NULL, at));
    luat_kv_list_options_init(&options, sizeof options);
    options.prefix = (luat_kv_bytes){ LONG };
    NO_HANDLE(iter_open, options, luat_kv_iter_open(kv.ns, &options, &out, at));
    CHECK_STATUS(luat_kv_iter_open(kv.ns, NULL, &iter, &error), LUAT_KV_OK);
    RESET(iter_next, iter, luat_kv_iter_next(NULL, &entry, at), entry, GARBAGE, NULL);
    REFUSED(iter_next, entry, luat_kv_iter_next(iter, NULL, at));
    CHECK_STATUS(luat_kv_iter_next(iter, &entry, &error), LUAT_KV_OK); /* the first one is still to come */
    CHECK_VIEW(luat_kv_entry_key, entry, "key");
    luat_kv_iter_free(iter);
}

static void watches(void)
{
    attack_begins();
    luat_kv_watch *out, *watch = NULL;
    luat_kv_page *page;
    luat_kv_watch_options options;
    const luat_kv_bytes good = { KEY }, none = { NULL, 3 };
    luat_kv_bytes token;
    int fd;
    NO_HANDLE(watch_open, ns, luat_kv_watch_open(NULL, NULL, &out, at));
    REFUSED(watch_open, out, luat_kv_watch_open(kv.ns, NULL, NULL, at));
    luat_kv_watch_options_init(&options, sizeof options);
    options.prefix = (luat_kv_bytes){ LONG };
    NO_HANDLE(watch_open, options, luat_kv_watch_open(kv.ns, &options, &out, at));
    options.prefix = (luat_kv_bytes){ NULL, 0 };
    const luat_kv_bytes tokens[] = { none, { LONG }, { LONGEST } };
    for (int at_token = 0; at_token < 3; at_token++) {
        options.since = tokens[at_token];
        NO_HANDLE(watch_open, options, luat_kv_watch_open(kv.ns, &options, &out, at));
    }
    options.since = (luat_kv_bytes){ NULL, 0 };
    options.key_count = 1;
    NO_HANDLE(watch_open, options, luat_kv_watch_open(kv.ns, &options, &out, at));
    options.keys = &none;
    NO_HANDLE(watch_open, options, luat_kv_watch_open(kv.ns, &options, &out, at));
    options.keys = &good;
    options.key_count = SIZE_MAX;
    NO_HANDLE(watch_open, options, luat_kv_watch_open(kv.ns, &options, &out, at));
    CHECK_STATUS(luat_kv_watch_open(kv.ns, NULL, &watch, &error), LUAT_KV_OK);
    RESET(watch_next, watch, luat_kv_watch_next(NULL, 0, &page, at), page, GARBAGE, NULL);
    REFUSED(watch_next, out, luat_kv_watch_next(watch, -1, NULL, at));
    CALL(watch_next, timeout_ms, luat_kv_watch_next(watch, 1, &page, at), LUAT_KV_TIMEOUT);
    RESET(watch_fd, watch, luat_kv_watch_fd(NULL, &fd, at), fd, 7, -1);
    REFUSED(watch_fd, fd, luat_kv_watch_fd(watch, NULL, at));
    RESET(watch_token, watch, luat_kv_watch_token(NULL, 0, &token, at), token.data, GARBAGE, NULL);
    TAKEN(watch_token, handled, luat_kv_watch_token(watch, 7, &token, at));
    REFUSED(watch_token, token, luat_kv_watch_token(watch, SIZE_MAX, NULL, at));
    luat_kv_watch_free(watch);
    attack_ends();
}

static void ranges(void)
{
    attack_begins();
    uint64_t number;
    luat_kv_page *out;
    luat_kv_list_options options;
    NO_HANDLE(list, ns, luat_kv_list(NULL, NULL, &out, at));
    REFUSED(list, out, luat_kv_list(kv.ns, NULL, NULL, at));
    luat_kv_list_options_init(&options, sizeof options);
    luat_kv_bytes *const views[] = { &options.prefix, &options.cursor, &options.start, &options.stop };
    for (size_t at_view = 0; at_view < sizeof views / sizeof *views; at_view++) {
        *views[at_view] = (luat_kv_bytes){ NULL, 1 };
        NO_HANDLE(list, options, luat_kv_list(kv.ns, &options, &out, at));
        *views[at_view] = (luat_kv_bytes){ LONG };
        NO_HANDLE(list, options, luat_kv_list(kv.ns, &options, &out, at));
        *views[at_view] = (luat_kv_bytes){ LONGEST };
        NO_HANDLE(list, options, luat_kv_list(kv.ns, &options, &out, at));
        *views[at_view] = (luat_kv_bytes){ NULL, 0 };
    }
    attack_iterators();
    NO_NUMBER(count, ns, luat_kv_count(NULL, KEY, &number, at));
    NO_NUMBER(count, prefix, luat_kv_count(kv.ns, NULL, 3, &number, at));
    NO_NUMBER(count, prefix_len, luat_kv_count(kv.ns, LONG, &number, at));
    NO_NUMBER(count, prefix_len, luat_kv_count(kv.ns, LONGEST, &number, at));
    TAKEN(count, count, luat_kv_count(kv.ns, KEY, NULL, at));
    NO_NUMBER(delete_prefix, ns, luat_kv_delete_prefix(NULL, KEY, &number, at));
    NO_NUMBER(delete_prefix, prefix, luat_kv_delete_prefix(kv.ns, NULL, 3, &number, at));
    NO_NUMBER(delete_prefix, prefix_len, luat_kv_delete_prefix(kv.ns, LONG, &number, at));
    NO_NUMBER(delete_prefix, prefix_len, luat_kv_delete_prefix(kv.ns, LONGEST, &number, at));
    TAKEN(delete_prefix, removed, luat_kv_delete_prefix(kv.ns, LUAT_KV_TEXT("none"), NULL, at));
    NO_NUMBER(clear, ns, luat_kv_clear(NULL, &number, at));
    luat_kv_namespace *empty = NULL;
    CHECK_STATUS(luat_kv_namespace_open(kv.store, LUAT_KV_TEXT("empty"), &empty, &error), LUAT_KV_OK);
    TAKEN(clear, removed, luat_kv_clear(empty, NULL, at));
    luat_kv_namespace_free(empty);
    attack_ends();
}

/* ---- Batches */

static void batches(void)
{
    attack_begins();
#define KEYS(function, ...) \
    REFUSED(function, batch, luat_kv_##function(NULL, kv.ns, KEY, __VA_ARGS__)); \
    REFUSED(function, ns, luat_kv_##function(batch, NULL, KEY, __VA_ARGS__)); \
    REFUSED(function, key, luat_kv_##function(batch, kv.ns, NULL, 3, __VA_ARGS__)); \
    REFUSED(function, key_len, luat_kv_##function(batch, kv.ns, LONG, __VA_ARGS__)); \
    REFUSED(function, key_len, luat_kv_##function(batch, kv.ns, LONGEST, __VA_ARGS__))
    KEYS(batch_check, NULL, 0, at);
    KEYS(batch_put, VALUE, NULL, at);
    KEYS(batch_delete, at);
    KEYS(batch_incr, 1, NULL, at);
#undef KEYS
    REFUSED(batch_check, version, luat_kv_batch_check(batch, kv.ns, KEY, NULL, 16, at));
    REFUSED(batch_check, version_len, luat_kv_batch_check(batch, kv.ns, KEY, LONG, at));
    REFUSED(batch_check, version_len, luat_kv_batch_check(batch, kv.ns, KEY, LONGEST, at));
    REFUSED(batch_put, value, luat_kv_batch_put(batch, kv.ns, KEY, NULL, 1, NULL, at));
    REFUSED(batch_put, value_len, luat_kv_batch_put(batch, kv.ns, KEY, LONG, NULL, at));
    REFUSED(batch_put, value_len, luat_kv_batch_put(batch, kv.ns, KEY, LONGEST, NULL, at));
    REFUSED(batch_commit, batch, luat_kv_batch_commit(NULL, at));
    luat_kv_batch *spare = NULL;
    CHECK_STATUS(luat_kv_batch_open(kv.store, &spare, &error), LUAT_KV_OK);
    TAKEN(batch_put, options, luat_kv_batch_put(spare, kv.ns, KEY, VALUE, NULL, at));
    TAKEN(batch_incr, options, luat_kv_batch_incr(spare, kv.ns, KEY, 1, NULL, at));
    luat_kv_batch_free(spare);
    attack_ends();
}

/* ---- Exports and imports */

/* Each call is made more than once. */
#define FROM_START(call) (lseek(fd, 0, SEEK_SET), call)

static void transfers(void)
{
    static const uint32_t unknown[] = { 2, 1u << 31, UINT32_MAX };
    attack_begins();
    char path[PATH_MAX];
    uint64_t number = 0, skipped = 7;
    FILE *file = tmpfile();
    int fd = fileno(file);
    snprintf(path, sizeof path, "%s", scratch("export"));
    NO_NUMBER(export, ns, luat_kv_export(NULL, path, 0, &number, at));
    NO_NUMBER(export, path, luat_kv_export(kv.ns, NULL, 0, &number, at));
    NO_NUMBER(export_fd, ns, luat_kv_export_fd(NULL, fd, 0, &number, at));
    for (size_t which = 0; which < sizeof unknown / sizeof *unknown; which++) {
        NO_NUMBER(export, format, luat_kv_export(kv.ns, path, unknown[which], &number, at));
        NO_NUMBER(export_fd, format, luat_kv_export_fd(kv.ns, fd, unknown[which], &number, at));
    }
    CHECK(access(path, F_OK) != 0 && lseek(fd, 0, SEEK_END) == 0);
    TAKEN(export, count, luat_kv_export(kv.ns, path, 0, NULL, at));
    TAKEN(export_fd, count, FROM_START(luat_kv_export_fd(kv.ns, fd, LUAT_KV_FORMAT_JSON, NULL, at)));
    NO_NUMBER(import, ns, luat_kv_import(NULL, path, 0, &number, &skipped, at));
    CHECK(skipped == 0);
    NO_NUMBER(import, path, luat_kv_import(kv.ns, NULL, 0, &number, NULL, at));
    NO_NUMBER(import_fd, ns, luat_kv_import_fd(NULL, fd, 0, &number, NULL, at));
    for (size_t which = 0; which < sizeof unknown / sizeof *unknown; which++) {
        NO_NUMBER(import, flags, luat_kv_import(kv.ns, path, unknown[which], &number, NULL, at));
        NO_NUMBER(import_fd, flags, luat_kv_import_fd(kv.ns, fd, unknown[which], &number, NULL, at));
    }
    TAKEN(import, stored, luat_kv_import(kv.ns, path, 0, NULL, &skipped, at));
    TAKEN(import, skipped, luat_kv_import(kv.ns, path, 0, &number, NULL, at));
    TAKEN(import_fd, stored, FROM_START(luat_kv_import_fd(kv.ns, fd, 0, NULL, &skipped, at)));
    CHECK(skipped == 1); /* its only key is there */
    TAKEN(import_fd, skipped, FROM_START(luat_kv_import_fd(kv.ns, fd, 0, &number, NULL, at)));
    CHECK(fclose(file) == 0);
    attack_ends();
}

/* ---- The end of readable memory */

static uint8_t *edge;

/* Bytes of which the last one is the last that can be read. */
static void *at_the_edge(const void *bytes, size_t len)
{
    return memcpy(edge - len, bytes, len);
}

static void find_the_edge(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    FILE *file = tmpfile();
    CHECK(ftruncate(fileno(file), (off_t)page) == 0);
    /* Of the second page there is no file; and it may not be read anyway. */
    uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
    edge = pages + page;
    CHECK(fclose(file) == 0);
}

/* Each struct in every size that it can have, and longer: the rest of it is not there. */
static void no_struct_is_read_beyond_its_size(void)
{
    enum { MOST = 4096 };
    static uint8_t zeros[MOST];
    luat_kv_store *store;
    luat_kv_page *page;
    attack_begins();
    for (uint32_t size = sizeof size; size <= MOST; size += size < 200 ? 1 : 487) {
        memcpy(zeros, &size, sizeof size);
        const void *options = at_the_edge(zeros, size);
        CHECK_STATUS(luat_kv_open_memory(options, &store, &error), LUAT_KV_OK);
        luat_kv_close(store);
        CHECK_STATUS(luat_kv_put(kv.ns, KEY, LUAT_KV_TEXT("as before"), options, &error), LUAT_KV_OK);
        CHECK_STATUS(luat_kv_list(kv.ns, options, &page, &error), LUAT_KV_OK);
        luat_kv_page_free(page);
        CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, options, NULL, &error), LUAT_KV_OK);
        luat_kv_store_limits(kv.store, at_the_edge(zeros, size), size);
        CHECK(memcmp(edge - size, &size, sizeof size) == 0);
        at_the_edge(zeros, size);
        if (size > sizeof(luat_kv_list_options)) { /* the longest that is known */
            edge[-1] = 1;
            CHECK_STATUS(luat_kv_open_memory(options, &store, &error), LUAT_KV_INVALID);
            CHECK_STATUS(luat_kv_put(kv.ns, KEY, VALUE, options, &error), LUAT_KV_INVALID);
            CHECK_STATUS(luat_kv_list(kv.ns, options, &page, &error), LUAT_KV_INVALID);
            CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, options, NULL, &error), LUAT_KV_INVALID);
        }
    }
    static const uint32_t absurd[] = { 0, 1, 3, MOST + 1, INT32_MAX, UINT32_MAX };
    for (size_t which = 0; which < sizeof absurd / sizeof *absurd; which++) {
        const void *options = at_the_edge(&absurd[which], sizeof *absurd);
        CHECK_STATUS(luat_kv_open_memory(options, &store, &error), LUAT_KV_INVALID);
        CHECK_STATUS(luat_kv_put(kv.ns, KEY, VALUE, options, &error), LUAT_KV_INVALID);
        CHECK_STATUS(luat_kv_list(kv.ns, options, &page, &error), LUAT_KV_INVALID);
        CHECK_STATUS(luat_kv_incr(kv.ns, LUAT_KV_TEXT("n"), 1, options, NULL, &error), LUAT_KV_INVALID);
    }
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("n"), &error), LUAT_KV_OK);
    attack_ends();
}

#define EDGE(literal) at_the_edge(literal, sizeof(literal) - 1), sizeof(literal) - 1

static void no_bytes_are_read_beyond_their_length(void)
{
    luat_kv_put_options options;
    luat_kv_page *page = NULL;
    luat_kv_entry *taken = NULL;
    uint64_t count = 0;
    size_t len = 0;
    attack_begins();
    luat_kv_put_options_init(&options, sizeof options);
    CHECK_STATUS(luat_kv_put(kv.ns, EDGE("other"), VALUE, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_put(kv.ns, KEY, EDGE("as before"), NULL, &error), LUAT_KV_OK);
    options.metadata = (luat_kv_bytes){ EDGE("[1,2]") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("other"), VALUE, &options, &error), LUAT_KV_OK);
    options.metadata = (luat_kv_bytes){ EDGE("[1,2") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("other"), VALUE, &options, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_put(kv.ns, EDGE("half a character \xc3"), VALUE, NULL, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_count(kv.ns, EDGE("other"), &count, &error), LUAT_KV_OK);
    CHECK(count == 1);
    const luat_kv_bytes key = { KEY };
    CHECK_STATUS(luat_kv_get_many(kv.ns, at_the_edge(&key, sizeof key), 1, &page, &error), LUAT_KV_OK);
    luat_kv_page_free(page);
    CHECK_STATUS(luat_kv_get(kv.ns, KEY, edge - 9, 9, &len, &error), LUAT_KV_OK);
    CHECK_BYTES(edge - 9, len, "as before");
    CHECK_STATUS(luat_kv_get(kv.ns, KEY, edge - 8, 8, &len, &error), LUAT_KV_TOO_SMALL);
    char *version = (char *)edge - LUAT_KV_VERSION_SIZE;
    CHECK_STATUS(luat_kv_put_versioned(kv.ns, KEY, LUAT_KV_TEXT("as before"), NULL, version, &error), LUAT_KV_OK);
    CHECK(strlen(version) == LUAT_KV_VERSION_SIZE - 1);
    CHECK_STATUS(luat_kv_add_versioned(kv.ns, KEY, VALUE, NULL, version, &error), LUAT_KV_CONFLICT);
    CHECK_STATUS(luat_kv_has(kv.ns, EDGE("other"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_remove(kv.ns, EDGE("other"), &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_take(kv.ns, EDGE("other"), &taken, &error), LUAT_KV_NOT_FOUND);
    CHECK_STATUS(luat_kv_delete(kv.ns, EDGE("other"), &error), LUAT_KV_OK);
    attack_ends();
}

/* If the length is 0, the pointer may have any value. */
static void nothing_is_read_where_the_length_is_0(void)
{
    attack_begins();
    luat_kv_put_options options;
    luat_kv_page *page = NULL;
    luat_kv_put_options_init(&options, sizeof options);
    options.metadata = (luat_kv_bytes){ edge, 0 };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("other"), edge, 0, &options, &error), LUAT_KV_OK);
    CHECK_VALUE(kv.ns, "other", "");
    CHECK_STATUS(luat_kv_delete(kv.ns, edge, 0, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_get_many(kv.ns, (void *)edge, 0, &page, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_count(kv.ns, edge, 0, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_delete(kv.ns, LUAT_KV_TEXT("other"), &error), LUAT_KV_OK);
    attack_ends();
}

/* ---- What the header declares */

/* One declaration, without its ";". Functions that cannot fail are in test_abi. */
static int look_for_parameters(char *declaration)
{
    char *open = strchr(declaration, '('), *function = strstr(declaration, "luat_kv_status luat_kv_");
    int found = 0;
    if (!open || !function || !strstr(open, "luat_kv_error **error"))
        return 0;
    *open = '\0';
    function += strlen("luat_kv_status ");
    for (char *parameter = strtok(open + 1, ",)"); parameter; parameter = strtok(NULL, ",)")) {
        char *name = parameter + strlen(parameter);
        while (name > parameter && (name[-1] == '_' || (name[-1] >= 'a' && name[-1] <= 'z')))
            name--;
        char wanted[200];
        snprintf(wanted, sizeof wanted, "%s.%s ", function, name);
        if (strchr(parameter, '*') || strstr(parameter, "size_t "))
            found++;
        else
            continue;
        if (!strstr(attacked, wanted))
            check_fail(__FILE__, __LINE__, "nothing attacks %s", wanted);
    }
    return found;
}

static void nothing_is_left_out(void)
{
    static char header[1 << 18];
    FILE *file = fopen("include/luat_kv.h", "r");
    int found = 0;
    CHECK(file && fread(header, 1, sizeof header - 1, file) > 0 && feof(file) && fclose(file) == 0);
    for (char *declaration = header, *end; (end = strstr(declaration, ");")); declaration = end + 2) {
        *end = '\0';
        char *begin = strstr(declaration, "\nluat_kv_status luat_kv_");
        for (char *next = begin; next; next = strstr(begin + 1, "\nluat_kv_status luat_kv_"))
            begin = next;
        if (begin)
            found += look_for_parameters(begin + 1);
    }
    CHECK(found > 100);
}

static const struct check_test tests[] = {
    TEST(opening),
    TEST(store_calls),
    TEST(handles_of_a_store),
    TEST(reads),
    TEST(writes),
    TEST(writes_with_versions),
    TEST(ranges),
    TEST(watches),
    TEST(batches),
    TEST(transfers),
    TEST(find_the_edge),
    TEST(no_struct_is_read_beyond_its_size),
    TEST(no_bytes_are_read_beyond_their_length),
    TEST(nothing_is_read_where_the_length_is_0),
    TEST(nothing_is_left_out),
};

int main(void)
{
    check_tests("", tests);
    return check_done();
}
