/*
 * What the C++ suite adds to the C suite's: tests and asserts that handle exceptions, and a store on each back end.
 */
#ifndef CHECK_HPP
#define CHECK_HPP

#include "../c/check.h"

#include <luat_kv.hpp>

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

/* The call throws this code, and its message contains these words. */
#define CHECK_THROWS(call, expected, words) \
    check_throws([&] { (void)(call); }, luat_kv::errc::expected, words, #call, __FILE__, __LINE__)

template <class Call>
void check_throws(Call call, luat_kv::errc expected, const char* words, const char* shown, const char* file, int line) {
    try {
        call();
        check_fail(file, line, "%s throws nothing", shown);
    } catch (const luat_kv::error& error) {
        if (error.code() != expected || !strstr(error.what(), words) || !strstr(error.what(), error.name()))
            check_fail(file, line, "%s: %s, which has not \"%s\"", shown, error.what(), words);
        if (error.os_error() != check_errno_in(error.what()))
            check_fail(file, line, "%s: %s, and os_error() is %d", shown, error.what(), error.os_error());
    }
}

/* If an exception leaves a test, the test has failed, and the next one runs. */
template <void (*Run)()>
void check_escapes() {
    try {
        Run();
    } catch (const std::exception& error) {
        check_fail(__FILE__, __LINE__, "it throws: %s", error.what());
    }
}

#undef TEST
#define TEST(function) { #function, check_escapes<function> }

static bool on_disk;

static inline luat_kv::store open_store(const luat_kv::open_options& options = {}) {
    return on_disk ? luat_kv::store::open(scratch("kv.db"), options) : luat_kv::store::open_memory(options);
}

/* A namespace whose store closes with it. */
static inline luat_kv::kv_namespace open_default() { return open_store().open_namespace("test"); }

#define check_both_backends(tests) \
    do { \
        on_disk = false; \
        check_tests("memory", tests); \
        on_disk = true; \
        check_tests("disk", tests); \
    } while (0)

/* The keys of a page or a range, joined, for example "a,b". */
template <class Range>
std::string keys(Range&& range) {
    std::string all;
    for (const auto& entry : range)
        all += (all.empty() ? "" : ",") + std::string(entry.key());
    return all;
}

static inline luat_kv::time_point after(std::chrono::seconds seconds) {
    return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()) + seconds;
}

#endif
