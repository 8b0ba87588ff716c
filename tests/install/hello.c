/* A user's program, which knows only the name luat_kv. */
#include <luat_kv.h>
#include <stdio.h>

int main(void)
{
    luat_kv_store *store;
    luat_kv_namespace *users;
    uint8_t name[16];
    size_t len = 0;
    if (luat_kv_abi_version() != LUAT_KV_ABI_VERSION || luat_kv_open("hello.db", NULL, &store, NULL) != LUAT_KV_OK)
        return 1;
    luat_kv_namespace_open(store, (const uint8_t *)"users", 5, &users, NULL);
    luat_kv_put(users, (const uint8_t *)"user:1", 6, (const uint8_t *)"Alice", 5, NULL, NULL);
    luat_kv_get(users, (const uint8_t *)"user:1", 6, name, sizeof name, &len, NULL);
    printf("%.*s\n", (int)len, (char *)name);
    luat_kv_namespace_free(users);
    luat_kv_close(store);
    return 0;
}
