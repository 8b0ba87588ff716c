// The same in C++, with the same output: see hello.c.
#include <luat_kv.h>
#include <cstdio>
int main() { std::puts("Alice"); return luat_kv_abi_version() != LUAT_KV_ABI_VERSION; }
