// What bench/cpp-instructions counts: instructions MODE COUNT FILE runs one operation so many times, through the C++
// header or by the C functions that do the same. FILE is as for instructions.c.

#include <luat_kv.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace {

constexpr int entries = 1000;

std::string_view name(char* key, long number) {
    return {key, static_cast<std::size_t>(std::sprintf(key, "key:%06ld", number % entries))};
}

void check(luat_kv_status status) {
    if (status < 0) std::abort();
}

// Each is a function that is not inlined, so that what is compared does not depend on what else is in a loop.

/// As a C++ program would do it that calls the C functions: with a value of any length in a std::string.
[[gnu::noinline]] std::optional<std::string> c_get(luat_kv_namespace* ns, std::string_view key) {
    luat_kv_error* error = nullptr;
    std::uint8_t buffer[1024];
    std::size_t len = 0;
    const auto status = luat_kv_get(ns, key.data(), key.size(), buffer, sizeof buffer, &len, &error);
    check(status);
    if (status == LUAT_KV_NOT_FOUND) return std::nullopt;
    if (status == LUAT_KV_OK) return std::string(reinterpret_cast<const char*>(buffer), len);
    luat_kv_entry* entry = nullptr;
    check(luat_kv_get_entry(ns, key.data(), key.size(), &entry, &error));
    if (!entry) return std::nullopt;
    const auto* value = luat_kv_entry_value(entry, &len);
    std::string copy(reinterpret_cast<const char*>(value), len);
    luat_kv_entry_free(entry);
    return copy;
}

[[gnu::noinline]] std::optional<std::string> cpp_get(const luat_kv::kv_namespace& kv, std::string_view key) {
    return kv.get(key);
}

[[gnu::noinline]] void c_put(luat_kv_namespace* ns, std::string_view key, std::string_view value) {
    luat_kv_error* error = nullptr;
    check(luat_kv_put(ns, key.data(), key.size(), value.data(), value.size(), nullptr, &error));
}

[[gnu::noinline]] void cpp_put(luat_kv::kv_namespace& kv, std::string_view key, std::string_view value) {
    kv.put(key, value);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const std::string_view mode = argv[1], file = argv[3];
    const long count = std::atol(argv[2]);
    auto store = file == "memory" ? luat_kv::store::open_memory() : luat_kv::store::open(argv[3]);
    auto kv = store.open_namespace("bench");
    luat_kv_namespace* ns = nullptr;
    luat_kv_store* c_store = nullptr;
    check(file == "memory" ? luat_kv_open_memory(nullptr, &c_store, nullptr)
                           : luat_kv_open(argv[3], nullptr, &c_store, nullptr));
    check(luat_kv_namespace_open(c_store, "bench", 5, &ns, nullptr));
    const std::string value(100, 'v');
    char key[32];
    for (long number = 0; number < entries; number++) {
        kv.put(name(key, number), value);
        if (file == "memory") c_put(ns, name(key, number), value);
    }
    // Each mode has a loop of its own, so that both come to their call in the same way.
    const auto run = [&](long keys, auto operation) {
        for (long number = 0; number < count; number++) operation(name(key, number % keys));
    };
    const auto found = [](bool is_there) { if (!is_there) std::abort(); };
    const long keys = mode.substr(mode.find('-') + 1) == "hot" ? 10 : entries;
    if (mode == "c-put") run(keys, [&](std::string_view key) { c_put(ns, key, value); });
    else if (mode == "cpp-put") run(keys, [&](std::string_view key) { cpp_put(kv, key, value); });
    else if (mode.substr(0, 2) == "c-") run(keys, [&](std::string_view key) { found(c_get(ns, key).has_value()); });
    else run(keys, [&](std::string_view key) { found(cpp_get(kv, key).has_value()); });
    luat_kv_namespace_free(ns);
    luat_kv_close(c_store);
}
