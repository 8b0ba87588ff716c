/*
 * The library that the loader finds, so only the shared one: with another ABI, and with a bug in it.
 */
#include "check.hpp"

/* The program's own function stands before the library's, as that of another library in its place would. */
static std::uint32_t abi = LUAT_KV_ABI_VERSION;
extern "C" std::uint32_t luat_kv_abi_version(void) { return abi; }

static void another_abi_is_told_at_open() {
    abi = LUAT_KV_ABI_VERSION + 41;
    const auto words = "has ABI " + std::to_string(abi) + ", and this program was compiled for " +
                       std::to_string(LUAT_KV_ABI_VERSION);
    CHECK_THROWS(luat_kv::check_abi(), invalid, words.c_str());
    CHECK_THROWS(luat_kv::store::open(scratch("kv.db")), invalid, words.c_str());
    CHECK_THROWS(luat_kv::store::open_project(scratch("")), invalid, words.c_str());
    CHECK_THROWS(luat_kv::store::open_memory(), invalid, words.c_str());
    CHECK(access(scratch("kv.db"), F_OK) != 0);
    abi = LUAT_KV_ABI_VERSION;
    luat_kv::check_abi();
    CHECK(luat_kv::store::open_memory().namespaces().empty());
}

static void the_version_is_the_library_s() {
    CHECK(luat_kv::version() == std::string(luat_kv_version()) && *luat_kv::version());
}

/* ---- A bug in the library, in a child that has a library with a hook for one in place of its own */

static std::string self;

static void a_panic_is_an_error() {
    const char* hooked = getenv("LUAT_KV_HOOKED_LIBRARY");
    if (!hooked || access(hooked, R_OK) != 0) {
        check_fail(__FILE__, __LINE__, "set LUAT_KV_HOOKED_LIBRARY to a library with the feature debug-hooks");
        return;
    }
    const auto child = "LUAT_KV_DEBUG_PANIC_KEY=boom LD_PRELOAD='" + std::string(hooked) + "' '" + self + "' panic";
    CHECK(system(child.c_str()) == 0);
}

static void provoke() {
    auto store = luat_kv::store::open_memory();
    auto kv = store.open_namespace("test");
    CHECK_THROWS(kv.put("boom", "1"), panic, "PANIC");
    CHECK_THROWS(kv.get("boom"), panic, "PANIC");
    kv.put("k", "1");
    CHECK(kv.get("k") == "1" && keys(kv.list()) == "k");
}

int main(int argc, char** argv) {
    if (argc == 2) {
        check_escapes<provoke>();
        return check_failures > 0;
    }
    self = argv[0];
    const check_test tests[] = {
        TEST(another_abi_is_told_at_open),
        TEST(the_version_is_the_library_s),
        TEST(a_panic_is_an_error),
    };
    check_tests("", tests);
    return check_done();
}
