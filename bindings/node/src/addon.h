/*
 * The addon: the C library for JavaScript, through Node-API. Only lib/ calls it; lib/ checks types and options, and has
 * the messages for them. Here a wrong type is an error too, but with a shorter message.
 *
 * - A handle of the library is a number in JavaScript, as a file descriptor is: its index in the addon's table. So no
 *   value of JavaScript is ever taken for a pointer, and a handle that was closed is an error.
 * - Each thread (the main one and each worker) has its own addon struct, which is freed, with all open handles, when
 *   the thread ends. Nothing is global.
 * - A function that JavaScript calls returns its result, or NULL after it has thrown.
 */
#ifndef ADDON_H
#define ADDON_H

#define NAPI_VERSION 8 /* in Node 18 and all later versions */
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "luat_kv.h"

/* The functions of the library that the addon calls, without "luat_kv_". load() finds them by name. */
#define LIBRARY(F) \
    F(abi_version) F(version) F(status_str) F(error_message) F(error_errno) F(error_free) \
    F(open_options_init) F(put_options_init) F(list_options_init) F(incr_options_init) \
    F(open) F(open_url) F(open_project) F(open_memory) F(close) F(namespace_open) F(namespace_free) F(namespaces) \
    F(sweep) F(compact) F(checkpoint) F(backup) \
    F(stats_read) F(stats_path) F(stats_file_size) F(stats_len) F(stats_name) F(stats_live) F(stats_expired) \
    F(stats_cache) F(stats_free) \
    F(get) F(get_entry) F(get_many) F(has) F(put_versioned) F(add_versioned) F(remove) F(touch) F(incr) \
    F(list) F(count) F(delete_prefix) F(clear) \
    F(entry_key) F(entry_value) F(entry_metadata) F(entry_expiration) F(entry_version) F(entry_change) F(entry_free) \
    F(page_len) F(page_at) F(page_cursor) F(page_free) \
    F(batch_open) F(batch_check) F(batch_put) F(batch_delete) F(batch_incr) F(batch_commit) F(batch_version) \
    F(batch_free) \
    F(watch_options_init) F(watch_open) F(watch_next) F(watch_token) F(watch_fd) F(watch_free) \
    F(export) F(import) F(export_fd) F(import_fd)

struct library {
#define LIBRARY_POINTER(name) __typeof__(luat_kv_##name) *name;
    LIBRARY(LIBRARY_POINTER)
};

enum kind { UNUSED, STORE, NAMESPACE, BATCH, WATCH };

struct handle {
    void *pointer;
    enum kind kind;
    bool closed;        /* but still in use by a call in another thread, which frees it */
    uint32_t uses;      /* the number of these calls */
    uint32_t next_free; /* if unused: the next unused one, or 0 */
};

/* Values up to this size need no allocation. */
enum { ROOM = 65536 };

/* What one call of load() made. */
typedef struct addon {
    struct addon *next;   /* the one that was made before in the same thread */
    struct library kv;
    napi_ref error_class; /* LuatKVError */
    napi_ref push;        /* Array.prototype.push */
    struct handle *handles;      /* the first one is never used, so that 0 is no handle */
    uint32_t handle_count;
    uint32_t first_free;
    napi_ref room_owner;  /* a Buffer of ROOM bytes, for the value that a call reads or writes */
    char *room;           /* its memory */
} addon;

/* Reads `count` arguments of a call, undefined for those that were not given, and returns the addon. */
void *arguments(napi_env env, napi_callback_info info, napi_value *values, size_t count);

/* ---- handles.c */

/* Takes ownership of a pointer, and returns its number. */
napi_value handle_new(napi_env env, addon *own, enum kind kind, void *pointer);
/* Returns the pointer of a handle. If it is closed, throws and returns NULL. */
void *handle_pointer(napi_env env, addon *own, napi_value number, enum kind kind);
/* Between these two, the handle's pointer stays valid even if the handle is closed. */
uint32_t handle_retain(napi_env env, addon *own, napi_value number);
void handle_release(addon *own, uint32_t index);
void handles_free(addon *own);

/* ---- values.c */

/* Bytes that a call takes. They are valid until the call returns. */
typedef struct input {
    const void *data;
    size_t len;
    void *owned; /* what input_free() frees */
} input;

/*
 * Takes a string, as UTF-8, or the bytes of a Uint8Array. `room` is memory for a short string. Returns false after
 * throwing.
 */
bool input_take(napi_env env, napi_value value, input *in, char *room, size_t size);
/* The same, but undefined and null are no bytes. */
bool input_take_optional(napi_env env, napi_value value, input *in, char *room, size_t size);
void input_free(input *in);
/* Takes a path, and returns a C string to be freed by free(); NULL after throwing. */
char *path_take(napi_env env, napi_value value);

/* A number or a bigint; 0 for anything else. */
int64_t take_int64(napi_env env, napi_value value);
uint32_t take_uint32(napi_env env, napi_value value);

/* What a read returns of a value. */
enum form { AS_NOTHING, AS_TEXT, AS_BYTES };

napi_value new_text(napi_env env, const void *data, size_t len);
napi_value new_bytes(napi_env env, const void *data, size_t len, enum form as);
napi_value new_number(napi_env env, double number);
napi_value new_bool(napi_env env, bool value);
napi_value new_null(napi_env env);
napi_value undefined(napi_env env);
/* An array to which push_all() appends. */
napi_value new_array(napi_env env);
bool push_all(napi_env env, addon *own, napi_value array, size_t count, const napi_value *values);

/* Returns *value if its creation succeeded. Otherwise throws, if the failure itself did not. */
napi_value made(napi_env env, napi_status status, const napi_value *value);
/* Returns a LuatKVError for the status of a failed call and its error object, which is freed. */
napi_value new_error(napi_env env, addon *own, luat_kv_status status, luat_kv_error *reason);
/* The same, and throws it. */
napi_value fail(napi_env env, addon *own, luat_kv_status status, luat_kv_error *reason);
/* For a handle that is closed. */
napi_value throw_closed(napi_env env, addon *own);
napi_value throw_no_memory(napi_env env);

/* ---- What JavaScript calls */

#define METHODS(M) \
    M(version) M(close) \
    M(open) M(open_url) M(open_project) M(open_memory) M(namespace_open) M(namespaces) M(stats) M(sweep) M(checkpoint) \
    M(get_text) M(get_bytes) M(get_entry) M(get_many) M(has) M(put) M(add) M(remove) M(touch) M(incr) \
    M(list) M(count) M(delete_prefix) M(clear) \
    M(batch_open) M(batch_check) M(batch_put) M(batch_delete) M(batch_incr) M(batch_commit) \
    M(watch_open) M(watch_next) M(watch_token) M(watch_wait) M(watch_ref) \
    M(compact) M(compact_async) M(backup) M(backup_async) \
    M(export) M(export_async) M(import) M(import_async)

#define METHOD(name) napi_value js_##name(napi_env env, napi_callback_info info);
METHODS(METHOD)

/* ---- Keys */

/* For keys of the maximum length by default. */
enum { KEY_ROOM = 4096 + 8 };

/* The namespace and the key that a call is about. */
typedef struct target {
    luat_kv_namespace *ns;
    input key; /* to be freed by input_free() */
    char room[KEY_ROOM];
} target;

/* Takes both from two arguments. Returns false after throwing. */
bool target_take(napi_env env, addon *own, const napi_value *arg, target *to);

/* Many keys, which lie one after the other in one block of memory. */
struct keys {
    luat_kv_bytes *keys;
    uint32_t count;
    char *block;
    size_t len, size;
};

/* Takes the keys of an array, to be freed by keys_free(), also after it has thrown and returned false. */
bool keys_take(napi_env env, napi_value array, struct keys *all);
void keys_free(struct keys *all);

/*
 * Returns the entries of a page, one after the other, and then its cursor or null. An entry is five values: name,
 * version, expiration, metadata (text or null), value. Each change of a watch has a sixth: what has become of the key.
 */
napi_value page_array(napi_env env, addon *own, const luat_kv_page *page, enum form as, bool changes);

/* ---- watch.c */

struct watch;
void watch_free(addon *own, struct watch *watch);

#endif
