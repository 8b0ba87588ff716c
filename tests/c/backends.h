/*
 * For tests that apply to all back ends: each opens its store with this, and runs in memory and on disk, or with a server
 * in LUAT_KV_TEST_POSTGRES on a new database of it each time.
 */
#ifndef BACKENDS_H
#define BACKENDS_H

#include "kv.h"

static enum { MEMORY, DISK, POSTGRES } backend;

/* Makes a database, and opens a store on it. */
static inline luat_kv_status open_on_server(const luat_kv_open_options *options, luat_kv_store **store,
                                            luat_kv_error **error)
{
    char url[512] = "";
    FILE *made = popen("tests/postgres/database", "r");
    bool read = made && fgets(url, sizeof url, made);
    if (!made || pclose(made) != 0 || !read)
        check_fail(__FILE__, __LINE__, "tests/postgres/database has made none");
    url[strcspn(url, "\n")] = 0;
    return luat_kv_open_url(url, options, store, error);
}

static inline luat_kv_store *open_store(const luat_kv_open_options *options)
{
    luat_kv_store *store = NULL;
    if (backend == MEMORY)
        CHECK_STATUS(luat_kv_open_memory(options, &store, &error), LUAT_KV_OK);
    else if (backend == POSTGRES)
        CHECK_STATUS(open_on_server(options, &store, &error), LUAT_KV_OK);
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

/* The back ends of this run are from the first to the last one. */
static inline int first_backend(void)
{
    return getenv("LUAT_KV_TEST_POSTGRES") ? POSTGRES : MEMORY;
}

static inline int last_backend(void)
{
    return getenv("LUAT_KV_TEST_POSTGRES") ? POSTGRES : DISK;
}

#define check_both_backends(tests) \
    do { \
        static const char *const names_[] = { "memory", "disk", "postgres" }; \
        for (int which_ = first_backend(); which_ <= last_backend(); which_++) { \
            backend = which_; \
            check_tests(names_[which_], tests); \
        } \
        if (backend == POSTGRES) \
            backend = DISK; /* for tests of a file alone */ \
    } while (0)

#endif
