/*
 * The process's memory runs out: that is NOMEM, and the store works on.
 */
#include "backends.h"

#include <sys/resource.h>

enum { KEYS = 300, METADATA = 60000 };

/* Keys with long metadata, which a page has all at once. */
static void put_keys(luat_kv_namespace *ns)
{
    static uint8_t metadata[METADATA];
    luat_kv_put_options options;
    char key[20];
    memset(metadata, 'm', METADATA);
    metadata[0] = metadata[METADATA - 1] = '"';
    luat_kv_put_options_init(&options, sizeof options);
    options.metadata.data = metadata;
    options.metadata.len = METADATA;
    for (int number = 0; number < KEYS; number++) {
        snprintf(key, sizeof key, "%d", number);
        CHECK_STATUS(luat_kv_put(ns, TEXT(key), BYTES("value"), &options, &error), LUAT_KV_OK);
    }
}

static void a_page_that_does_not_fit_is_an_error(void)
{
    struct rlimit limit, none;
    luat_kv_page *page = GARBAGE;
    struct kv kv = open_default();
    put_keys(kv.ns);
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    none = limit;
    none.rlim_cur = 0; /* no more than it has */
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    CHECK_STATUS(luat_kv_list(kv.ns, NULL, &page, &error), LUAT_KV_NOMEM);
    CHECK(page == NULL);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(kv_count(kv.ns, "") == KEYS);
    kv_close(kv);
}

static const struct check_test tests[] = { TEST(a_page_that_does_not_fit_is_an_error) };

int main(void)
{
    check_both_backends(tests);
    return check_done();
}
