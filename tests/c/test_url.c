/*
 * luat_kv_open_url: the store that a URL chooses, and what is said of one that chooses none.
 */
#include "kv.h"

static luat_kv_store *opened(const char *url)
{
    luat_kv_store *store = GARBAGE;
    CHECK_STATUS(luat_kv_open_url(url, NULL, &store, &error), LUAT_KV_OK);
    return store;
}

static void file_urls_and_paths_open_files(void)
{
    char url[1000];
    snprintf(url, sizeof url, "file://%s", scratch("a%20b.db"));
    luat_kv_store *store = opened(url);
    CHECK(strcmp(luat_kv_store_path(store), scratch("a b.db")) == 0);
    struct kv kv = kv_over(store);
    CHECK_PUT(kv.ns, "key", "value");
    struct kv other = kv_over(opened(scratch("a b.db")));
    CHECK_VALUE(other.ns, "key", "value");
    kv_close(kv);
    kv_close(other);
    snprintf(url, sizeof url, "file://localhost%s", scratch("a%20b.db"));
    other = kv_over(opened(url));
    CHECK_VALUE(other.ns, "key", "value");
    kv_close(other);
}

static void memory_urls_open_new_stores(void)
{
    struct kv one = kv_over(opened("memory:")), other = kv_over(opened("memory:"));
    CHECK_PUT(one.ns, "key", "value");
    CHECK(kv_count(other.ns, "") == 0);
    kv_close(one);
    kv_close(other);
}

static void a_url_that_no_store_takes_is_refused(void)
{
    static const char *const urls[][2] = {
        {"mysql://user@host/database", "it can be postgresql:, postgres:, file: or memory:"},
        {"memory:name", "memory: without anything"},
        {"file:kv.db?mode=ro", "no query"},
        {"file://user@host/kv.db", "names another host"},
        {"file:%zz", "two hexadecimal digits"},
        {"postgresql:user:secret@host", "is postgresql://"},
        {"postgresql://user:secret@secret@host/database", "after the host"},
        {"postgresql://user:secret/database", "not a number"},
        {"postgresql://host/database?password=secret=", "name=value"},
        {"", "empty"},
    };
    luat_kv_store *store = GARBAGE;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        store = GARBAGE;
        CHECK_REFUSED(luat_kv_open_url(urls[i][0], NULL, &store, &error), LUAT_KV_INVALID, urls[i][1]);
        CHECK(store == NULL);
    }
    CHECK_REFUSED(luat_kv_open_url(NULL, NULL, &store, &error), LUAT_KV_INVALID, "url is NULL");
    CHECK(store == NULL);
    CHECK_REFUSED(luat_kv_open_url("memory:", NULL, NULL, &error), LUAT_KV_INVALID, "out is NULL");
}

static void no_error_has_the_password(void)
{
    static const char *const urls[] = {
        "postgresql://user:secret@localhost:1/database", "postgresql://user:secret@secret@localhost:1/database",
        "postgresql://user:secret/database",             "postgresql:user:secret@host",
        "postgresql://localhost:1/d?password=secret",    "postgresql://localhost:1/d?password=secret=secret",
        "mysql://user:secret@host/database",             "file://user:secret@host/kv.db",
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        luat_kv_store *store = GARBAGE;
        luat_kv_error *why = NULL;
        CHECK(luat_kv_open_url(urls[i], NULL, &store, &why) < 0 && store == NULL);
        CHECK(*luat_kv_error_message(why) != '\0' && strstr(luat_kv_error_message(why), "secret") == NULL);
        luat_kv_error_free(why);
    }
}

static void options_that_a_server_does_not_have_are_refused(void)
{
    luat_kv_open_options options;
    luat_kv_store *store = GARBAGE;
    luat_kv_open_options_init(&options, sizeof options);
    options.durability = LUAT_KV_DURABILITY_FULL;
    CHECK_REFUSED(luat_kv_open_url("postgres://localhost:1/database", &options, &store, &error), LUAT_KV_INVALID,
                  "the server decides");
    options.durability = 0;
    options.cache_size = 1000;
    CHECK_REFUSED(luat_kv_open_url("postgres://localhost:1/database", &options, &store, &error), LUAT_KV_INVALID,
                  "cache_size is 1000");
    CHECK_REFUSED(luat_kv_open_url(scratch("none/kv.db"), &(luat_kv_open_options){.struct_size = 3}, &store, &error),
                  LUAT_KV_INVALID, "struct_size");
    options.cache_size = 0;
    options.flags = LUAT_KV_OPEN_READONLY;
    CHECK_REFUSED(luat_kv_open_url(scratch("none/kv.db"), &options, &store, &error), LUAT_KV_IO, "none/kv.db");
    CHECK_REFUSED(luat_kv_open_url("memory:", &options, &store, &error), LUAT_KV_INVALID, "reading only");
}

static void a_url_is_not_the_name_of_a_file(void)
{
    luat_kv_store *store = GARBAGE;
    CHECK_REFUSED(luat_kv_open("postgresql://user@host/database", NULL, &store, &error), LUAT_KV_INVALID,
                  "luat_kv_open_url");
    CHECK_REFUSED(luat_kv_open("memory:", NULL, &store, &error), LUAT_KV_INVALID, "luat_kv_open_url");
}

static const struct check_test tests[] = {
    TEST(file_urls_and_paths_open_files),
    TEST(memory_urls_open_new_stores),
    TEST(a_url_that_no_store_takes_is_refused),
    TEST(no_error_has_the_password),
    TEST(options_that_a_server_does_not_have_are_refused),
    TEST(a_url_is_not_the_name_of_a_file),
};

int main(void)
{
    check_tests("", tests);
    return check_done();
}
