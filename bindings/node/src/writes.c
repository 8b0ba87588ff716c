/* Writes to a namespace: of one key, of many, and in a batch. */
#include "addon.h"

/* ---- Options */

struct put_options {
    luat_kv_put_options options;
    input metadata; /* to be freed by input_free() */
    char room[1024];
};

/*
 * Takes the options of a put from three arguments: expiration, lifetime and metadata. *given is NULL if there are none.
 * Returns false after throwing.
 */
static bool put_options_take(napi_env env, addon *own, const napi_value *arg, struct put_options *put,
                             const luat_kv_put_options **given)
{
    napi_valuetype type;
    put->metadata.owned = NULL;
    *given = NULL;
    if (napi_typeof(env, arg[0], &type) == napi_ok && type == napi_undefined) return true;
    own->kv.put_options_init(&put->options, sizeof put->options);
    if (!input_take_optional(env, arg[2], &put->metadata, put->room, sizeof put->room)) return false;
    put->options.expiration = take_int64(env, arg[0]);
    put->options.expiration_ttl = take_int64(env, arg[1]);
    put->options.metadata = (luat_kv_bytes){ put->metadata.data, put->metadata.len };
    *given = &put->options;
    return true;
}

/* Takes the options of an increment from three arguments: initial number, expiration and lifetime. */
static luat_kv_incr_options incr_options_take(napi_env env, addon *own, const napi_value *arg)
{
    luat_kv_incr_options options;
    own->kv.incr_options_init(&options, sizeof options);
    options.initial = take_int64(env, arg[0]);
    options.expiration = take_int64(env, arg[1]);
    options.expiration_ttl = take_int64(env, arg[2]);
    return options;
}

/* ---- One key */

static napi_value write_value(napi_env env, addon *own, const napi_value *arg, __typeof__(luat_kv_put_versioned) *write)
{
    target to;
    input value;
    struct put_options put;
    const luat_kv_put_options *options;
    char version[LUAT_KV_VERSION_SIZE];
    luat_kv_error *error = NULL;
    napi_value result = NULL;
    if (!target_take(env, own, arg, &to)) return NULL;
    if (input_take(env, arg[2], &value, own->room, ROOM)) {
        if (put_options_take(env, own, arg + 3, &put, &options)) {
            const input *key = &to.key;
            luat_kv_status status = write(to.ns, key->data, key->len, value.data, value.len, options, version, &error);
            if (status < 0) result = fail(env, own, status, error);
            else result = status == LUAT_KV_OK ? new_text(env, version, LUAT_KV_VERSION_SIZE - 1) : new_null(env);
            input_free(&put.metadata);
        }
        input_free(&value);
    }
    input_free(&to.key);
    return result;
}

/* put(namespace, key, value, expiration?, lifetime, metadata): the version of the new entry. */
napi_value js_put(napi_env env, napi_callback_info info)
{
    napi_value arg[6];
    addon *own = arguments(env, info, arg, 6);
    return write_value(env, own, arg, own->kv.put_versioned);
}

/* add(namespace, key, value, expiration?, lifetime, metadata): the version; null for a key that is there. */
napi_value js_add(napi_env env, napi_callback_info info)
{
    napi_value arg[6];
    addon *own = arguments(env, info, arg, 6);
    return write_value(env, own, arg, own->kv.add_versioned);
}

/* remove(namespace, key): whether it was there. */
napi_value js_remove(napi_env env, napi_callback_info info)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    target to;
    luat_kv_error *error = NULL;
    if (!target_take(env, own, arg, &to)) return NULL;
    luat_kv_status status = own->kv.remove(to.ns, to.key.data, to.key.len, &error);
    input_free(&to.key);
    return status < 0 ? fail(env, own, status, error) : new_bool(env, status == LUAT_KV_OK);
}

/* touch(namespace, key, expiration, lifetime): whether the key is there. */
napi_value js_touch(napi_env env, napi_callback_info info)
{
    napi_value arg[4];
    addon *own = arguments(env, info, arg, 4);
    target to;
    luat_kv_error *error = NULL;
    if (!target_take(env, own, arg, &to)) return NULL;
    int64_t expiration = take_int64(env, arg[2]), lifetime = take_int64(env, arg[3]);
    luat_kv_status status = own->kv.touch(to.ns, to.key.data, to.key.len, expiration, lifetime, &error);
    input_free(&to.key);
    return status < 0 ? fail(env, own, status, error) : new_bool(env, status == LUAT_KV_OK);
}

/* incr(namespace, key, by, initial, expiration, lifetime): the sum, a number if that is exact, otherwise a bigint. */
napi_value js_incr(napi_env env, napi_callback_info info)
{
    napi_value arg[6], result;
    addon *own = arguments(env, info, arg, 6);
    target to;
    luat_kv_error *error = NULL;
    int64_t sum;
    const int64_t safe = ((int64_t)1 << 53) - 1;
    if (!target_take(env, own, arg, &to)) return NULL;
    luat_kv_incr_options options = incr_options_take(env, own, arg + 3);
    int64_t by = take_int64(env, arg[2]);
    luat_kv_status status = own->kv.incr(to.ns, to.key.data, to.key.len, by, &options, &sum, &error);
    input_free(&to.key);
    if (status < 0) return fail(env, own, status, error);
    if (sum >= -safe && sum <= safe) return new_number(env, (double)sum);
    return made(env, napi_create_bigint_int64(env, sum, &result), &result);
}

/* ---- Many keys */

/* For count() and delete_prefix(), whose arguments are alike. */
static napi_value of_prefix(napi_env env, napi_callback_info info, bool removes)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    target to;
    uint64_t number;
    luat_kv_error *error = NULL;
    if (!target_take(env, own, arg, &to)) return NULL;
    luat_kv_status status = removes ? own->kv.delete_prefix(to.ns, to.key.data, to.key.len, &number, &error)
                                    : own->kv.count(to.ns, to.key.data, to.key.len, &number, &error);
    input_free(&to.key);
    return status < 0 ? fail(env, own, status, error) : new_number(env, (double)number);
}

/* count(namespace, prefix) */
napi_value js_count(napi_env env, napi_callback_info info)
{
    return of_prefix(env, info, false);
}

/* delete_prefix(namespace, prefix): how many keys were removed. */
napi_value js_delete_prefix(napi_env env, napi_callback_info info)
{
    return of_prefix(env, info, true);
}

/* clear(namespace): how many keys were removed. */
napi_value js_clear(napi_env env, napi_callback_info info)
{
    napi_value arg[1];
    addon *own = arguments(env, info, arg, 1);
    luat_kv_namespace *ns = handle_pointer(env, own, arg[0], NAMESPACE);
    uint64_t number;
    luat_kv_error *error = NULL;
    if (ns == NULL) return NULL;
    luat_kv_status status = own->kv.clear(ns, &number, &error);
    return status < 0 ? fail(env, own, status, error) : new_number(env, (double)number);
}

/* ---- Batches. Their functions begin with the batch, the namespace and the key. */

/* batch_open(store): the handle. */
napi_value js_batch_open(napi_env env, napi_callback_info info)
{
    napi_value arg[1];
    addon *own = arguments(env, info, arg, 1);
    luat_kv_store *store = handle_pointer(env, own, arg[0], STORE);
    luat_kv_batch *batch;
    luat_kv_error *error = NULL;
    if (store == NULL) return NULL;
    luat_kv_status status = own->kv.batch_open(store, &batch, &error);
    return status < 0 ? fail(env, own, status, error) : handle_new(env, own, BATCH, batch);
}

static luat_kv_batch *batch_take(napi_env env, addon *own, const napi_value *arg, target *to)
{
    luat_kv_batch *batch = handle_pointer(env, own, arg[0], BATCH);
    return batch != NULL && target_take(env, own, arg + 1, to) ? batch : NULL;
}

/* The end of each of these functions. */
static napi_value added(napi_env env, addon *own, target *to, luat_kv_status status, luat_kv_error *error)
{
    input_free(&to->key);
    return status < 0 ? fail(env, own, status, error) : undefined(env);
}

/* batch_check(batch, namespace, key, version or null) */
napi_value js_batch_check(napi_env env, napi_callback_info info)
{
    napi_value arg[4];
    addon *own = arguments(env, info, arg, 4);
    target to;
    input version;
    char room[64];
    luat_kv_error *error = NULL;
    luat_kv_batch *batch = batch_take(env, own, arg, &to);
    if (batch == NULL) return NULL;
    if (!input_take_optional(env, arg[3], &version, room, sizeof room)) {
        input_free(&to.key);
        return NULL;
    }
    const input *key = &to.key;
    luat_kv_status status =
        own->kv.batch_check(batch, to.ns, key->data, key->len, version.data, version.len, &error);
    input_free(&version);
    return added(env, own, &to, status, error);
}

/* batch_put(batch, namespace, key, value, expiration?, lifetime, metadata) */
napi_value js_batch_put(napi_env env, napi_callback_info info)
{
    napi_value arg[7], result = NULL;
    addon *own = arguments(env, info, arg, 7);
    target to;
    input value;
    struct put_options put;
    const luat_kv_put_options *options;
    luat_kv_error *error = NULL;
    luat_kv_batch *batch = batch_take(env, own, arg, &to);
    if (batch == NULL) return NULL;
    if (input_take(env, arg[3], &value, own->room, ROOM)) {
        if (put_options_take(env, own, arg + 4, &put, &options)) {
            const input *key = &to.key;
            luat_kv_status status =
                own->kv.batch_put(batch, to.ns, key->data, key->len, value.data, value.len, options, &error);
            result = status < 0 ? fail(env, own, status, error) : undefined(env);
            input_free(&put.metadata);
        }
        input_free(&value);
    }
    input_free(&to.key);
    return result;
}

/* batch_delete(batch, namespace, key) */
napi_value js_batch_delete(napi_env env, napi_callback_info info)
{
    napi_value arg[3];
    addon *own = arguments(env, info, arg, 3);
    target to;
    luat_kv_error *error = NULL;
    luat_kv_batch *batch = batch_take(env, own, arg, &to);
    if (batch == NULL) return NULL;
    luat_kv_status status = own->kv.batch_delete(batch, to.ns, to.key.data, to.key.len, &error);
    return added(env, own, &to, status, error);
}

/* batch_incr(batch, namespace, key, by, initial, expiration, lifetime) */
napi_value js_batch_incr(napi_env env, napi_callback_info info)
{
    napi_value arg[7];
    addon *own = arguments(env, info, arg, 7);
    target to;
    luat_kv_error *error = NULL;
    luat_kv_batch *batch = batch_take(env, own, arg, &to);
    if (batch == NULL) return NULL;
    luat_kv_incr_options options = incr_options_take(env, own, arg + 4);
    int64_t by = take_int64(env, arg[3]);
    luat_kv_status status = own->kv.batch_incr(batch, to.ns, to.key.data, to.key.len, by, &options, &error);
    return added(env, own, &to, status, error);
}

/* batch_commit(batch): the version of the new entries; null if a check failed. */
napi_value js_batch_commit(napi_env env, napi_callback_info info)
{
    napi_value arg[1];
    addon *own = arguments(env, info, arg, 1);
    luat_kv_batch *batch = handle_pointer(env, own, arg[0], BATCH);
    luat_kv_error *error = NULL;
    size_t len;
    if (batch == NULL) return NULL;
    luat_kv_status status = own->kv.batch_commit(batch, &error);
    if (status < 0) return fail(env, own, status, error);
    if (status != LUAT_KV_OK) return new_null(env);
    const uint8_t *version = own->kv.batch_version(batch, &len);
    return new_text(env, version, len);
}
