/*
 * The process's memory is exhausted: the result is NOMEM, and the store remains usable.
 */
#include "backends.h"

#include <errno.h>
#include <sys/resource.h>

enum { KEYS = 300, METADATA = 60000 };

#ifndef STARVED_BY_WRAP

static struct rlimit before;

static void take_memory(void)
{
    struct rlimit none;
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    none = before;
    none.rlim_cur = 0; /* no more than it has */
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
}

static void give_memory(void)
{
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
}

#else /* Sanitizers and valgrind would starve too, and end. So they link this with -Wl,--wrap=malloc and so on. */

static bool starved;

#define REFUSE(len) \
    if (starved && (len) > METADATA / 2) \
        return errno = ENOMEM, NULL

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__real_realloc(void *data, size_t len);
void *__wrap_realloc(void *data, size_t len);

void *__wrap_malloc(size_t len)
{
    REFUSE(len);
    return __real_malloc(len);
}

void *__wrap_realloc(void *data, size_t len)
{
    REFUSE(len);
    return __real_realloc(data, len);
}

static void take_memory(void)
{
    starved = true;
}

static void give_memory(void)
{
    starved = false;
}

#endif

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
        CHECK_STATUS(luat_kv_put(ns, TEXT(key), LUAT_KV_TEXT("value"), &options, &error), LUAT_KV_OK);
    }
}

static void a_page_that_does_not_fit_is_an_error(void)
{
    luat_kv_page *page = GARBAGE;
    struct kv kv = open_default();
    put_keys(kv.ns);
    take_memory();
    CHECK_STATUS(luat_kv_list(kv.ns, NULL, &page, &error), LUAT_KV_NOMEM);
    CHECK(page == NULL);
    give_memory();
    CHECK(kv_count(kv.ns, "") == KEYS);
    kv_close(kv);
}

static const struct check_test tests[] = { TEST(a_page_that_does_not_fit_is_an_error) };

int main(void)
{
    check_both_backends(tests);
    return check_done();
}
