/*
 * The functions that cgo calls. They call those of luat_kv.h, but return outputs by value, so that Go need not allocate
 * memory for them, and take options as plain arguments. A struct in Go's memory that points to other memory of Go must
 * not be passed to C, so such structs are on C's stack or heap, and only for one call.
 *
 * Include this file only in the preambles of Go files, where cgo declares _GoString_.
 */
#ifndef LUATKV_SHIM_H
#define LUATKV_SHIM_H

#ifdef LUATKV_STATIC
#include "libluat_kv.h" /* beside the static library, in the module that has one */
#else
#include <luat_kv.h>
#endif

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

/* The ABI version of the header that this package was written for. */
#define KV_ABI_VERSION 0

#if LUAT_KV_ABI_VERSION != KV_ABI_VERSION
#error "luat_kv.h has another LUAT_KV_ABI_VERSION than the Go package luatkv was written for (KV_ABI_VERSION in shim.h)"
#endif

/* The result of a call. */
typedef struct kv_result {
    luat_kv_status status;
    luat_kv_error *error;
    void *handle;
    uint64_t number; /* a length, or a count */
    uint64_t second; /* another count */
} kv_result;

/* A version: text with a NUL. */
typedef struct kv_version {
    char text[LUAT_KV_VERSION_SIZE];
} kv_version;

/* The parts of an entry. They are valid as long as the entry. */
typedef struct kv_view {
    luat_kv_bytes key, value, metadata, version;
    int64_t expiration;
    uint32_t change;
} kv_view;

#define KV_TEXT(text) (const uint8_t *)_GoStringPtr(text), _GoStringLen(text)
#define KV_BYTES(text) { KV_TEXT(text) }

/* ---- Stores */

static inline luat_kv_open_options kv_open_options(uint32_t flags, uint32_t busy_timeout_ms, uint32_t limits,
                                                   uint32_t durability, uint64_t cache_size)
{
    luat_kv_open_options options = { .struct_size = sizeof options, .flags = flags, .limits = limits,
                                     .busy_timeout_ms = busy_timeout_ms, .durability = durability,
                                     .cache_size = cache_size };
    return options;
}

static inline kv_result kv_open_url(const char *url, luat_kv_open_options options)
{
    kv_result r = { 0 };
    luat_kv_store *out = NULL;
    r.status = luat_kv_open_url(url, &options, &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_open_project(const char *dir, luat_kv_open_options options)
{
    kv_result r = { 0 };
    luat_kv_store *out = NULL;
    r.status = luat_kv_open_project(dir, &options, &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_open_memory(luat_kv_open_options options)
{
    kv_result r = { 0 };
    luat_kv_store *out = NULL;
    r.status = luat_kv_open_memory(&options, &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_namespace_open(luat_kv_store *store, _GoString_ name)
{
    kv_result r = { 0 };
    luat_kv_namespace *out = NULL;
    r.status = luat_kv_namespace_open(store, KV_TEXT(name), &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_namespaces(luat_kv_store *store)
{
    kv_result r = { 0 };
    luat_kv_page *out = NULL;
    r.status = luat_kv_namespaces(store, &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_stats_read(luat_kv_store *store)
{
    kv_result r = { 0 };
    luat_kv_stats *out = NULL;
    r.status = luat_kv_stats_read(store, &out, &r.error);
    r.handle = out;
    return r;
}

static inline luat_kv_cache_stats kv_stats_cache(const luat_kv_stats *stats)
{
    luat_kv_cache_stats cache;
    luat_kv_stats_cache(stats, &cache, sizeof cache);
    return cache;
}

static inline kv_result kv_sweep(luat_kv_store *store, uint64_t max)
{
    kv_result r = { 0 };
    r.status = luat_kv_sweep(store, max, &r.number, &r.error);
    return r;
}

static inline kv_result kv_compact(luat_kv_store *store)
{
    kv_result r = { 0 };
    r.status = luat_kv_compact(store, &r.error);
    return r;
}

static inline kv_result kv_checkpoint(luat_kv_store *store)
{
    kv_result r = { 0 };
    int complete = 0;
    r.status = luat_kv_checkpoint(store, &complete, &r.error);
    r.number = (uint64_t)complete;
    return r;
}

static inline kv_result kv_backup(luat_kv_store *store, const char *path)
{
    kv_result r = { 0 };
    r.status = luat_kv_backup(store, path, &r.error);
    return r;
}

/* ---- One key */

static inline kv_result kv_get(luat_kv_namespace *ns, _GoString_ key, uint8_t *dst, size_t cap)
{
    kv_result r = { 0 };
    size_t len = 0;
    r.status = luat_kv_get(ns, KV_TEXT(key), dst, cap, &len, &r.error);
    r.number = len;
    return r;
}

static inline kv_result kv_get_entry(luat_kv_namespace *ns, _GoString_ key)
{
    kv_result r = { 0 };
    luat_kv_entry *out = NULL;
    r.status = luat_kv_get_entry(ns, KV_TEXT(key), &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_take(luat_kv_namespace *ns, _GoString_ key)
{
    kv_result r = { 0 };
    luat_kv_entry *out = NULL;
    r.status = luat_kv_take(ns, KV_TEXT(key), &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_has(luat_kv_namespace *ns, _GoString_ key)
{
    kv_result r = { 0 };
    r.status = luat_kv_has(ns, KV_TEXT(key), &r.error);
    return r;
}

static inline kv_view kv_entry_view(const luat_kv_entry *entry)
{
    kv_view view;
    view.key.data = luat_kv_entry_key(entry, &view.key.len);
    view.value.data = luat_kv_entry_value(entry, &view.value.len);
    view.metadata.data = luat_kv_entry_metadata(entry, &view.metadata.len);
    view.version.data = luat_kv_entry_version(entry, &view.version.len);
    view.expiration = luat_kv_entry_expiration(entry);
    view.change = luat_kv_entry_change(entry);
    return view;
}

static inline luat_kv_put_options kv_put_options(int64_t expiration, int64_t ttl, const uint8_t *metadata, size_t len)
{
    luat_kv_put_options options = { .struct_size = sizeof options, .expiration = expiration, .expiration_ttl = ttl,
                                    .metadata = { metadata, len } };
    return options;
}

static inline kv_result kv_put(luat_kv_namespace *ns, int add, _GoString_ key, const uint8_t *value, size_t len,
                               int64_t expiration, int64_t ttl, const uint8_t *metadata, size_t metadata_len,
                               kv_version *version)
{
    kv_result r = { 0 };
    luat_kv_put_options options = kv_put_options(expiration, ttl, metadata, metadata_len);
    r.status = (add ? luat_kv_add_versioned : luat_kv_put_versioned)(ns, KV_TEXT(key), value, len, &options,
                                                                     version ? version->text : NULL, &r.error);
    return r;
}

static inline kv_result kv_touch(luat_kv_namespace *ns, _GoString_ key, int64_t expiration, int64_t ttl)
{
    kv_result r = { 0 };
    r.status = luat_kv_touch(ns, KV_TEXT(key), expiration, ttl, &r.error);
    return r;
}

static inline luat_kv_incr_options kv_incr_options(int64_t initial, int64_t expiration, int64_t ttl)
{
    luat_kv_incr_options options = { .struct_size = sizeof options, .initial = initial, .expiration = expiration,
                                     .expiration_ttl = ttl };
    return options;
}

static inline kv_result kv_incr(luat_kv_namespace *ns, _GoString_ key, int64_t by, luat_kv_incr_options options)
{
    kv_result r = { 0 };
    int64_t sum = 0;
    r.status = luat_kv_incr(ns, KV_TEXT(key), by, &options, &sum, &r.error);
    r.number = (uint64_t)sum;
    return r;
}

static inline kv_result kv_remove(luat_kv_namespace *ns, _GoString_ key)
{
    kv_result r = { 0 };
    r.status = luat_kv_remove(ns, KV_TEXT(key), &r.error);
    return r;
}

/* ---- Many keys */

/* Divides the concatenation of count keys, which have these lengths. Returns memory to be freed, or NULL if there is none. */
static inline luat_kv_bytes *kv_keys(const char *text, const size_t *lens, size_t count)
{
    const uint8_t *next = (const uint8_t *)text;
    luat_kv_bytes *keys = calloc(count ? count : 1, sizeof *keys);
    for (size_t i = 0; keys && i < count; next += lens[i++])
        keys[i] = (luat_kv_bytes){ next, lens[i] };
    return keys;
}

static inline kv_result kv_get_many(luat_kv_namespace *ns, _GoString_ text, const size_t *lens, size_t count)
{
    kv_result r = { 0 };
    luat_kv_page *out = NULL;
    luat_kv_bytes *keys = kv_keys(_GoStringPtr(text), lens, count);
    if (!keys) {
        r.status = LUAT_KV_NOMEM;
        return r;
    }
    r.status = luat_kv_get_many(ns, keys, count, &out, &r.error);
    r.handle = out;
    free(keys);
    return r;
}

static inline kv_result kv_list(luat_kv_namespace *ns, uint32_t flags, uint32_t limit, _GoString_ prefix,
                                _GoString_ cursor, _GoString_ start, _GoString_ stop)
{
    kv_result r = { 0 };
    luat_kv_page *out = NULL;
    luat_kv_list_options options = { .struct_size = sizeof options, .flags = flags, .limit = limit,
                                     .prefix = KV_BYTES(prefix), .cursor = KV_BYTES(cursor),
                                     .start = KV_BYTES(start), .stop = KV_BYTES(stop) };
    r.status = luat_kv_list(ns, &options, &out, &r.error);
    r.handle = out;
    return r;
}

/* Views of count entries from an index on. All of them must exist. */
static inline void kv_page_views(const luat_kv_page *page, size_t from, kv_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        views[i] = kv_entry_view(luat_kv_page_at(page, from + i));
}

static inline kv_result kv_count(luat_kv_namespace *ns, _GoString_ prefix)
{
    kv_result r = { 0 };
    r.status = luat_kv_count(ns, KV_TEXT(prefix), &r.number, &r.error);
    return r;
}

static inline kv_result kv_delete_prefix(luat_kv_namespace *ns, _GoString_ prefix)
{
    kv_result r = { 0 };
    r.status = luat_kv_delete_prefix(ns, KV_TEXT(prefix), &r.number, &r.error);
    return r;
}

static inline kv_result kv_clear(luat_kv_namespace *ns)
{
    kv_result r = { 0 };
    r.status = luat_kv_clear(ns, &r.number, &r.error);
    return r;
}

/* ---- Watches */

/* Without keys, those with the prefix. */
static inline kv_result kv_watch_open(luat_kv_namespace *ns, uint32_t flags, _GoString_ prefix, _GoString_ since,
                                      _GoString_ text, const size_t *lens, size_t count)
{
    kv_result r = { 0 };
    luat_kv_watch *out = NULL;
    luat_kv_bytes *keys = kv_keys(_GoStringPtr(text), lens, count);
    if (!keys) {
        r.status = LUAT_KV_NOMEM;
        return r;
    }
    luat_kv_watch_options options = { .struct_size = sizeof options, .flags = flags, .prefix = KV_BYTES(prefix),
                                      .keys = count ? keys : NULL, .key_count = count,
                                      .since = KV_BYTES(since) };
    r.status = luat_kv_watch_open(ns, &options, &out, &r.error);
    r.handle = out;
    free(keys);
    return r;
}

static inline kv_result kv_watch_next(luat_kv_watch *watch, int64_t timeout_ms)
{
    kv_result r = { 0 };
    luat_kv_page *out = NULL;
    r.status = luat_kv_watch_next(watch, timeout_ms, &out, &r.error);
    r.handle = out;
    return r;
}

/* The token is at the handle, and the number is its length. */
static inline kv_result kv_watch_token(luat_kv_watch *watch)
{
    kv_result r = { 0 };
    luat_kv_bytes token = { 0 };
    r.status = luat_kv_watch_token(watch, SIZE_MAX, &token, &r.error);
    r.handle = (void *)token.data;
    r.number = token.len;
    return r;
}

/* A duplicate of the watch's descriptor, to be closed, which Go's poller can own. -1 if there is none. */
static inline int kv_watch_fd(luat_kv_watch *watch)
{
    int fd = -1;
    return luat_kv_watch_fd(watch, &fd, NULL) == LUAT_KV_OK && fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
}

static inline int kv_is_readable(int fd)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    return poll(&polled, 1, 0) != 0;
}

/* ---- Files: a path, or a descriptor if the path is NULL */

static inline kv_result kv_export(luat_kv_namespace *ns, const char *path, int fd, uint32_t format)
{
    kv_result r = { 0 };
    r.status = path ? luat_kv_export(ns, path, format, &r.number, &r.error)
                    : luat_kv_export_fd(ns, fd, format, &r.number, &r.error);
    return r;
}

static inline kv_result kv_import(luat_kv_namespace *ns, const char *path, int fd, uint32_t flags)
{
    kv_result r = { 0 };
    r.status = path ? luat_kv_import(ns, path, flags, &r.number, &r.second, &r.error)
                    : luat_kv_import_fd(ns, fd, flags, &r.number, &r.second, &r.error);
    return r;
}

/* ---- Batches */

static inline kv_result kv_batch_open(luat_kv_store *store)
{
    kv_result r = { 0 };
    luat_kv_batch *out = NULL;
    r.status = luat_kv_batch_open(store, &out, &r.error);
    r.handle = out;
    return r;
}

static inline kv_result kv_batch_check(luat_kv_batch *batch, luat_kv_namespace *ns, _GoString_ key, _GoString_ version)
{
    kv_result r = { 0 };
    r.status = luat_kv_batch_check(batch, ns, KV_TEXT(key), KV_TEXT(version), &r.error);
    return r;
}

static inline kv_result kv_batch_put(luat_kv_batch *batch, luat_kv_namespace *ns, _GoString_ key, const uint8_t *value,
                                     size_t len, int64_t expiration, int64_t ttl, const uint8_t *metadata,
                                     size_t metadata_len)
{
    kv_result r = { 0 };
    luat_kv_put_options options = kv_put_options(expiration, ttl, metadata, metadata_len);
    r.status = luat_kv_batch_put(batch, ns, KV_TEXT(key), value, len, &options, &r.error);
    return r;
}

static inline kv_result kv_batch_delete(luat_kv_batch *batch, luat_kv_namespace *ns, _GoString_ key)
{
    kv_result r = { 0 };
    r.status = luat_kv_batch_delete(batch, ns, KV_TEXT(key), &r.error);
    return r;
}

static inline kv_result kv_batch_incr(luat_kv_batch *batch, luat_kv_namespace *ns, _GoString_ key, int64_t by,
                                      luat_kv_incr_options options)
{
    kv_result r = { 0 };
    r.status = luat_kv_batch_incr(batch, ns, KV_TEXT(key), by, &options, &r.error);
    return r;
}

static inline kv_result kv_batch_commit(luat_kv_batch *batch)
{
    kv_result r = { 0 };
    r.status = luat_kv_batch_commit(batch, &r.error);
    return r;
}

static inline luat_kv_bytes kv_batch_version(const luat_kv_batch *batch)
{
    luat_kv_bytes version;
    version.data = luat_kv_batch_version(batch, &version.len);
    return version;
}

#endif
