/*
 * Errors with their codes; handles that were closed, moved from, or left open; threads; memory.
 */
#include "check.hpp"

#include <atomic>
#include <fstream>
#include <thread>
#include <type_traits>

template <class Handle>
constexpr bool only_moves = std::is_nothrow_move_constructible_v<Handle> && std::is_nothrow_move_assignable_v<Handle> &&
                            !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>;
static_assert(only_moves<luat_kv::store> && only_moves<luat_kv::kv_namespace> && only_moves<luat_kv::batch>);
static_assert(only_moves<luat_kv::entry> && only_moves<luat_kv::page>);
static_assert(only_moves<luat_kv::watch> && only_moves<luat_kv::changes>);
static_assert(std::is_nothrow_copy_constructible_v<luat_kv::error>);

/* This program's own path, for those tests that run it as a child. */
static std::string self;

/* ---- Errors */

static void errors_have_codes_and_names() {
    const luat_kv::error error(luat_kv::errc::busy, "words");
    CHECK(error.code() == luat_kv::errc::busy && error.name() == "BUSY"s && error.what() == "luat_kv: BUSY: words"s);
    CHECK(luat_kv::error(static_cast<luat_kv::errc>(-99), "").name() == "UNKNOWN"s);
    try {
        open_default().put("", "");
        check_fail(__FILE__, __LINE__, "put throws nothing");
    } catch (const std::runtime_error& thrown) {
        CHECK(thrown.what() == "luat_kv: INVALID: the key is empty"s);
    }
}

static void bad_keys_are_invalid() {
    auto kv = open_default();
    for (const std::string_view key : {""sv, std::string_view(), "\xff"sv, "a\xc3"sv, "\xed\xa0\x80"sv}) {
        CHECK_THROWS(kv.get(key), invalid, "");
        CHECK_THROWS(kv.get_entry(key), invalid, "");
        CHECK_THROWS(kv.get_many({"a", key}), invalid, "");
        CHECK_THROWS(kv.put(key, ""), invalid, "");
        CHECK_THROWS(kv.add(key, ""), invalid, "");
        CHECK_THROWS(kv.erase(key), invalid, "");
        CHECK_THROWS(kv.touch(key), invalid, "");
        CHECK_THROWS(kv.incr(key), invalid, "");
    }
    CHECK_THROWS(kv.get(std::string(4097, 'k')), limit, "4097");
    CHECK_THROWS(kv.count("\xff"), invalid, "UTF-8");
    CHECK_THROWS(open_store().open_namespace(""), invalid, "empty");
    CHECK(kv.count() == 0);
}

static void options_out_of_range_are_told() {
    auto kv = open_default();
    kv.put("k", "1");
    luat_kv::put_options put;
    for (const auto ttl : {0s, -1s, std::chrono::seconds::min(), std::chrono::seconds::max()}) {
        put.expiration_ttl = ttl;
        CHECK_THROWS(kv.put("k", "2", put), invalid, "");
        CHECK_THROWS(kv.touch("k", ttl), invalid, "");
        luat_kv::incr_options incr;
        incr.expiration_ttl = ttl;
        CHECK_THROWS(kv.incr("n", 1, incr), invalid, "");
    }
    put.expiration_ttl = std::nullopt;
    for (const auto at : {luat_kv::time_point(), luat_kv::time_point::min(), after(-10s)}) {
        put.expiration = at;
        CHECK_THROWS(kv.put("k", "2", put), invalid, "expiration");
        CHECK_THROWS(kv.touch("k", at), invalid, "expiration");
    }
    put.expiration = std::nullopt;
    for (const char* json : {"null", "{", "\xff", "nan"}) {
        put.metadata = json;
        CHECK_THROWS(kv.put("k", "2", put), invalid, "");
    }
    put.metadata = '"' + std::string(65535, 'm') + '"';
    CHECK_THROWS(kv.put("k", "2", put), limit, "65537");
    CHECK(kv.get("k") == "1" && !kv.get_entry("k")->expiration() && !kv.get("n"));

    luat_kv::list_options list;
    list.limit = 0;
    CHECK_THROWS(kv.list(list), invalid, "limit is 0");
    CHECK_THROWS(kv.each(list).begin(), invalid, "limit is 0");
    list.limit = 10001;
    CHECK_THROWS(kv.list(list), limit, "10001");
    CHECK_THROWS(kv.each(list).begin(), limit, "10001");
    list.limit = 1;
    list.cursor = "nonsense";
    CHECK_THROWS(kv.list(list), invalid, "");
    list.cursor = "";
    CHECK_THROWS(kv.list(list), invalid, "cursor is empty");
    CHECK_THROWS(kv.each(list).begin(), invalid, "cursor is empty");
    list.cursor.reset();
    list.stop = "";
    CHECK_THROWS(kv.list(list), invalid, "stop is empty");
    CHECK_THROWS(kv.each(list).begin(), invalid, "stop is empty");

    luat_kv::open_options open;
    for (const auto timeout : {-1ms, std::chrono::milliseconds(4294967296), std::chrono::milliseconds::min()}) {
        open.busy_timeout = timeout;
        CHECK_THROWS(open_store(open), invalid, "busy_timeout");
    }
    open = {};
    for (const auto size : {std::uint64_t{1} << 60, std::numeric_limits<std::uint64_t>::max()}) {
        open.cache_size = size;
        CHECK_THROWS(luat_kv::store::open(scratch("kv.db"), open), invalid,
                     ("cache_size is " + std::to_string(size) + " bytes, more than the memory").c_str());
    }
    open = {};
    open.limits = static_cast<luat_kv::limits>(7);
    CHECK_THROWS(open_store(open), invalid, "");
}

static void paths_are_checked() {
    using luat_kv::store;
    CHECK_THROWS(store::open(""), invalid, "");
    CHECK_THROWS(store::open(":memory:"), invalid, "");
    CHECK_THROWS(store::open("a\0b"s), invalid, "NUL");
    CHECK_THROWS(store::open(scratch("")), io, "");
    std::ofstream(scratch("text.db")) << std::string(2000, 'x');
    CHECK_THROWS(store::open(scratch("text.db")), corrupt, "");
    luat_kv::open_options options;
    options.readonly = true;
    CHECK_THROWS(store::open(scratch("none.db"), options), io, "");
    CHECK_THROWS(store::open_memory(options), invalid, "");
    store::open(scratch("kv.db")).open_namespace("test").put("k", "1");
    auto kv = store::open(scratch("kv.db"), options).open_namespace("test");
    CHECK(kv.get("k") == "1");
    CHECK_THROWS(kv.put("k", "2"), readonly, "");
}

static void urls_choose_the_store() {
    using luat_kv::store;
    store::open_url(std::string("file://") + scratch("a%20b.db")).open_namespace("test").put("k", "1");
    CHECK(store::open_url(scratch("a b.db")).path() == scratch("a b.db"));
    CHECK(store::open(scratch("a b.db")).open_namespace("test").get("k") == "1");
    CHECK(store::open_url("memory:").path() == "memory");
    CHECK_THROWS(store::open_url("mysql://host"), invalid, "it can be postgresql:, postgres:, file: or memory:");
    CHECK_THROWS(store::open_url("memory:\0"s), invalid, "NUL");
    CHECK_THROWS(store::open("memory:"), invalid, "not a URL");
    luat_kv::open_options options;
    options.durability = luat_kv::durability::full;
    CHECK_THROWS(store::open_url("postgresql://user@localhost:1/database", options), invalid, "the server decides");
}

static void a_project_has_a_store() {
    CHECK(mkdir(scratch("deep"), 0700) == 0);
    std::ofstream(scratch("luat.toml")) << "[routing]\ndata_dir = 'data'\n";
    luat_kv::store::open_project(scratch("deep")).open_namespace("test").put("k", "1");
    CHECK(luat_kv::store::open(scratch("data/kv.db")).open_namespace("test").get("k") == "1");
    std::ofstream(scratch("luat.toml")) << "[routing\n";
    CHECK_THROWS(luat_kv::store::open_project(scratch("deep")), invalid, "luat.toml");
    CHECK_THROWS(luat_kv::store::open_project("a\0b"s), invalid, "NUL");
}

/* The sqlite3 shell holds the lock. */
static void who_waits_too_long_is_busy() {
    const auto path = std::string(scratch("kv.db"));
    luat_kv::open_options options;
    options.busy_timeout = 0ms;
    auto kv = luat_kv::store::open(path, options).open_namespace("test");
    FILE *shell = popen(("exec sqlite3 " + path).c_str(), "w");
    CHECK(shell != nullptr);
    CHECK(fputs("BEGIN IMMEDIATE;\n", shell) >= 0 && fflush(shell) == 0);
    bool busy = false;
    for (int round = 0; round < 3000 && !busy; round++) {
        try {
            kv.put("k", "1");
            std::this_thread::sleep_for(10ms);
        } catch (const luat_kv::error& error) {
            busy = error.code() == luat_kv::errc::busy;
        }
    }
    CHECK(busy);
    CHECK(pclose(shell) == 0);
    kv.put("k", "2");
    CHECK(kv.get("k") == "2");
}

/* ---- Handles */

static void what_was_closed_or_moved_from_is_invalid() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    kv.put("k", "1");
    auto entry = kv.get_entry("k");
    auto page = kv.list();
    auto batch = store.open_batch();

    const auto new_store = std::move(store);
    CHECK_THROWS(store.open_namespace("a"), invalid, "the store was closed, or moved from");
    CHECK_THROWS(store.open_batch(), invalid, "");
    CHECK_THROWS(store.namespaces(), invalid, "");
    CHECK_THROWS(store.stats(), invalid, "");
    CHECK_THROWS(store.sweep(), invalid, "");
    CHECK_THROWS(store.compact(), invalid, "");
    CHECK_THROWS(store.checkpoint(), invalid, "");
    CHECK_THROWS(store.backup(scratch("copy.db")), invalid, "");
    store.close();
    store.close();

    const auto new_entry = std::move(*entry);
    CHECK_THROWS(entry->key(), invalid, "entry");
    CHECK_THROWS(entry->value(), invalid, "");
    CHECK_THROWS(entry->metadata(), invalid, "");
    CHECK_THROWS(entry->expiration(), invalid, "");
    CHECK_THROWS(entry->version(), invalid, "");
    CHECK_THROWS(entry->view(), invalid, "");
    CHECK_THROWS(batch.check(kv, "k", entry), invalid, "");
    const auto new_page = std::move(page);
    CHECK(page.empty() && page.begin() == page.end());
    CHECK_THROWS(page[0], invalid, "");
    CHECK_THROWS(page.cursor(), invalid, "page");
    CHECK(new_entry.value() == "1" && new_page[0].key() == "k");

    auto new_kv = std::move(kv);
    CHECK_THROWS(batch.put(kv, "k", "2"), invalid, "namespace");
    auto new_batch = std::move(batch);
    CHECK_THROWS(batch.check(new_kv, "k", std::nullopt), invalid, "batch");
    CHECK_THROWS(batch.put(new_kv, "k", ""), invalid, "");
    CHECK_THROWS(batch.erase(new_kv, "k"), invalid, "");
    CHECK_THROWS(batch.incr(new_kv, "k"), invalid, "");
    CHECK_THROWS(batch.commit(), invalid, "");
    CHECK(new_batch.put(new_kv, "k", "2").commit() && new_kv.get("k") == "2");
}

static void a_closed_namespace_is_invalid() {
    auto kv = open_default();
    kv.close();
    kv.close();
    CHECK_THROWS(kv.get("k"), invalid, "the namespace was closed, or moved from");
    CHECK_THROWS(kv.get_entry("k"), invalid, "");
    CHECK_THROWS(kv.get_many({"k"}), invalid, "");
    CHECK_THROWS(kv.put("k", "1"), invalid, "");
    CHECK_THROWS(kv.add("k", "1"), invalid, "");
    CHECK_THROWS(kv.erase("k"), invalid, "");
    CHECK_THROWS(kv.touch("k"), invalid, "");
    CHECK_THROWS(kv.touch("k", 1h), invalid, "");
    CHECK_THROWS(kv.incr("k"), invalid, "");
    CHECK_THROWS(kv.list(), invalid, "");
    CHECK_THROWS(kv.each(), invalid, "");
    CHECK_THROWS(kv.count(), invalid, "");
    CHECK_THROWS(kv.erase_prefix("k"), invalid, "");
    CHECK_THROWS(kv.clear(), invalid, "");
    CHECK_THROWS(kv.export_to(scratch("a.json")), invalid, "");
    CHECK_THROWS(kv.import_from(scratch("a.json")), invalid, "");
    CHECK_THROWS(kv.export_to_fd(1), invalid, "");
    CHECK_THROWS(kv.import_from_fd(0), invalid, "");
    kv = open_default();
    kv.put("k", "1");
    CHECK(kv.get("k") == "1");
}

static void handles_go_in_any_order() {
    auto store = std::optional(open_store());
    auto kv = std::optional(store->open_namespace("test"));
    auto batch = std::optional(store->open_batch());
    store.reset();
    kv->put("a", "1");
    kv->put("b", "2");
    auto entry = kv->get_entry("a");
    auto page = std::optional(kv->list());
    luat_kv::list_options options;
    options.limit = 1;
    auto range = kv->each(options);
    auto at = range.begin();
    batch->put(*kv, "c", "3");
    kv.reset();
    CHECK(at->key() == "a" && batch->commit().has_value());
    batch.reset();
    CHECK((++at)->key() == "b" && (++at)->key() == "c" && ++at == range.end());
    CHECK(entry->value() == "1" && keys(*page) == "a,b");
    page.reset();
    entry.reset();
    std::string seen;
    for (const auto& each : open_default().each()) /* nobody else holds any of these handles */
        seen += each.key();
    CHECK(seen == (on_disk ? "abc" : ""));
}

static void what_a_loop_throws_frees_all() {
    auto kv = open_default();
    luat_kv::list_options options;
    options.limit = 2;
    options.values = true;
    for (const char* key : {"a", "b", "c", "d", "e"})
        kv.put(key, std::string(1000, *key));
    for (int round = 0; round < 100; round++) {
        try {
            for (const auto& entry : kv.each(options)) {
                const auto own = kv.get_entry(entry.key());
                if (entry.key() == "d")
                    throw std::runtime_error("mine");
            }
            check_fail(__FILE__, __LINE__, "the loop ends");
        } catch (const std::runtime_error& error) {
            CHECK(error.what() == "mine"s);
        }
    }
    CHECK(keys(kv.each(options)) == "a,b,c,d,e");
}

/* ---- Threads */

template <class Body>
static void run_threads(Body body) {
    std::vector<std::thread> threads;
    for (int number = 0; number < 8; number++)
        threads.emplace_back([body, number] {
            try {
                body(number);
            } catch (const std::exception& error) {
                check_fail(__FILE__, __LINE__, "a thread throws: %s", error.what());
            }
        });
    for (auto& thread : threads)
        thread.join();
}

static void handles_are_all_threads() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    std::atomic<int> conflicts{0};
    run_threads([&](int number) {
        const auto mine = std::to_string(number) + ":";
        for (int round = 0; round < 100; round++) {
            kv.put(mine + std::to_string(round), mine);
            CHECK(kv.get(mine + std::to_string(round)) == mine);
            kv.incr("n");
            for (;;) { /* the same by hand */
                const auto seen = kv.get_entry("m");
                const auto next = seen ? std::stoi(std::string(seen->value())) + 1 : 1;
                if (store.open_batch().check(kv, "m", seen).put(kv, "m", std::to_string(next)).commit())
                    break;
                conflicts++;
            }
            CHECK_THROWS(kv.get(""), invalid, "empty");
        }
        CHECK(kv.count(mine) == 100);
    });
    CHECK(kv.get("n") == "800" && kv.get("m") == "800");
    dprintf(STDOUT_FILENO, "# %d conflicts\n", conflicts.load());
}

static void threads_open_and_close() {
    run_threads([](int number) {
        for (int round = 0; round < 20; round++)
            open_default().put(std::to_string(number) + ":" + std::to_string(round), "");
    });
    CHECK(open_default().count() == (on_disk ? 160 : 0));
}

/* ---- Memory */

static long resident_kib() {
    long pages = 0;
    std::ifstream statm("/proc/self/statm");
    statm >> pages >> pages;
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Each kind of operation runs ten thousand times: one that lost 26 bytes would be found. */
static void many_operations_do_not_grow() {
    auto store = luat_kv::store::open_memory();
    auto kv = store.open_namespace("test");
    luat_kv::put_options options;
    options.metadata = "[1]";
    luat_kv::watch_options watched;
    watched.keys = {"k0", "k10", "k20", "k30", "k40", "k50", "k60", "k70", "k80", "k90"};
    const auto operate = [&](int count) {
        for (int round = 0; round < count; round += 10) {
            const auto key = "k" + std::to_string(round % 100);
            kv.put(key, std::string(2000, 'v'), options);
            CHECK(kv.get(key)->size() == 2000 && kv.get_entry(key)->metadata() == "[1]");
            CHECK(kv.get_many({key, "none"}).size() == 1 && kv.list().size() > 0);
            kv.incr("n");
            for (const auto& entry : kv.each())
                CHECK(!entry.key().empty());
            auto watch = kv.open_watch(watched);
            CHECK(store.open_batch().put(kv, key, "2").commit().has_value());
            CHECK(watch.next(0ms).size() == 1);
            CHECK_THROWS(kv.get(""), invalid, "empty");
            auto other = store.open_namespace("other");
            CHECK(!kv.get("none"));
        }
    };
    operate(20000);
    const long before = resident_kib();
    operate(100000);
    const long grown = resident_kib() - before;
    dprintf(STDOUT_FILENO, "# grown by %ld KiB\n", grown);
    CHECK(grown < 256);
}

/* ---- The end of the process */

static std::optional<luat_kv::store> last_store;
static std::optional<luat_kv::kv_namespace> last_kv;

static void handles_may_be_left_to_the_end() {
    const auto path = std::string(scratch("kv.db"));
    CHECK(system((self + " '" + path + "'").c_str()) == 0);
    CHECK(luat_kv::store::open(path).open_namespace("test").get("k") == "last");
}

/* In the child: handles of static objects, which destructors free at exit, and one that is never freed. */
static int leave(const char* path) {
    last_store = luat_kv::store::open(path);
    last_kv = last_store->open_namespace("test");
    static const auto entry = last_kv->get_entry("none");
    static const auto page = last_kv->list();
    static luat_kv::kv_namespace* const lost = new luat_kv::kv_namespace(last_store->open_namespace("test"));
    lost->put("k", "last");
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2)
        return leave(argv[1]);
    self = argv[0];
    const check_test tests[] = {
        TEST(bad_keys_are_invalid),
        TEST(options_out_of_range_are_told),
        TEST(what_was_closed_or_moved_from_is_invalid),
        TEST(a_closed_namespace_is_invalid),
        TEST(handles_go_in_any_order),
        TEST(what_a_loop_throws_frees_all),
        TEST(handles_are_all_threads),
        TEST(threads_open_and_close),
    };
    const check_test others[] = {
        TEST(errors_have_codes_and_names),
        TEST(paths_are_checked),
        TEST(urls_choose_the_store),
        TEST(a_project_has_a_store),
        TEST(who_waits_too_long_is_busy),
        TEST(many_operations_do_not_grow),
        TEST(handles_may_be_left_to_the_end),
    };
    check_both_backends(tests);
    check_tests("", others);
    return check_done();
}
