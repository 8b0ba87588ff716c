/*
 * For tests that apply to both back ends: each opens its store with this, and runs twice.
 */
#ifndef BACKENDS_H
#define BACKENDS_H

#include "kv.h"

static enum { MEMORY, DISK } backend;

static inline luat_kv_store *open_store(const luat_kv_open_options *options)
{
    luat_kv_store *store = NULL;
    if (backend == MEMORY)
        CHECK_STATUS(luat_kv_open_memory(options, &store, &error), LUAT_KV_OK);
    else
        CHECK_STATUS(luat_kv_open(scratch("kv.db"), options, &store, &error), LUAT_KV_OK);
    return store;
}

static inline struct kv open_default(void)
{
    return kv_over(open_store(NULL));
}

static inline struct kv open_cloudflare(void)
{
    luat_kv_open_options options;
    luat_kv_open_options_init(&options, sizeof options);
    options.limits = LUAT_KV_LIMITS_CLOUDFLARE;
    return kv_over(open_store(&options));
}

#define check_both_backends(tests) \
    do { \
        backend = MEMORY; \
        check_tests("memory", tests); \
        backend = DISK; \
        check_tests("disk", tests); \
    } while (0)

#endif
