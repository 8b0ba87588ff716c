/* Stores: opening, namespaces, upkeep. */
#include <stdlib.h>
#include <string.h>
#include "addon.h"

char *path_take(napi_env env, napi_value value)
{
    input in;
    char room[1024];
    if (!input_take(env, value, &in, room, sizeof room)) return NULL;
    char *path = malloc(in.len + 1);
    if (path != NULL) {
        if (in.len > 0) memcpy(path, in.data, in.len);
        path[in.len] = '\0';
    } else {
        throw_no_memory(env);
    }
    input_free(&in);
    return path;
}

/* Takes the options of open() from five arguments: flags, busy timeout, limits, durability and cache size. */
static luat_kv_open_options open_options_take(napi_env env, addon *own, const napi_value *arg)
{
    luat_kv_open_options options;
    own->kv.open_options_init(&options, sizeof options);
    options.flags = take_uint32(env, arg[0]);
    options.busy_timeout_ms = take_uint32(env, arg[1]);
    options.limits = take_uint32(env, arg[2]);
    options.durability = take_uint32(env, arg[3]);
    options.cache_size = (uint64_t)take_int64(env, arg[4]);
    return options;
}

static napi_value opened(napi_env env, addon *own, luat_kv_status status, luat_kv_store *store, luat_kv_error *error)
{
    return status < 0 ? fail(env, own, status, error) : handle_new(env, own, STORE, store);
}

/* open(path, flags, busy timeout, limits, durability, cache size): the handle. */
napi_value js_open(napi_env env, napi_callback_info info)
{
    napi_value arg[6];
    addon *own = arguments(env, info, arg, 6);
    luat_kv_open_options options = open_options_take(env, own, arg + 1);
    luat_kv_store *store = NULL;
    luat_kv_error *error = NULL;
    char *path = path_take(env, arg[0]);
    if (path == NULL) return NULL;
    luat_kv_status status = own->kv.open(path, &options, &store, &error);
    free(path);
    return opened(env, own, status, store, error);
}

/* open_url(URL or path, …): the same for a URL. */
napi_value js_open_url(napi_env env, napi_callback_info info)
{
    napi_value arg[6];
    addon *own = arguments(env, info, arg, 6);
    luat_kv_open_options options = open_options_take(env, own, arg + 1);
    luat_kv_store *store = NULL;
    luat_kv_error *error = NULL;
    char *url = path_take(env, arg[0]);
    if (url == NULL) return NULL;
    luat_kv_status status = own->kv.open_url(url, &options, &store, &error);
    free(url);
    return opened(env, own, status, store, error);
}

/* open_project(folder or null, …): the same for the project of a folder, or of the working directory. */
napi_value js_open_project(napi_env env, napi_callback_info info)
{
    napi_value arg[6];
    addon *own = arguments(env, info, arg, 6);
    luat_kv_open_options options = open_options_take(env, own, arg + 1);
    luat_kv_store *store = NULL;
    luat_kv_error *error = NULL;
    napi_valuetype type = napi_undefined;
    char *folder = NULL;
    napi_typeof(env, arg[0], &type);
    if (type != napi_null && (folder = path_take(env, arg[0])) == NULL) return NULL;
    luat_kv_status status = own->kv.open_project(folder, &options, &store, &error);
    free(folder);
    return opened(env, own, status, store, error);
}

/* open_memory(flags, busy timeout, limits, durability, cache size): the same for a store in memory. */
napi_value js_open_memory(napi_env env, napi_callback_info info)
{
    napi_value arg[5];
    addon *own = arguments(env, info, arg, 5);
    luat_kv_open_options options = open_options_take(env, own, arg);
    luat_kv_store *store = NULL;
    luat_kv_error *error = NULL;
    luat_kv_status status = own->kv.open_memory(&options, &store, &error);
    return opened(env, own, status, store, error);
}

/* namespace_open(store, name): the handle. */
napi_value js_namespace_open(napi_env env, napi_callback_info info)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    luat_kv_store *store = handle_pointer(env, own, arg[0], STORE);
    luat_kv_namespace *ns;
    luat_kv_error *error = NULL;
    input name;
    char room[KEY_ROOM];
    if (store == NULL || !input_take(env, arg[1], &name, room, sizeof room)) return NULL;
    luat_kv_status status = own->kv.namespace_open(store, name.data, name.len, &ns, &error);
    input_free(&name);
    return status < 0 ? fail(env, own, status, error) : handle_new(env, own, NAMESPACE, ns);
}

/* ---- Upkeep */

/* The path and the size of the file; hits, misses, drops and size of the cache. */
static bool push_whole(napi_env env, addon *own, napi_value array, const luat_kv_stats *read)
{
    luat_kv_cache_stats cache;
    napi_value all[6];
    const char *path = own->kv.stats_path(read);
    own->kv.stats_cache(read, &cache, sizeof cache);
    all[0] = new_text(env, path, strlen(path));
    all[1] = new_number(env, (double)own->kv.stats_file_size(read));
    all[2] = new_number(env, (double)cache.hits);
    all[3] = new_number(env, (double)cache.misses);
    all[4] = new_number(env, (double)cache.drops);
    all[5] = new_number(env, (double)cache.size);
    for (size_t at = 0; at < 6; at++) {
        if (all[at] == NULL) return false;
    }
    return push_all(env, own, array, 6, all);
}

/* stats(store): an array of what push_whole() pushes; then name, live and expired of each namespace. */
napi_value js_stats(napi_env env, napi_callback_info info)
{
    napi_value arg[1], row[3];
    addon *own = arguments(env, info, arg, 1);
    luat_kv_store *store = handle_pointer(env, own, arg[0], STORE);
    luat_kv_stats *read;
    luat_kv_error *error = NULL;
    if (store == NULL) return NULL;
    luat_kv_status status = own->kv.stats_read(store, &read, &error);
    if (status < 0) return fail(env, own, status, error);
    napi_value array = new_array(env);
    bool done = array != NULL && push_whole(env, own, array, read);
    size_t len = own->kv.stats_len(read);
    for (size_t index = 0; done && index < len; index++) {
        size_t name_len;
        const uint8_t *name = own->kv.stats_name(read, index, &name_len);
        row[0] = new_text(env, name, name_len);
        row[1] = new_number(env, (double)own->kv.stats_live(read, index));
        row[2] = new_number(env, (double)own->kv.stats_expired(read, index));
        done = row[0] != NULL && row[1] != NULL && row[2] != NULL && push_all(env, own, array, 3, row);
    }
    own->kv.stats_free(read);
    return done ? array : NULL;
}

/* sweep(store, max): how many entries were removed. */
napi_value js_sweep(napi_env env, napi_callback_info info)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    luat_kv_store *store = handle_pointer(env, own, arg[0], STORE);
    uint64_t removed;
    luat_kv_error *error = NULL;
    if (store == NULL) return NULL;
    luat_kv_status status = own->kv.sweep(store, (uint64_t)take_int64(env, arg[1]), &removed, &error);
    return status < 0 ? fail(env, own, status, error) : new_number(env, (double)removed);
}

/* checkpoint(store): whether all of the log was moved. */
napi_value js_checkpoint(napi_env env, napi_callback_info info)
{
    napi_value arg[1];
    addon *own = arguments(env, info, arg, 1);
    luat_kv_store *store = handle_pointer(env, own, arg[0], STORE);
    int complete;
    luat_kv_error *error = NULL;
    if (store == NULL) return NULL;
    luat_kv_status status = own->kv.checkpoint(store, &complete, &error);
    return status < 0 ? fail(env, own, status, error) : new_bool(env, complete != 0);
}
