/* Values of JavaScript: what calls take, and what they return. */
#include <stdlib.h>
#include <string.h>
#include "addon.h"

void *arguments(napi_env env, napi_callback_info info, napi_value *values, size_t count)
{
    void *own = NULL;
    napi_get_cb_info(env, info, &count, values, NULL, &own);
    return own;
}

/* ---- Inputs */

napi_value throw_no_memory(napi_env env)
{
    napi_throw_error(env, "NOMEM", "memory ran out");
    return NULL;
}

/* Gives an input memory of its own. */
static bool own_memory(napi_env env, input *in, size_t size)
{
    in->data = in->owned = malloc(size == 0 ? 1 : size);
    if (in->owned == NULL) throw_no_memory(env);
    return in->owned != NULL;
}

static bool take_long_text(napi_env env, napi_value value, input *in)
{
    size_t len;
    return napi_get_value_string_utf8(env, value, NULL, 0, &len) == napi_ok && own_memory(env, in, len + 1) &&
        napi_get_value_string_utf8(env, value, in->owned, len + 1, &in->len) == napi_ok;
}

static bool take_bytes(napi_env env, napi_value value, input *in)
{
    napi_typedarray_type type;
    size_t len;
    void *data;
    napi_value buffer;
    bool is_own = false, is_detached = false;
    napi_status status = napi_get_typedarray_info(env, value, &type, &len, &data, &buffer, NULL);
    if (status != napi_ok || type != napi_uint8_array) {
        napi_throw_type_error(env, NULL, "a string or a Uint8Array is needed here");
        return false;
    }
    if (len == 0) {
        napi_is_detached_arraybuffer(env, buffer, &is_detached);
        if (is_detached) napi_throw_type_error(env, NULL, "the memory of the Uint8Array is detached");
        return !is_detached;
    }
    // Another thread could change shared memory during the call.
    napi_is_arraybuffer(env, buffer, &is_own);
    if (is_own) in->data = data;
    else if (own_memory(env, in, len)) memcpy(in->owned, data, len);
    else return false;
    in->len = len;
    return true;
}

bool input_take(napi_env env, napi_value value, input *in, char *room, size_t size)
{
    *in = (input){ 0 };
    napi_status status = napi_get_value_string_utf8(env, value, room, size, &in->len);
    if (status == napi_string_expected) return take_bytes(env, value, in);
    in->data = room;
    // A string that is cut off, which happens between characters, lacks at most 3 bytes and the NUL.
    if (status == napi_ok && (in->len + 4 < size || take_long_text(env, value, in))) return true;
    input_free(in);
    made(env, napi_generic_failure, NULL);
    return false;
}

bool input_take_optional(napi_env env, napi_value value, input *in, char *room, size_t size)
{
    napi_valuetype type;
    *in = (input){ 0 };
    if (napi_typeof(env, value, &type) == napi_ok && (type == napi_undefined || type == napi_null)) return true;
    return input_take(env, value, in, room, size);
}

void input_free(input *in)
{
    if (in->owned != NULL) free(in->owned);
    in->owned = NULL;
}

int64_t take_int64(napi_env env, napi_value value)
{
    int64_t number = 0;
    bool lossless;
    if (napi_get_value_int64(env, value, &number) == napi_number_expected) {
        napi_get_value_bigint_int64(env, value, &number, &lossless);
    }
    return number;
}

uint32_t take_uint32(napi_env env, napi_value value)
{
    uint32_t number = 0;
    napi_get_value_uint32(env, value, &number);
    return number;
}

/* ---- Results */

napi_value made(napi_env env, napi_status status, const napi_value *value)
{
    const napi_extended_error_info *info = NULL;
    bool pending = false;
    if (status == napi_ok) return *value;
    napi_get_last_error_info(env, &info);
    const char *reason = info != NULL && info->error_message != NULL ? info->error_message : "memory ran out";
    if (napi_is_exception_pending(env, &pending) == napi_ok && !pending) napi_throw_error(env, NULL, reason);
    return NULL;
}

static bool is_ascii(const unsigned char *bytes, size_t len)
{
    uint64_t bits = 0;
    for (; len >= 8; len -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        bits |= word;
    }
    while (len > 0) bits |= bytes[--len];
    return (bits & 0x8080808080808080) == 0;
}

/* Bytes that are not UTF-8 become U+FFFD. */
napi_value new_text(napi_env env, const void *data, size_t len)
{
    napi_value text;
    if (len == 0) data = ""; // it may be NULL
    // Of ASCII, V8 need not decode anything.
    napi_status status = is_ascii(data, len) ? napi_create_string_latin1(env, data, len, &text)
                                             : napi_create_string_utf8(env, data, len, &text);
    if (status == napi_ok) return text;
    // The maximum length is that of V8, and depends on its version.
    napi_throw_error(env, "ERR_STRING_TOO_LONG", "the text is longer than the maximum length of a string");
    return NULL;
}

napi_value new_bytes(napi_env env, const void *data, size_t len, enum form as)
{
    napi_value bytes;
    if (as == AS_TEXT) return new_text(env, data, len);
    return made(env, napi_create_buffer_copy(env, len, data, NULL, &bytes), &bytes);
}

napi_value new_number(napi_env env, double number)
{
    napi_value value;
    return made(env, napi_create_double(env, number, &value), &value);
}

napi_value new_bool(napi_env env, bool flag)
{
    napi_value value;
    return made(env, napi_get_boolean(env, flag, &value), &value);
}

napi_value new_null(napi_env env)
{
    napi_value value;
    return made(env, napi_get_null(env, &value), &value);
}

napi_value undefined(napi_env env)
{
    napi_value value;
    return made(env, napi_get_undefined(env, &value), &value);
}

napi_value new_array(napi_env env)
{
    napi_value array;
    return made(env, napi_create_array(env, &array), &array);
}

/* One call for many elements takes a fraction of the time of napi_set_element() for each. */
bool push_all(napi_env env, addon *own, napi_value array, size_t count, const napi_value *values)
{
    napi_value push;
    return made(env, napi_get_reference_value(env, own->push, &push), &push) != NULL &&
        made(env, napi_call_function(env, array, push, count, values, NULL), &array) != NULL;
}

/* ---- Errors */

static napi_value make_error(napi_env env, addon *own, luat_kv_status status, const char *message, int number)
{
    napi_value class, error, arg[4];
    const char *code = own->kv.status_str(status);
    napi_status done = napi_get_reference_value(env, own->error_class, &class);
    if (done == napi_ok) done = napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &arg[0]);
    if (done == napi_ok) done = napi_create_int32(env, status, &arg[1]);
    if (done == napi_ok) done = napi_create_string_utf8(env, message[0] ? message : code, NAPI_AUTO_LENGTH, &arg[2]);
    if (done == napi_ok) done = napi_create_int32(env, number, &arg[3]);
    if (done == napi_ok) done = napi_new_instance(env, class, 4, arg, &error);
    return made(env, done, &error);
}

napi_value new_error(napi_env env, addon *own, luat_kv_status status, luat_kv_error *reason)
{
    napi_value error = make_error(env, own, status, own->kv.error_message(reason), own->kv.error_errno(reason));
    own->kv.error_free(reason);
    return error;
}

napi_value fail(napi_env env, addon *own, luat_kv_status status, luat_kv_error *reason)
{
    napi_value error = new_error(env, own, status, reason);
    if (error != NULL) napi_throw(env, error);
    return NULL;
}

napi_value throw_closed(napi_env env, addon *own)
{
    napi_value error = make_error(env, own, LUAT_KV_INVALID, "the store is closed", 0);
    if (error != NULL) napi_throw(env, error);
    return NULL;
}
