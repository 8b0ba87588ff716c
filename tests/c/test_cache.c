/*
 * The cache of values: its options, its figures, and threads that share it.
 */
#include "cache.h"
#include "threads.h"

#include <stddef.h>

/* ---- Options */

static luat_kv_open_options with_size(uint64_t size, uint32_t flags)
{
    luat_kv_open_options options = kv_open_options(flags, 0);
    options.cache_size = size;
    return options;
}

/* Opens a store, reads a key, and checks whether the cache had it. */
static void check_use(const luat_kv_open_options *options, bool expected)
{
    struct kv kv = { NULL, NULL };
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), options, &kv.store, &error), LUAT_KV_OK);
    kv = kv_over(kv.store);
    CHECK_PUT(kv.ns, "key", "value");
    warm(kv.ns, "key");
    warm(kv.ns, "none");
    luat_kv_cache_stats cache = figures_of(kv.store);
    CHECK(cache.hits == (expected ? 2 * (READS - 2) : 0));
    CHECK(cache.misses == (expected ? 4 : 0));
    CHECK((cache.size > 0) == expected && cache.size <= 16 << 20);
    CHECK_VALUE(kv.ns, "key", "value");
    CHECK_MISSING(kv.ns, "none");
    CHECK_PUT(kv.ns, "key", "new");
    CHECK_PUT(kv.ns, "none", "added");
    CHECK_VALUE(kv.ns, "key", "new");
    CHECK_VALUE(kv.ns, "none", "added");
    CHECK_STATUS(kv_delete(kv.ns, "none", &error), LUAT_KV_OK);
    CHECK_MISSING(kv.ns, "none");
    kv_close(kv);
}

static void the_size_is_an_option(void)
{
    const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t large = memory < UINT64_C(5) << 30 ? memory : UINT64_C(5) << 30; /* more than 32 bits, if possible */
    luat_kv_open_options options = with_size(0, 0);
    check_use(NULL, true);
    check_use(&options, true);
    options = with_size(1 << 20, 0);
    check_use(&options, true);
    options = with_size(large, 0);
    check_use(&options, true);
}

static void a_flag_turns_it_off(void)
{
    static const uint64_t sizes[] = { 0, 1, 1 << 20, UINT64_MAX };
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        luat_kv_open_options options = with_size(sizes[at], LUAT_KV_OPEN_NO_CACHE);
        check_use(&options, false);
    }
}

static void more_than_the_memory_is_refused(void)
{
    const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t sizes[] = { memory + 1, UINT64_C(1) << 60, UINT64_MAX };
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        char words[100];
        luat_kv_store *store = GARBAGE;
        luat_kv_open_options options = with_size(sizes[at], 0);
        snprintf(words, sizeof words, "cache_size is %llu bytes, more than the memory", (unsigned long long)sizes[at]);
        CHECK_REFUSED(luat_kv_open(scratch("kv.db"), &options, &store, &error), LUAT_KV_INVALID, words);
        CHECK(store == NULL && access(scratch("kv.db"), F_OK) != 0);
    }
}

/* A program that was compiled with an older header passes a struct that ends before the size. */
static void an_older_struct_means_the_default(void)
{
    luat_kv_open_options options;
    memset(&options, 0xff, sizeof options);
    luat_kv_open_options_init(&options, offsetof(luat_kv_open_options, cache_size));
    CHECK(options.struct_size == offsetof(luat_kv_open_options, cache_size) && options.cache_size == UINT64_MAX);
    check_use(&options, true);
}

static void a_small_cache_returns_what_it_cannot_keep(void)
{
    struct kv kv = { NULL, NULL };
    luat_kv_open_options options = with_size(1, 0);
    CHECK_STATUS(luat_kv_open(scratch("kv.db"), &options, &kv.store, &error), LUAT_KV_OK);
    kv = kv_over(kv.store);
    kv_put_numbers(kv.ns, "key", 100);
    for (int read = 0; read < READS; read++)
        kv_check_numbers(kv.ns, "key", 100);
    kv_close(kv);
}

/* ---- Figures */

static void figures_are_written_as_far_as_the_caller_knows_them(void)
{
    union { luat_kv_cache_stats known; uint8_t bytes[sizeof(luat_kv_cache_stats) + 40]; } cache;
    luat_kv_stats *stats = NULL;
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "key", "value");
    warm(kv.ns, "key");
    const luat_kv_cache_stats whole = figures_of(kv.store);
    CHECK(whole.hits == READS - 2 && whole.misses == 2 && whole.size > 0);
    CHECK_STATUS(luat_kv_stats_read(kv.store, &stats, &error), LUAT_KV_OK);
    for (size_t size = 0; size <= sizeof cache; size++) {
        memset(&cache, 0xaa, sizeof cache);
        luat_kv_stats_cache(stats, &cache.known, size);
        size_t written = size < sizeof(uint32_t) ? 0 : size;
        CHECK(written == 0 || cache.known.struct_size == size);
        for (size_t byte = written ? sizeof(uint32_t) : 0; byte < sizeof cache; byte++) {
            uint8_t expected = byte >= written ? 0xaa : 0;
            if (byte < written && byte < sizeof whole)
                expected = ((const uint8_t *)&whole)[byte];
            CHECK(cache.bytes[byte] == expected);
        }
    }
    luat_kv_stats_cache(stats, NULL, sizeof cache.known);
    kv_close(kv);
    luat_kv_stats_cache(stats, &cache.known, sizeof cache.known); /* they are as they were read */
    CHECK(cache.known.hits == READS - 2 && cache.known.size == whole.size);
    luat_kv_stats_free(stats);
}

static void without_a_cache_the_figures_are_0(void)
{
    luat_kv_cache_stats cache, zero;
    struct kv kv = kv_memory();
    CHECK_PUT(kv.ns, "key", "value");
    warm(kv.ns, "key");
    memset(&zero, 0, sizeof zero);
    zero.struct_size = sizeof zero;
    cache = figures_of(kv.store);
    CHECK(memcmp(&cache, &zero, sizeof cache) == 0);
    memset(&cache, 0xff, sizeof cache);
    luat_kv_stats_cache(NULL, &cache, sizeof cache);
    CHECK(memcmp(&cache, &zero, sizeof cache) == 0);
    luat_kv_stats_cache(NULL, NULL, sizeof cache);
    kv_close(kv);
}

static void stores_on_one_file_share_the_figures(void)
{
    struct kv first = kv_open(scratch("kv.db")), second = kv_open(scratch("kv.db"));
    CHECK_PUT(first.ns, "key", "value");
    warm(first.ns, "key");
    warm(second.ns, "key");
    luat_kv_cache_stats cache = figures_of(first.store), other = figures_of(second.store);
    CHECK(cache.hits == 2 * READS - 2 && cache.misses == 2 && memcmp(&cache, &other, sizeof cache) == 0);
    CHECK_PUT(second.ns, "key", "new");
    CHECK_VALUE(first.ns, "key", "new");
    kv_close(second);
    kv_close(first);
}

/* A write of another process empties the cache; an own one does not. */
static void drops_count_what_others_write(void)
{
    open_shared();
    CHECK_PUT(shared.ns, "key", "value");
    warm(shared.ns, "key");
    const uint64_t before = figures_of(shared.store).drops;
    CHECK_PUT(shared.ns, "other", "value");
    warm(shared.ns, "key");
    CHECK(figures_of(shared.store).drops == before);
    CHECK(process_written(process_start_self("write", database, "third", "1")) == 1);
    warm(shared.ns, "key");
    CHECK(figures_of(shared.store).drops == before + 1);
    close_shared();
}

/* ---- Threads */

static int written, finished;

/* Reads the number of the last write that was acknowledged before, or a later one. */
static void read_numbers(int number)
{
    (void)number;
    while (!is_set(&finished)) {
        char text[20] = "";
        size_t len = 0;
        int least = __atomic_load_n(&written, __ATOMIC_ACQUIRE);
        CHECK_STATUS(luat_kv_get(shared.ns, LUAT_KV_TEXT("n"), (uint8_t *)text, sizeof text - 1, &len, &error),
                     LUAT_KV_OK);
        if (atoi(text) < least) {
            check_fail(__FILE__, __LINE__, "a read returned %s, and %d was written before", text, least);
            return;
        }
    }
}

static void threads_never_read_an_old_value(void)
{
    struct thread readers[3];
    open_shared();
    set(&written, 0);
    set(&finished, 0);
    put_turn("n", 0);
    threads_start(readers, 3, read_numbers);
    for (int number = 1; number <= 300; number++) {
        put_turn("n", number);
        set(&written, number);
    }
    set(&finished, 1);
    threads_join(readers, 3);
    close_shared();
}

static const struct check_test tests[] = {
    TEST(the_size_is_an_option),
    TEST(a_flag_turns_it_off),
    TEST(more_than_the_memory_is_refused),
    TEST(an_older_struct_means_the_default),
    TEST(a_small_cache_returns_what_it_cannot_keep),
    TEST(figures_are_written_as_far_as_the_caller_knows_them),
    TEST(without_a_cache_the_figures_are_0),
    TEST(stores_on_one_file_share_the_figures),
    TEST(drops_count_what_others_write),
    TEST(threads_never_read_an_old_value),
};

int main(int argc, char **argv)
{
    process_main(argc, argv);
    check_tests("", tests);
    return check_done();
}
