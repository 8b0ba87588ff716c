/*
 * Watches: what they report, how they wait, and what they refuse.
 */
#include "check.hpp"

#include "../c/clock.h"

#include <algorithm>
#include <new>
#include <poll.h>
#include <sys/wait.h>
#include <thread>
#if __cplusplus >= 202002L
#include <ranges>
static_assert(std::ranges::contiguous_range<luat_kv::changes> && std::ranges::input_range<luat_kv::watch::range>);
#endif

/* This program's own path, for the test that runs it as a child. */
static std::string self;

/* Whether this thread has no memory for C++. */
static thread_local bool is_starved;

void* operator new(std::size_t size) {
    void* const memory = is_starved ? nullptr : malloc(size);
    return memory ? memory : throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, std::size_t) noexcept { free(memory); }

static std::string told(const luat_kv::change_view& change) {
    const char* const sign = change.type() == luat_kv::change_type::put ? "+" : change.expired() ? "!" : "-";
    return sign + std::string(change.key());
}

/* Changes joined: +key for a put, -key for a removal, !key for an expiry. */
template <class Changes>
static std::string told_all(Changes&& changes) {
    std::string all;
    for (const auto& change : changes)
        all += (all.empty() ? "" : " ") + told(change);
    return all;
}

static std::string now(luat_kv::watch& watch) { return told_all(watch.next(0ms)); }

/* ---- What is reported */

static void changes_have_all_there_is() {
    auto kv = open_default();
    kv.put("before", "1");
    luat_kv::watch_options options;
    options.values = true;
    auto all = kv.open_watch(), values = kv.open_watch(options);
    CHECK(all.next(0ms).empty() && values.next(0ms).size() == 0);
    const auto version = kv.put_versioned("k", "1", {after(1h), {}, "[1]"});
    const auto changes = values.next(1min);
    CHECK(told_all(changes) == "+k" && changes[0].value() == "1" && changes[0].metadata() == "[1]");
    CHECK(changes[0].version() == version && changes[0].expiration() == kv.get_entry("k")->expiration());
    CHECK_THROWS(changes[1], invalid, "index 1");
    const auto without = all.next();
    CHECK(told_all(without) == "+k" && without[0].value().data() == nullptr && without[0].version() == version);

    kv.put("a", "1");
    kv.put("a", "");
    kv.erase("before");
    kv.erase("none");
    const auto later = values.next(1min);
    CHECK(told_all(later) == "+a -before" && later[0].value() == "" && later[0].value().data() != nullptr);
    CHECK(later[1].value().data() == nullptr && later[1].version().empty() && !later[1].expiration());
    CHECK(now(all) == "+a -before" && now(all) == "" && now(values) == "");
    CHECK(changes[0].value() == "1"); /* still */
}

static void what_is_not_watched_is_not_reported() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    luat_kv::watch_options options;
    options.keys = {"b", "a", "missing", "a"};
    auto by_keys = kv.open_watch(options);
    options.keys.reset();
    options.prefix = "user:";
    auto by_prefix = kv.open_watch(options);
    for (const char* key : {"a", "aa", "b", "user", "user:1", "user:2", "user;"})
        kv.put(key, "");
    store.open_namespace("other").put("user:3", "");
    CHECK(now(by_keys) == "+a +b" && now(by_prefix) == "+user:1 +user:2");
    kv.put("missing", "");
    kv.erase("user:1");
    CHECK(now(by_keys) == "+missing" && now(by_prefix) == "-user:1");
}

static void a_watch_can_begin_with_what_is_there() {
    auto kv = open_default();
    kv.put("a", "1");
    kv.put("b", "2");
    luat_kv::watch_options options;
    options.existing = true;
    auto without = kv.open_watch(options);
    options.values = true;
    auto watch = kv.open_watch(options);
    kv.erase("a");
    kv.put("c", "3");
    const auto changes = watch.next(1min);
    CHECK(told_all(changes) == "+b +c" && changes[0].value() == "2" && changes[1].value() == "3");
    CHECK(now(without) == "+b +c" && now(without) == "" && now(watch) == "");
    kv.erase("c");
    CHECK(now(without) == "-c" && now(watch) == "-c");
}

static void an_expiry_is_told_from_a_removal() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    luat_kv::put_options options;
    options.expiration_ttl = 10s;
    for (const char* key : {"erased", "gone"})
        kv.put(key, "", options);
    auto watch = kv.open_watch();
    kv.erase("erased");
    CHECK(now(watch) == "-erased");
    clock_advance(20);
    store.open_namespace("other").put("k", "");
    const auto changes = watch.next(1min);
    CHECK(told_all(changes) == "!gone" && changes[0].type() == luat_kv::change_type::erase);
}

static void a_batch_comes_together() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    luat_kv::watch_options options;
    options.values = true;
    auto watch = kv.open_watch(options);
    std::thread writer([&] {
        for (int number = 0; number <= 300; number++) {
            const auto value = std::to_string(number);
            CHECK(store.open_batch().put(kv, "a", value).put(kv, "b", value).commit());
        }
    });
    for (std::string value; value != "300";) {
        const auto changes = watch.next(1min);
        CHECK(changes.size() == 2 && changes[0].value() == changes[1].value());
        value = changes[0].value();
    }
    writer.join();
}

/* ---- Tokens */

/* What a watch that goes on from a token reports first. */
static std::string since(const luat_kv::kv_namespace& kv, const std::string& token) {
    luat_kv::watch_options options;
    options.since = token;
    auto watch = kv.open_watch(options);
    CHECK(watch.token() != "");
    return now(watch);
}

static void a_watch_goes_on_from_a_token() {
    auto store = std::optional(open_store());
    auto kv = store->open_namespace("test");
    for (const char* key : {"a", "b", "c"})
        kv.put(key, "1");
    auto watch = kv.open_watch();
    const std::string first = watch.token();
    CHECK(since(kv, first) == "" && watch.token() == first);
    kv.erase("a");
    kv.put("b", "2");
    kv.put("d", "1");
    CHECK(since(kv, first) == "-a +b +d" && watch.token() == first);
    CHECK(now(watch) == "-a +b +d");
    const std::string later = watch.token(); /* it covers all that next() has returned */
    CHECK(since(kv, later) == "");
    kv.erase("c");
    if (on_disk) { /* all is closed, and opened again */
        watch.close();
        store.reset();
        kv = open_default();
    }
    CHECK(since(kv, first) == "-a +b -c +d" && since(kv, later) == "-c");
}

static void a_token_covers_what_a_loop_has_reached() {
    auto kv = open_default();
    auto watch = kv.open_watch();
    for (const char* key : {"a", "b", "c", "d"})
        kv.put(key, "");
    std::string left;
    for (const auto& change : watch.each(0ms)) {
        left += "/" + since(kv, watch.token());
        if (change.key() == "b")
            break;
    }
    for (const auto& change : watch.each(0ms)) { /* goes on */
        CHECK(change.key() == "c");
        left += "/" + since(kv, watch.token());
        break;
    }
    CHECK(left == "/+b +c +d/+c +d/+d");
    CHECK(now(watch) == "+d" && since(kv, watch.token()) == "");
    kv.put("a", "");
    CHECK(told_all(watch.each(0ms)) == "+a" && since(kv, watch.token()) == "");
}

static void bad_tokens_are_told() {
    auto store = open_store();
    auto kv = store.open_namespace("test");
    auto watch = kv.open_watch();
    const std::string token = watch.token();
    CHECK_THROWS(since(kv, "x"), invalid, "malformed");
    CHECK_THROWS(since(kv, token.substr(1)), invalid, "malformed");
    CHECK_THROWS(since(kv, token + '\0'), invalid, "malformed");
    CHECK_THROWS(since(kv, "\xff"), invalid, "UTF-8");
    CHECK_THROWS(since(store.open_namespace("other"), token), invalid, "namespace \"test\"");
    luat_kv::watch_options options;
    options.existing = true;
    options.since = token;
    CHECK_THROWS(kv.open_watch(options), invalid, "either with what exists or since a token");
    options.since.clear();
    CHECK(now(watch = kv.open_watch(options)) == "");
    if (!on_disk)
        CHECK_THROWS(since(open_default(), token), invalid, "another store");
    watch.close();
    CHECK_THROWS(watch.token(), invalid, "the watch was closed, or moved from");
}

/* ---- Waiting */

static void a_watch_waits() {
    auto store = open_store();
    auto kv = store.open_namespace("test"), other = store.open_namespace("other");
    auto watch = kv.open_watch();
    const auto begun = std::chrono::steady_clock::now();
    CHECK(watch.next(30ms).empty() && std::chrono::steady_clock::now() - begun >= 30ms);
    std::thread writer([&] {
        std::this_thread::sleep_for(20ms); /* most likely it waits now */
        other.put("k", "");
        kv.put("k", "");
    });
    CHECK(told_all(watch.next()) == "+k");
    writer.join();
    CHECK_THROWS(watch.next(-1ms), invalid, "the timeout is -1 ms; it is at least 0");
    CHECK_THROWS(watch.each(std::chrono::milliseconds::min()), invalid, "the timeout is");
}

static void one_thread_waits_with_a_watch() {
    auto kv = open_default();
    auto watch = kv.open_watch();
    bool refused = false;
    std::thread second([&] {
        while (!refused) {
            try {
                CHECK(watch.next(0ms).empty()); /* the other one does not wait yet */
            } catch (const luat_kv::error& error) {
                refused = error.code() == luat_kv::errc::invalid && strstr(error.what(), "another thread");
            }
        }
        kv.put("k", "");
    });
    for (bool ended = false; !ended;) {
        try {
            ended = told_all(watch.next(1min)) == "+k";
        } catch (const luat_kv::error& error) {
            CHECK(strstr(error.what(), "another thread")); /* which was faster */
        }
    }
    second.join();
    CHECK(refused);
}

static void a_loop_goes_through_all_changes() {
    auto kv = open_default();
    auto watch = kv.open_watch();
    for (const char* key : {"a", "b", "c", "d", "e"})
        kv.put(key, "");
    std::string seen;
    for (const auto& change : watch.each()) {
        seen += change.key();
        if (seen == "ab")
            break;
    }
    for (const auto& change : watch.each(0ms)) { /* goes on */
        seen += change.key();
        if (change.key() == "c")
            break;
    }
    CHECK(seen == "abc" && now(watch) == "+d +e" && now(watch) == "");
    kv.put("a", "");
    for (const auto& change : watch.each(20ms)) {
        seen += change.key();
        if (change.key() == "a")
            kv.put("f", ""); /* a loop sees it */
    }
    CHECK(seen == "abcaf" && told_all(watch.each(0ms)) == "");
    kv.erase("a");
    auto range = watch.each(0ms);
    CHECK(std::count_if(range.begin(), range.end(), [](const auto& change) { return told(change) == "-a"; }) == 1);
    kv.put("a", "");
    for (const auto& change : watch.each()) {
        CHECK(change.key() == "a");
        break; /* at the last of them */
    }
    CHECK(now(watch) == "");
}

static void what_finds_no_memory_is_not_lost() {
    auto kv = open_default();
    auto watch = kv.open_watch();
    for (const bool in_a_loop : {false, true}) {
        kv.put("k", "");
        bool starved = false;
        is_starved = true;
        try {
            if (in_a_loop)
                (void)watch.each(0ms).begin();
            else
                (void)watch.next(0ms);
        } catch (const std::bad_alloc&) {
            starved = true;
        }
        is_starved = false;
        CHECK(starved && since(kv, watch.token()) == "+k");
        CHECK(now(watch) == "+k" && now(watch) == "" && since(kv, watch.token()) == "");
    }
}

static void another_process_is_seen() {
    auto kv = open_default();
    auto watch = kv.open_watch();
    CHECK(system((self + " '" + scratch("kv.db") + "'").c_str()) == 0);
    CHECK(told_all(watch.next(1min)) == "+theirs");
}

static bool becomes_readable(int fd) {
    pollfd polled{fd, POLLIN, 0};
    return poll(&polled, 1, 60000) == 1;
}

static void a_descriptor_becomes_readable() {
    auto kv = open_default();
    auto watch = kv.open_watch();
    const int fd = watch.fd();
    CHECK(fd >= 0 && watch.fd() == fd && now(watch) == "");
    for (int round = 0; round < 20; round++) {
        kv.put(std::to_string(round), "");
        CHECK(becomes_readable(fd) && now(watch) == "+" + std::to_string(round));
    }
}

/* ---- Handles, and what is refused */

static void bad_options_are_told() {
    auto kv = open_default();
    luat_kv::watch_options options;
    options.keys = std::vector<std::string>();
    CHECK_THROWS(kv.open_watch(options), invalid, "keys is empty; leave it out");
    options.keys = {"a", ""};
    CHECK_THROWS(kv.open_watch(options), invalid, "the key is empty");
    options.keys = {"\xff"};
    CHECK_THROWS(kv.open_watch(options), invalid, "UTF-8");
    options.keys = {"a"};
    options.prefix = "b";
    CHECK_THROWS(kv.open_watch(options), invalid, "either keys or a prefix");
    options.prefix.clear();
    options.keys->resize(1001, "a");
    CHECK_THROWS(kv.open_watch(options), limit, "1001 keys");
    options.keys->resize(1000);
    auto watch = kv.open_watch(options);
    options.keys.reset();
    options.prefix.assign(5000, 'x');
    CHECK_THROWS(kv.open_watch(options), limit, "5000");
}

static void a_watch_that_was_closed_or_moved_from_is_invalid() {
    auto store = std::optional(open_store());
    auto kv = std::optional(store->open_namespace("test"));
    auto watch = kv->open_watch();
    for (const char* key : {"a", "b", "c"})
        kv->put(key, "");
    CHECK(watch.each(0ms).begin()->key() == "a");
    auto moved = std::move(watch);
    CHECK_THROWS(watch.next(0ms), invalid, "the watch was closed, or moved from");
    CHECK_THROWS(watch.fd(), invalid, "");
    CHECK_THROWS(watch.each().begin(), invalid, "");
    auto range = moved.each(0ms);
    auto at = range.begin(); /* a loop goes on in the new place */
    CHECK(at->key() == "b");
    store.reset();
    kv.reset();
    CHECK((++at)->key() == "c" && ++at == range.end()); /* it keeps the store open */
    moved.close();
    moved.close();
    CHECK_THROWS(moved.next(), invalid, "the watch was closed, or moved from");
    CHECK_THROWS(++at, invalid, "");
    if (on_disk) { /* nobody else holds any of these handles */
        watch = open_default().open_watch();
        open_default().put("d", "");
        CHECK(now(watch) == "+d");
    }
}

/* What the child of a fork does with the watch of its parent, and with its own. */
static void use_in_child(luat_kv::kv_namespace& kv, luat_kv::watch& watch) {
    CHECK_THROWS(watch.next(0ms), invalid, "before a fork");
    CHECK_THROWS(watch.fd(), invalid, "before a fork");
    CHECK_THROWS(watch.token(), invalid, "before a fork");
    watch.close();
    auto own = kv.open_watch();
    const int fd = own.fd();
    CHECK(becomes_readable(fd) && now(own) == "");
    kv.put("k", "");
    CHECK(becomes_readable(fd) && now(own) == "+k");
}

static void a_fork_ends_a_watch() {
    auto kv = open_default();
    auto watch = kv.open_watch();
    CHECK(watch.fd() >= 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(120);
        use_in_child(kv, watch);
        _exit(check_failures == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(now(watch) == (on_disk ? "+k" : ""));
}

/* In the child. */
static int put_theirs(const char* path) {
    luat_kv::store::open(path).open_namespace("test").put("theirs", "");
    return 0;
}

#if __cplusplus >= 202002L
static void options_have_names() {
    auto kv = open_default();
    auto by_keys = kv.open_watch({.keys = {{"a", "b"}}}), by_key = kv.open_watch({.keys = {{"a"}}, .values = true});
    kv.put("a", "1");
    kv.put("b", "1");
    CHECK(now(by_keys) == "+a +b" && std::ranges::count(by_key.each(0ms), "1", &luat_kv::change_view::value) == 1);
    kv.put("a", "2");
    CHECK(std::ranges::count(by_keys.next(0ms), "a", &luat_kv::change_view::key) == 1);
}
#endif

int main(int argc, char** argv) {
    if (argc == 2)
        return put_theirs(argv[1]);
    self = argv[0];
    const check_test tests[] = {
        TEST(changes_have_all_there_is),
        TEST(what_is_not_watched_is_not_reported),
        TEST(a_watch_can_begin_with_what_is_there),
        TEST(an_expiry_is_told_from_a_removal),
        TEST(a_batch_comes_together),
        TEST(a_watch_goes_on_from_a_token),
        TEST(a_token_covers_what_a_loop_has_reached),
        TEST(bad_tokens_are_told),
        TEST(a_watch_waits),
        TEST(one_thread_waits_with_a_watch),
        TEST(a_loop_goes_through_all_changes),
        TEST(what_finds_no_memory_is_not_lost),
        TEST(a_descriptor_becomes_readable),
        TEST(bad_options_are_told),
        TEST(a_watch_that_was_closed_or_moved_from_is_invalid),
        TEST(a_fork_ends_a_watch),
#if __cplusplus >= 202002L
        TEST(options_have_names),
#endif
    };
    check_both_backends(tests);
    const check_test others[] = { TEST(another_process_is_seen) };
    check_tests("", others);
    return check_done();
}
