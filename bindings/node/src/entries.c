/* The keys of a namespace. */
#include <stdlib.h>
#include <string.h>
#include "addon.h"

bool target_take(napi_env env, addon *own, const napi_value *arg, target *to)
{
    to->ns = handle_pointer(env, own, arg[0], NAMESPACE);
    return to->ns != NULL && input_take(env, arg[1], &to->key, to->room, sizeof to->room);
}

/* ---- Reading */

/* The value of a key whose value did not fit into own->room. Another writer may replace it by one of another size. */
static napi_value get_large(napi_env env, addon *own, const target *from, size_t size, enum form as)
{
    for (;;) {
        napi_value result = NULL;
        void *data = NULL;
        luat_kv_error *error = NULL;
        size_t len;
        if (as == AS_BYTES) {
            if (made(env, napi_create_buffer(env, size, &data, &result), &result) == NULL) return NULL;
        } else if ((data = malloc(size)) == NULL) {
            return throw_no_memory(env);
        }
        luat_kv_status status = own->kv.get(from->ns, from->key.data, from->key.len, data, size, &len, &error);
        if (status < 0) result = fail(env, own, status, error);
        else if (status == LUAT_KV_NOT_FOUND) result = new_null(env);
        else if (status == LUAT_KV_OK && (as == AS_TEXT || len < size)) result = new_bytes(env, data, len, as);
        if (as == AS_TEXT) free(data);
        if (status != LUAT_KV_TOO_SMALL) return result;
        size = len;
    }
}

/*
 * Gets a value as text. As bytes, returns their number, and leaves them in the room: JavaScript copies them from there in
 * a fraction of the time that a new Buffer takes here. If the room is too small, returns a Buffer.
 */
static napi_value get(napi_env env, napi_callback_info info, enum form as)
{
    napi_value arg[2], result;
    addon *own = arguments(env, info, arg, 2);
    target from;
    luat_kv_error *error = NULL;
    size_t len;
    if (!target_take(env, own, arg, &from)) return NULL;
    luat_kv_status status = own->kv.get(from.ns, from.key.data, from.key.len, (uint8_t *)own->room, ROOM, &len, &error);
    if (status == LUAT_KV_OK) result = as == AS_TEXT ? new_text(env, own->room, len) : new_number(env, (double)len);
    else if (status == LUAT_KV_NOT_FOUND) result = new_null(env);
    else if (status == LUAT_KV_TOO_SMALL) result = get_large(env, own, &from, len, as);
    else result = fail(env, own, status, error);
    input_free(&from.key);
    return result;
}

/* get_text(namespace, key): the value as a string; null for a missing key. */
napi_value js_get_text(napi_env env, napi_callback_info info)
{
    return get(env, info, AS_TEXT);
}

/* get_bytes(namespace, key): the number of bytes in the room, or a Buffer; null for a missing key. */
napi_value js_get_bytes(napi_env env, napi_callback_info info)
{
    return get(env, info, AS_BYTES);
}

/* has(namespace, key) */
napi_value js_has(napi_env env, napi_callback_info info)
{
    napi_value arg[2];
    addon *own = arguments(env, info, arg, 2);
    target from;
    luat_kv_error *error = NULL;
    if (!target_take(env, own, arg, &from)) return NULL;
    luat_kv_status status = own->kv.has(from.ns, from.key.data, from.key.len, &error);
    input_free(&from.key);
    return status < 0 ? fail(env, own, status, error) : new_bool(env, status == LUAT_KV_OK);
}

/* ---- Entries, as page_array() returns them */

enum { FIELDS = 5, CHANGE_FIELDS = 6, ENTRIES_AT_ONCE = 40 };

static bool entry_fields(napi_env env, addon *own, const luat_kv_entry *entry, enum form as, napi_value *fields)
{
    size_t len;
    const uint8_t *data = own->kv.entry_key(entry, &len);
    if ((fields[0] = new_text(env, data, len)) == NULL) return false;
    data = own->kv.entry_version(entry, &len);
    if ((fields[1] = new_text(env, data, len)) == NULL) return false;
    fields[2] = new_number(env, (double)own->kv.entry_expiration(entry));
    data = own->kv.entry_metadata(entry, &len);
    fields[3] = data == NULL ? new_null(env) : new_text(env, data, len);
    if (fields[2] == NULL || fields[3] == NULL) return false;
    data = own->kv.entry_value(entry, &len);
    fields[4] = as == AS_NOTHING ? undefined(env) : new_bytes(env, data, len, as);
    return fields[4] != NULL;
}

napi_value page_array(napi_env env, addon *own, const luat_kv_page *page, enum form as, bool changes)
{
    napi_value array = new_array(env), values[CHANGE_FIELDS * ENTRIES_AT_ONCE], cursor;
    size_t len = own->kv.page_len(page), index = 0;
    bool done = array != NULL;
    while (done && index < len) {
        napi_handle_scope scope; // or all values of the page would be kept until the end
        size_t count = 0;
        if (napi_open_handle_scope(env, &scope) != napi_ok) return NULL;
        for (size_t in_scope = 0; done && index < len && in_scope < ENTRIES_AT_ONCE; index++, in_scope++) {
            const luat_kv_entry *entry = own->kv.page_at(page, index);
            done = entry_fields(env, own, entry, as, values + count);
            count += FIELDS;
            if (done && changes) done = (values[count++] = new_number(env, own->kv.entry_change(entry))) != NULL;
        }
        done = done && push_all(env, own, array, count, values);
        napi_close_handle_scope(env, scope);
    }
    if (done) {
        const uint8_t *data = own->kv.page_cursor(page, &len);
        cursor = data == NULL ? new_null(env) : new_text(env, data, len);
        done = cursor != NULL && push_all(env, own, array, 1, &cursor);
    }
    return done ? array : NULL;
}

/* Returns what a call that returns a page has returned. Frees the page. */
static napi_value page_result(napi_env env, addon *own, luat_kv_status status, luat_kv_page *page, enum form as,
                              luat_kv_error *error)
{
    if (status < 0) return fail(env, own, status, error);
    napi_value array = page_array(env, own, page, as, false);
    own->kv.page_free(page);
    return array;
}

/* get_entry(namespace, key, as): the fields of an entry; null for a missing key. */
napi_value js_get_entry(napi_env env, napi_callback_info info)
{
    napi_value arg[3], fields[FIELDS], array = NULL;
    addon *own = arguments(env, info, arg, 3);
    target from;
    luat_kv_entry *entry;
    luat_kv_error *error = NULL;
    if (!target_take(env, own, arg, &from)) return NULL;
    luat_kv_status status = own->kv.get_entry(from.ns, from.key.data, from.key.len, &entry, &error);
    input_free(&from.key);
    if (status == LUAT_KV_NOT_FOUND) return new_null(env);
    if (status < 0) return fail(env, own, status, error);
    if (entry_fields(env, own, entry, take_uint32(env, arg[2]), fields)) array = new_array(env);
    own->kv.entry_free(entry);
    return array != NULL && push_all(env, own, array, FIELDS, fields) ? array : NULL;
}

static bool keys_append(struct keys *all, uint32_t index, const input *key)
{
    if (key->len > all->size - all->len) {
        size_t size = 2 * (all->len + key->len);
        char *block = realloc(all->block, size);
        if (block == NULL) return false;
        all->block = block;
        all->size = size;
    }
    if (key->len > 0) memcpy(all->block + all->len, key->data, key->len);
    all->len += key->len;
    all->keys[index].len = key->len;
    return true;
}

bool keys_take(napi_env env, napi_value array, struct keys *all)
{
    char room[KEY_ROOM];
    *all = (struct keys){ 0 };
    if (made(env, napi_get_array_length(env, array, &all->count), &array) == NULL) return false;
    all->keys = malloc(((size_t)all->count + 1) * sizeof *all->keys);
    if (all->keys == NULL) return throw_no_memory(env) != NULL;
    for (uint32_t index = 0; index < all->count; index++) {
        napi_value value;
        input key;
        if (made(env, napi_get_element(env, array, index, &value), &value) == NULL) return false;
        if (!input_take(env, value, &key, room, sizeof room)) return false;
        bool appended = keys_append(all, index, &key);
        input_free(&key);
        if (!appended) return throw_no_memory(env) != NULL;
    }
    const char *key = all->block;
    for (uint32_t index = 0; index < all->count; key += all->keys[index++].len) all->keys[index].data = key;
    return true;
}

void keys_free(struct keys *all)
{
    free(all->keys);
    free(all->block);
}

/* get_many(namespace, keys, as): the page of those that exist. */
napi_value js_get_many(napi_env env, napi_callback_info info)
{
    napi_value arg[3], result = NULL;
    addon *own = arguments(env, info, arg, 3);
    luat_kv_namespace *ns = handle_pointer(env, own, arg[0], NAMESPACE);
    luat_kv_page *page;
    luat_kv_error *error = NULL;
    struct keys all;
    if (ns == NULL) return NULL;
    if (keys_take(env, arg[1], &all)) {
        luat_kv_status status = own->kv.get_many(ns, all.keys, all.count, &page, &error);
        result = page_result(env, own, status, page, take_uint32(env, arg[2]), error);
    }
    keys_free(&all);
    return result;
}

/* list(namespace, flags, limit, as, prefix, start, stop, cursor): the page. */
napi_value js_list(napi_env env, napi_callback_info info)
{
    napi_value arg[8], result = NULL;
    addon *own = arguments(env, info, arg, 8);
    luat_kv_namespace *ns = handle_pointer(env, own, arg[0], NAMESPACE);
    luat_kv_list_options options;
    luat_kv_bytes *fields[4] = { &options.prefix, &options.start, &options.stop, &options.cursor };
    input texts[4];
    char room[4][512];
    luat_kv_page *page;
    luat_kv_error *error = NULL;
    int taken = 0;
    if (ns == NULL) return NULL;
    own->kv.list_options_init(&options, sizeof options);
    options.flags = take_uint32(env, arg[1]);
    options.limit = take_uint32(env, arg[2]);
    for (; taken < 4; taken++) {
        if (!input_take_optional(env, arg[4 + taken], &texts[taken], room[taken], sizeof room[taken])) break;
        *fields[taken] = (luat_kv_bytes){ texts[taken].data, texts[taken].len };
    }
    if (taken == 4) {
        luat_kv_status status = own->kv.list(ns, &options, &page, &error);
        result = page_result(env, own, status, page, take_uint32(env, arg[3]), error);
    }
    while (taken > 0) input_free(&texts[--taken]);
    return result;
}

/* namespaces(store): a page whose names are the namespaces. */
napi_value js_namespaces(napi_env env, napi_callback_info info)
{
    napi_value arg[1];
    addon *own = arguments(env, info, arg, 1);
    luat_kv_store *store = handle_pointer(env, own, arg[0], STORE);
    luat_kv_page *page;
    luat_kv_error *error = NULL;
    if (store == NULL) return NULL;
    luat_kv_status status = own->kv.namespaces(store, &page, &error);
    return page_result(env, own, status, page, AS_NOTHING, error);
}
