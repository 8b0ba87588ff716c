/* The calls that the package makes, without Python: for keys of one length that lie side by side. */
#include <stddef.h>
#include <string.h>

#include "luat_kv.h"

/* Reads each key. Returns how many were found. */
size_t read_all(__typeof__(luat_kv_get) *get, luat_kv_namespace *namespace, const char *keys, size_t key_len,
                size_t count)
{
    static uint8_t value[65536];
    size_t found = 0, len = 0;
    for (size_t i = 0; i < count; i++)
        found += get(namespace, keys + i * key_len, key_len, value, sizeof value, &len, NULL) == LUAT_KV_OK;
    return found;
}

/* Stores one value for each key. Returns how many were stored. */
size_t put_all(__typeof__(luat_kv_put_versioned) *put, luat_kv_namespace *namespace, const char *keys, size_t key_len,
               size_t count, const char *value, size_t value_len)
{
    char version[LUAT_KV_VERSION_SIZE];
    size_t stored = 0;
    for (size_t i = 0; i < count; i++)
        stored += put(namespace, keys + i * key_len, key_len, value, value_len, NULL, version, NULL) == LUAT_KV_OK;
    return stored;
}
