/*
 * Helpers for tests of the cache of values.
 */
#ifndef CACHE_H
#define CACHE_H

#include "shared.h"

enum { READS = 10 };

/* Reads a key until the cache has it: a key is added when it is read for the second time. */
static inline void warm(luat_kv_namespace *ns, const char *key)
{
    uint8_t value[100];
    size_t len;
    for (int read = 0; read < READS; read++)
        CHECK(luat_kv_get(ns, TEXT(key), value, sizeof value, &len, NULL) >= 0);
}

static inline luat_kv_cache_stats figures_of(luat_kv_store *store)
{
    luat_kv_stats *stats = NULL;
    luat_kv_cache_stats cache;
    memset(&cache, 0xff, sizeof cache);
    CHECK_STATUS(luat_kv_stats_read(store, &stats, &error), LUAT_KV_OK);
    luat_kv_stats_cache(stats, &cache, sizeof cache);
    luat_kv_stats_free(stats);
    CHECK(cache.struct_size == sizeof cache && cache.reserved == 0);
    return cache;
}

/* Puts a number into the shared store. */
static inline void put_turn(const char *key, int turn)
{
    char value[20];
    snprintf(value, sizeof value, "%d", turn);
    CHECK_STATUS(kv_put(shared.ns, key, value, &error), LUAT_KV_OK);
}

#endif
