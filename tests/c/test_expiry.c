/*
 * Expired entries are gone for every operation at once, and hide no live ones. All tests share one wait: the stores are
 * filled, both back ends are checked until the time has come, and only then do the tests run.
 */
#include "backends.h"

#include <time.h>

/* As many as take a sweep more than one step. */
enum { ENDING = 700 };

static struct kv stores[POSTGRES + 1], removals[POSTGRES + 1];
static int64_t end;

static luat_kv_status put_ending(luat_kv_namespace *ns, const char *key, luat_kv_error **error)
{
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration = end;
    options.metadata = (luat_kv_bytes){ (const uint8_t *)"1", 1 };
    return luat_kv_put(ns, TEXT(key), LUAT_KV_TEXT("ends"), &options, error);
}

/* Of two hundred keys "k:000", "k:001", ... four live; all of "end:..." end. */
static void fill(luat_kv_namespace *ns)
{
    char key[20];
    for (int number = 0; number < ENDING; number++) {
        snprintf(key, sizeof key, number < 196 ? "k:%03d" : "end:%03d", number);
        CHECK_STATUS(put_ending(ns, key, &error), LUAT_KV_OK);
    }
    CHECK_PUT(ns, "k:000.", "lives");
    CHECK_PUT(ns, "k:057.", "lives");
    CHECK_PUT(ns, "k:058", "lives now, for ever");
    CHECK_PUT(ns, "k:100.", "lives");
}

/* Looks at a key that ends, again and again until it is gone: it is there before its end, and never after.
 * The end is time()'s, which lags finer clocks, and a server's, by some milliseconds: hence the short moments. */
static void look_until_the_end(void)
{
    const struct timespec moment = { 0, 200 * 1000 };
    bool over = false;
    while (!over) {
        for (int which = first_backend(); which <= last_backend(); which++) {
            size_t len = SIZE_MAX;
            luat_kv_error *error = GARBAGE;
            int64_t before = time(NULL);
            luat_kv_status status = luat_kv_get(stores[which].ns, LUAT_KV_TEXT("end:200"), NULL, 0, &len, &error);
            struct timespec after;
            clock_gettime(CLOCK_REALTIME, &after);
            over = before >= end;
            if (after.tv_sec < end || over)
                check_status(status, over ? LUAT_KV_NOT_FOUND : LUAT_KV_TOO_SMALL, error, "", "get", __FILE__,
                             __LINE__);
        }
        nanosleep(&moment, NULL);
    }
}

static void entries_live_until_their_end(void)
{
    for (int which = first_backend(); which <= last_backend(); which++) {
        backend = which;
        stores[which] = open_default();
        removals[which] = which == DISK ? kv_open(scratch("removals.db")) : open_default();
    }
    end = time(NULL) + (last_backend() == POSTGRES ? 8 : 2); /* a server takes longer to fill */
    for (int which = first_backend(); which <= last_backend(); which++)
        fill(stores[which].ns);
    for (int which = first_backend(); which <= last_backend(); which++) {
        CHECK_STATUS(put_ending(removals[which].ns, "removed", &error), LUAT_KV_OK);
        CHECK_STATUS(put_ending(removals[which].ns, "taken", &error), LUAT_KV_OK);
        CHECK_STATUS(put_ending(removals[which].ns, "added", &error), LUAT_KV_OK);
    }
    CHECK(time(NULL) < end); /* else this machine is too slow for the test */
    look_until_the_end();
}

static void get_and_list_do_not_see_them(void)
{
    luat_kv_namespace *ns = stores[backend].ns;
    CHECK_MISSING(ns, "k:000");
    CHECK_MISSING(ns, "end:500");
    CHECK_STATUS(luat_kv_has(ns, LUAT_KV_TEXT("k:001"), &error), LUAT_KV_NOT_FOUND);
    CHECK(kv_count(ns, "") == 4);
    CHECK(kv_count(ns, "end:") == 0);
    CHECK_VALUE(ns, "k:058", "lives now, for ever");
}

static void they_hide_nothing_that_lives(void)
{
    luat_kv_namespace *ns = stores[backend].ns;
    luat_kv_list_options options = kv_list_options("k:", 2);
    luat_kv_page *page = NULL, *next = NULL;
    CHECK_STATUS(luat_kv_list(ns, &options, &page, &error), LUAT_KV_OK);
    CHECK(luat_kv_page_len(page) == 2);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 0), "k:000.");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(page, 1), "k:057.");
    options.cursor.data = luat_kv_page_cursor(page, &options.cursor.len);
    CHECK(options.cursor.data != NULL);
    CHECK_STATUS(luat_kv_list(ns, &options, &next, &error), LUAT_KV_OK);
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(next, 0), "k:058");
    CHECK_VIEW(luat_kv_entry_key, luat_kv_page_at(next, 1), "k:100.");
    CHECK_NO_VIEW(luat_kv_page_cursor, next); /* the rows behind it have expired: that is complete */
    luat_kv_page_free(page);
    luat_kv_page_free(next);
}

static void a_sweep_counts_what_it_removes(void)
{
    luat_kv_store *store = stores[backend].store;
    enum { LEFT = ENDING - 1 - 3 - 1 - 600 }; /* "k:058" was put again, to live */
    uint64_t removed = UINT64_MAX;
    CHECK_STATUS(luat_kv_sweep(store, 3, &removed, &error), LUAT_KV_OK);
    CHECK(removed == 3);
    CHECK_STATUS(luat_kv_sweep(store, 1, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_sweep(store, 600, &removed, &error), LUAT_KV_OK);
    CHECK(removed == 600);
    CHECK_PUT(stores[backend].ns, "k:100.", "a write takes some too");
    CHECK_STATUS(luat_kv_sweep(store, 0, &removed, &error), LUAT_KV_OK);
    CHECK(removed > 0 && removed < LEFT);
    CHECK_STATUS(luat_kv_sweep(store, 0, &removed, &error), LUAT_KV_OK);
    CHECK(removed == 0);
    CHECK(kv_count(stores[backend].ns, "") == 4);
    luat_kv_namespace_free(stores[backend].ns);
    luat_kv_close(store);
}

/* Separate stores, since writes here must not sweep the others. */
static void removal_does_not_find_them(void)
{
    luat_kv_namespace *ns = removals[backend].ns;
    luat_kv_entry *entry = GARBAGE;
    CHECK_STATUS(luat_kv_remove(ns, LUAT_KV_TEXT("removed"), &error), LUAT_KV_NOT_FOUND);
    CHECK_STATUS(luat_kv_take(ns, LUAT_KV_TEXT("taken"), &entry, &error), LUAT_KV_NOT_FOUND);
    CHECK(entry == NULL);
    CHECK_STATUS(luat_kv_add_versioned(ns, LUAT_KV_TEXT("added"), LUAT_KV_TEXT("new"), NULL, NULL, &error), LUAT_KV_OK);
    CHECK_VALUE(ns, "added", "new");
    kv_close(removals[backend]);
}

static const struct check_test waits[] = { TEST(entries_live_until_their_end) };

static const struct check_test tests[] = {
    TEST(get_and_list_do_not_see_them),
    TEST(they_hide_nothing_that_lives),
    TEST(a_sweep_counts_what_it_removes),
    TEST(removal_does_not_find_them),
};

int main(void)
{
    check_tests("", waits);
    check_both_backends(tests);
    return check_done();
}
