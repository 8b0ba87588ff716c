// The same in C++, with the same output: see hello.c.
#include <luat_kv.hpp>
#include <iostream>
int main() {
    auto users = luat_kv::store::open("hello.db").open_namespace("users");
    users.put("user:1", "Alice");
    std::cout << users.get("user:1").value() << '\n';
}
