/*
 * Every method of luat_kv.hpp, on both back ends.
 */
#include "check.hpp"

#include "../c/clock.h"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <filesystem>
#if __cplusplus >= 202002L
#include <ranges>
static_assert(std::ranges::contiguous_range<luat_kv::page> && std::ranges::input_range<luat_kv::entry_range>);
#endif

/* ---- One key */

static void values_are_any_bytes() {
    auto kv = open_default();
    std::string all;
    for (int byte = 0; byte < 256; byte++)
        all += static_cast<char>(byte);
    for (const std::string& value : {""s, all, std::string(1023, 'a'), std::string(1024, 'b'), std::string(1025, 'c'),
                                     std::string(1 << 20, '\0')}) {
        kv.put("key", value);
        CHECK(kv.get("key") == value);
        CHECK(kv.get_entry("key")->value() == value);
    }
    kv.put("key", std::string_view());
    CHECK(kv.get("key") == "");
    CHECK(kv.get_entry("key")->value().data() != nullptr);
}

static void keys_have_lengths() {
    auto kv = open_default();
    const std::string_view one("a\0b", 3), other("a\0c", 3), part = one.substr(0, 1);
    kv.put(one, "1");
    kv.put(other, "2");
    CHECK(kv.get(one) == "1" && kv.get(other) == "2" && !kv.get(part));
    CHECK(kv.get_entry(one)->key() == one);
    CHECK(keys(kv.list()) == "a\0b,a\0c"s);
}

static void a_missing_key_is_empty() {
    auto kv = open_default();
    CHECK(kv.get("none") == std::nullopt);
    CHECK(!kv.get_entry("none"));
    CHECK(kv.get_many({"none"}).empty());
    CHECK(!kv.touch("none", 1h));
    CHECK(!kv.contains("none") && !kv.erase("none") && !kv.take("none"));
    CHECK(kv.list().empty() && kv.list().size() == 0 && !kv.list().cursor());
    CHECK(keys(kv.each()) == "" && kv.count() == 0);
}

static void entries_have_all_there_is() {
    auto kv = open_default();
    luat_kv::put_options options;
    options.metadata = R"({"a": 1})";
    options.expiration = after(1h);
    kv.put("k", "1", options);
    const auto entry = kv.get_entry("k");
    CHECK(entry->key() == "k" && entry->value() == "1" && entry->metadata() == R"({"a": 1})");
    CHECK(entry->expiration() == options.expiration && entry->version().size() == 16);
    const luat_kv::entry_view view = *entry;
    CHECK(view.key() == "k" && view.value().data() == entry->value().data() && view.version() == entry->version());
    CHECK(view.metadata() == entry->metadata() && view.expiration() == entry->expiration());
    options.expiration_ttl = 24h; /* wins */
    kv.put("k", "1", options);
    const auto seconds = *kv.get_entry("k")->expiration() - after(0s);
    CHECK(seconds > 23h && seconds <= 24h + 1s);
    kv.put("k", "1"); /* replaces all of it */
    CHECK(!kv.get_entry("k")->metadata() && !kv.get_entry("k")->expiration());
    CHECK(kv.get_entry("k")->version() != entry->version());
}

static void add_only_adds() {
    auto kv = open_default();
    CHECK(kv.add("k", "1", {after(1h), {}, "true"}) && !kv.add("k", "2"));
    CHECK(kv.get("k") == "1" && kv.get_entry("k")->metadata() == "true");
    kv.erase("k");
    CHECK(!kv.get("k") && kv.add("k", "2"));
}

static void keys_are_there_until_they_are_erased() {
    auto kv = open_default();
    kv.put("k", "");
    CHECK(kv.contains("k") && !kv.contains("k\0"sv) && kv.erase("k"));
    CHECK(!kv.contains("k") && !kv.erase("k"));
}

static void take_gives_what_it_removes() {
    auto kv = open_default();
    luat_kv::put_options options;
    options.metadata = "[1]";
    options.expiration = after(1h);
    const auto version = kv.put_versioned("k", "\xff\0"sv, options);
    const auto taken = kv.take("k");
    CHECK(taken->key() == "k" && taken->value() == "\xff\0"sv && taken->metadata() == "[1]");
    CHECK(taken->expiration() == options.expiration && taken->version() == version);
    CHECK(!kv.contains("k") && !kv.take("k"));
    CHECK_THROWS(kv.take(""), invalid, "empty");
}

static void writes_tell_their_versions() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    const auto first = kv.put_versioned("k", "1");
    CHECK(first.size() == 16 && kv.get_entry("k")->version() == first && !kv.add_versioned("k", "2"));
    const auto added = kv.add_versioned("l", "1", {{}, {}, "true"});
    CHECK(added && kv.get_entry("l")->version() == *added && kv.get_entry("l")->metadata() == "true");
    CHECK(store.open_batch().check(kv, "k", first).put(kv, "k", "2").commit());
    CHECK(!store.open_batch().check(kv, "k", first).put(kv, "k", "3").commit() && kv.get("k") == "2");
    CHECK_THROWS(kv.put_versioned("", "1"), invalid, "empty");
}

static void touch_gives_and_takes() {
    auto kv = open_default();
    const auto at = after(1h);
    kv.put("k", "1");
    CHECK(kv.touch("k", at) && kv.get_entry("k")->expiration() == at);
    CHECK(kv.touch("k", 2min) && kv.get_entry("k")->expiration() < at);
    CHECK(kv.touch("k") && !kv.get_entry("k")->expiration() && kv.get("k") == "1");
}

static void incr_counts() {
    auto kv = open_default();
    luat_kv::incr_options options;
    options.initial = 10;
    options.expiration = after(1h);
    CHECK(kv.incr("n") == 1 && kv.incr("n", 41) == 42 && kv.incr("n", -50) == -8 && kv.get("n") == "-8");
    CHECK(kv.incr("m", 5, options) == 15 && kv.get_entry("m")->expiration() == options.expiration);
    CHECK(kv.incr("max", INT64_MAX) == INT64_MAX);
    CHECK_THROWS(kv.incr("max"), invalid, "");
    kv.put("text", "x");
    CHECK_THROWS(kv.incr("text"), invalid, "");
    CHECK(kv.get("text") == "x");
}

/* ---- Many keys */

static void get_many_takes_any_range() {
    auto kv = open_default();
    for (const char* key : {"a", "b", "c"})
        kv.put(key, key);
    const auto page = kv.get_many({"c", "none", "a", "c"});
    CHECK(keys(page) == "a,c" && page[1].value() == "c" && !page.cursor());
    CHECK(keys(kv.get_many(std::vector<std::string>{"b", "a"})) == "a,b");
    CHECK(keys(kv.get_many(std::array<std::string_view, 1>{"b"})) == "b");
    const char* const plain[] = {"c", "b"};
    CHECK(keys(kv.get_many(plain)) == "b,c");
    CHECK_THROWS(kv.get_many(std::vector<std::string>()), invalid, "no keys");
}

static void pages_follow_each_other() {
    auto kv = open_default();
    for (int number = 10; number < 35; number++)
        kv.put("k" + std::to_string(number), std::to_string(number));
    kv.put("other", "");
    luat_kv::list_options options;
    options.prefix = "k";
    options.limit = 10;
    std::vector<std::size_t> sizes;
    std::string all;
    do {
        const auto page = kv.list(options);
        sizes.push_back(page.size());
        all += keys(page) + ";";
        options.cursor = page.cursor();
    } while (options.cursor);
    CHECK((sizes == std::vector<std::size_t>{10, 10, 5}));
    CHECK(all.substr(0, 8) == "k10,k11," && all.substr(all.size() - 8) == "k33,k34;");
}

static void lists_have_bounds_a_direction_and_values() {
    auto kv = open_default();
    for (const char* key : {"a", "b", "c", "d"})
        kv.put(key, std::string(key) + key);
    luat_kv::list_options options;
    options.start = "b";
    options.stop = "d";
    options.reverse = true;
    CHECK(keys(kv.list(options)) == "c,b");
    CHECK(kv.list(options)[0].value().data() == nullptr);
    options.values = true;
    const auto page = kv.list(options);
    CHECK(page[0].value() == "cc" && page[1].value() == "bb");
    CHECK_THROWS(page[2], invalid, "index 2 in a page of 2");
    CHECK(std::count_if(page.begin(), page.end(), [](const auto& entry) { return entry.value() == "bb"; }) == 1);
}

static void each_goes_through_all_pages() {
    auto kv = open_default();
    luat_kv::list_options options;
    options.prefix = "k";
    options.values = true;
    for (int number = 100; number < 200; number++)
        kv.put("k" + std::to_string(number), std::to_string(number));
    for (const unsigned limit : {1U, 7U, 50U, 99U, 100U, 101U, 1000U}) {
        options.limit = limit;
        int number = 100;
        for (const auto& entry : kv.each(options))
            CHECK(entry.key() == "k" + std::to_string(number) && entry.value() == std::to_string(number++));
        CHECK(number == 200);
    }
    options.limit = 30;
    auto range = kv.each(options);
    CHECK(std::distance(range.begin(), range.end()) == 100);
    CHECK(std::distance(range.begin(), range.end()) == 100); /* from the beginning */
    const auto found = std::find_if(range.begin(), range.end(), [](auto entry) { return entry.value() == "150"; });
    CHECK(found != range.end() && found->key() == "k150");
    options.cursor = kv.list(options).cursor();
    auto rest = kv.each(options);
    CHECK(rest.begin()->key() == "k130" && std::distance(rest.begin(), rest.end()) == 70);
}

static void each_begins_with_a_small_page() {
    auto kv = open_default();
    const auto fill = [&kv] {
        for (int number = 1000; number < 4000; number++)
            kv.put("k" + std::to_string(number), "");
    };
    // Of what is removed meanwhile, a loop sees what it has read before.
    const auto seen_after_clear_at = [&](int place) {
        fill();
        int seen = 0;
        for (const auto& entry : kv.each()) {
            CHECK(!entry.key().empty());
            if (seen++ == place)
                kv.clear();
        }
        return seen - place;
    };
    CHECK(seen_after_clear_at(0) <= 10);
    CHECK(seen_after_clear_at(1500) > 500);
}

static void each_sees_what_changes_meanwhile() {
    auto kv = open_default();
    luat_kv::list_options options;
    options.limit = 2;
    for (const char* key : {"a", "b", "c", "d", "e"})
        kv.put(key, "");
    std::string seen;
    for (const auto& entry : kv.each(options)) {
        seen += entry.key();
        if (entry.key() == "b")
            CHECK(kv.erase_prefix("c") + kv.erase_prefix("d") + kv.erase_prefix("e") == 3);
    }
    CHECK(seen == "ab");
}

static void many_keys_are_counted_and_removed() {
    auto kv = open_default();
    for (const char* key : {"a:1", "a:2", "b:1"})
        kv.put(key, "");
    CHECK(kv.count() == 3 && kv.count("a:") == 2 && kv.erase_prefix("a:") == 2 && kv.count() == 1);
    CHECK_THROWS(kv.erase_prefix(""), invalid, "");
    CHECK(kv.clear() == 1 && kv.count() == 0);
}

static void exports_come_back() {
    const auto store = open_store();
    auto from = store.open_namespace("from"), to = store.open_namespace("to");
    from.put("a", "1", {{}, {}, "[1]"});
    from.put("b", "\xff\0"sv);
    CHECK(from.export_to(scratch("a.json")) == 2);
    auto done = to.import_from(scratch("a.json"));
    CHECK(done.stored == 2 && done.skipped == 0 && to.get("b") == "\xff\0"s && to.get_entry("a")->metadata() == "[1]");
    to.put("a", "other");
    done = to.import_from(scratch("a.json"));
    CHECK(done.stored == 0 && done.skipped == 2 && to.get("a") == "other");
    const int file = open(scratch("b.jsonl"), O_RDWR | O_CREAT, 0600);
    CHECK(from.export_to_fd(file, luat_kv::format::json_lines) == 2);
    CHECK(lseek(file, 0, SEEK_SET) == 0);
    char first = 0;
    CHECK(pread(file, &first, 1, 0) == 1 && first == '{');
    done = to.import_from_fd(file, luat_kv::existing::replace);
    CHECK(done.stored == 2 && to.get("a") == "1");
    close(file);
    const std::filesystem::path path = scratch("c.json");
    CHECK(from.export_to(path) == 2 && to.import_from(path, luat_kv::existing::replace).stored == 2);
    CHECK_THROWS(to.import_from(scratch("none.json")), io, "none.json");
    CHECK_THROWS(from.export_to("c\0d"s), invalid, "NUL");
    CHECK_THROWS(from.export_to_fd(-1), invalid, "fd is -1");
}

/* ---- Together or not at all */

static void a_batch_is_one_chain() {
    auto store = open_store();
    auto a = store.open_namespace("a"), b = store.open_namespace("b");
    a.put("gone", "");
    luat_kv::put_options options;
    options.metadata = "1";
    auto chain = store.open_batch();
    const auto version = chain.put(a, "k", "1", options).erase(a, "gone").incr(b, "n", 5).incr(b, "n").commit();
    CHECK(version && version->size() == 16);
    CHECK(a.get("k") == "1" && !a.get("gone") && b.get("n") == "6");
    CHECK(a.get_entry("k")->version() == *version && b.get_entry("n")->version() == *version);
    auto batch = store.open_batch();
    batch.check(a, "k", *version).check(a, "none", std::nullopt).put(a, "k", "2");
    CHECK(a.get("k") == "1");
    CHECK(batch.commit() && a.get("k") == "2");
    CHECK_THROWS(batch.commit(), invalid, "");
    CHECK(!store.open_batch().check(a, "k", *version).put(a, "k", "3").commit());
    CHECK(!store.open_batch().check(a, "k", std::nullopt).put(a, "k", "3").commit() && a.get("k") == "2");
}

static void a_batch_checks_what_was_read() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    for (const char* value : {"1", "2"}) { /* missing at first, then there */
        const auto seen = kv.get_entry("k");
        CHECK(store.open_batch().check(kv, "k", seen).put(kv, "k", value).commit());
        CHECK(!store.open_batch().check(kv, "k", seen).put(kv, "k", "late").commit());
        CHECK(kv.get("k") == value);
    }
    CHECK_THROWS(store.open_batch().check(kv, "k", ""), invalid, "nullopt");
    CHECK_THROWS(store.open_batch().check(kv, "k", "nonsense"), invalid, "");
}

static void a_batch_survives_an_error() {
    auto store = open_store();
    auto kv = store.open_namespace("test"), strange = luat_kv::store::open_memory().open_namespace("test");
    auto batch = store.open_batch();
    kv.put("n", "none");
    batch.put(kv, "k", "1").incr(kv, "n");
    CHECK_THROWS(batch.put(kv, "", "1"), invalid, "empty");
    CHECK_THROWS(batch.put(strange, "k", "1"), invalid, "");
    CHECK_THROWS(batch.commit(), invalid, "");
    CHECK(!kv.get("k"));
    kv.put("n", "1");
    CHECK(batch.commit() && kv.get("k") == "1" && kv.get("n") == "2");
}

/* ---- The store */

static void a_store_tells_what_it_holds() {
    auto store = open_store();
    store.open_namespace("b").put("k", "1");
    auto a = store.open_namespace("a\0a"sv);
    a.put("k", "1");
    a.put("l", "1");
    CHECK((store.namespaces() == std::vector<std::string>{"a\0a"s, "b"}));
    const auto stats = store.stats();
    CHECK(stats.namespaces.size() == 2 && stats.namespaces[0].name == "a\0a"sv && stats.namespaces[0].live == 2);
    CHECK(stats.namespaces[1].live == 1 && stats.namespaces[1].expired == 0);
    CHECK(on_disk ? stats.file_size > 0 && stats.path == std::filesystem::canonical(scratch("kv.db"))
                  : stats.file_size == 0 && stats.path == "memory");
    CHECK(store.path() == stats.path);
}

static void values_are_read_from_a_cache() {
    for (const auto size : {luat_kv::open_options{}.cache_size, std::uint64_t{1} << 20, std::uint64_t{0}}) {
        luat_kv::open_options options;
        options.cache_size = size;
        auto store = open_store(options);
        auto kv = store.open_namespace("test");
        kv.put("k", "1");
        const auto before = store.stats().cache;
        for (int i = 0; i < 10; i++)
            CHECK(kv.get("k") == "1");
        const auto cache = store.stats().cache;
        const bool has_cache = on_disk && size > 0;
        // A key is added when it is read for the second time.
        CHECK(cache.hits - before.hits == (has_cache ? 8 : 0) && cache.misses - before.misses == (has_cache ? 2 : 0));
        CHECK((cache.size > 0) == has_cache && cache.size < 1 << 20 && cache.drops >= before.drops);
        kv.put("k", "2");
        CHECK(kv.get("k") == "2");
        kv.erase("k");
    }
}

static void expired_entries_are_swept() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    luat_kv::put_options options;
    options.expiration_ttl = 1s;
    kv.put("a", "", options);
    kv.put("b", "", options);
    clock_advance(3); // a lifetime of a second is over within two, and a tick of the clock
    CHECK(!kv.get("a") && kv.count() == 0 && store.stats().namespaces.at(0).expired == 2);
    CHECK(store.sweep(1) == 1 && store.sweep() == 1 && store.sweep() == 0);
}

static void a_store_is_kept_in_order() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    kv.put("k", "1");
    store.compact();
    CHECK(store.checkpoint());
    if (!on_disk) {
        CHECK_THROWS(store.backup(scratch("copy.db")), invalid, "");
        return;
    }
    store.backup(scratch("copy.db"));
    CHECK(luat_kv::store::open(scratch("copy.db")).open_namespace("test").get("k") == "1");
    CHECK_THROWS(store.backup(scratch("copy.db")), io, "");
    CHECK_THROWS(store.backup("a\0b"s), invalid, "NUL");
}

static void a_store_has_limits() {
    luat_kv::open_options options;
    options.limits = luat_kv::limits::cloudflare;
    auto store = open_store(options);
    auto kv = store.open_namespace("test");
    const luat_kv_limits limits = store.limits();
    CHECK(limits.struct_size == sizeof limits && limits.max_key_len == 512 && limits.max_value_len == 25 << 20);
    luat_kv::put_options short_lived;
    short_lived.expiration_ttl = 59s;
    CHECK_THROWS(kv.put("k", "", short_lived), limit, "59");
    CHECK_THROWS(kv.put(std::string(513, 'k'), ""), limit, "513");
    kv.put(std::string(512, 'k'), "");
}

#if __cplusplus >= 202002L
static void options_have_names() {
    auto store = open_store({.busy_timeout = 1s, .durability = luat_kv::durability::full, .cache_size = 1 << 20});
    auto kv = store.open_namespace("test");
    kv.put("k", "1", {.expiration_ttl = 24h, .metadata = "1"});
    CHECK(kv.incr("n", 1, {.initial = 5, .expiration_ttl = 1h}) == 6);
    CHECK(keys(kv.list({.prefix = "k", .limit = 1})) == "k" && keys(kv.each({.reverse = true})) == "n,k");
    auto range = kv.each();
    CHECK(std::ranges::count(range, "n", &luat_kv::entry_view::key) == 1);
    CHECK(std::ranges::count(kv.list(), "n", &luat_kv::entry_view::key) == 1);
}
#endif

int main() {
    const check_test tests[] = {
        TEST(values_are_any_bytes),
        TEST(keys_have_lengths),
        TEST(a_missing_key_is_empty),
        TEST(entries_have_all_there_is),
        TEST(add_only_adds),
        TEST(keys_are_there_until_they_are_erased),
        TEST(take_gives_what_it_removes),
        TEST(writes_tell_their_versions),
        TEST(touch_gives_and_takes),
        TEST(incr_counts),
        TEST(get_many_takes_any_range),
        TEST(pages_follow_each_other),
        TEST(lists_have_bounds_a_direction_and_values),
        TEST(each_goes_through_all_pages),
        TEST(each_begins_with_a_small_page),
        TEST(each_sees_what_changes_meanwhile),
        TEST(many_keys_are_counted_and_removed),
        TEST(exports_come_back),
        TEST(a_batch_is_one_chain),
        TEST(a_batch_checks_what_was_read),
        TEST(a_batch_survives_an_error),
        TEST(a_store_tells_what_it_holds),
        TEST(values_are_read_from_a_cache),
        TEST(expired_entries_are_swept),
        TEST(a_store_is_kept_in_order),
        TEST(a_store_has_limits),
#if __cplusplus >= 202002L
        TEST(options_have_names),
#endif
    };
    check_both_backends(tests);
    return check_done();
}
