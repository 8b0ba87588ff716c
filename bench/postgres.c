/*
 * Operations of a store on PostgreSQL.
 *
 *   postgres URL OPERATION SECONDS CLIENTS
 *
 * OPERATION is fill, get, put, batch (100 puts), batch-checked (with a check of one key), or batch-1000. Each client is a
 * thread with a store of its own, and so a connection. Prints the microseconds that an operation takes, and how many all
 * clients make in a second.
 */
#define _DEFAULT_SOURCE
#include "luat_kv.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 20000, KEY = 13, VALUE = 100, CLIENTS = 64 };

static const char *url, *operation;
static double seconds;

struct client {
    pthread_t thread;
    unsigned long done;
    double took;
    uint64_t random;
    luat_kv_store *store;
    luat_kv_namespace *ns;
};

static void check(luat_kv_status status, luat_kv_error *error)
{
    if (status >= 0)
        return;
    fprintf(stderr, "%s: %s\n", operation, luat_kv_error_message(error));
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A key is a number of 13 digits, which pgbench can make too. */
static const char *key_of(uint64_t number, char key[KEY + 1])
{
    snprintf(key, KEY + 1, "%" PRIu64, UINT64_C(1000000000000) + number % KEYS);
    return key;
}

static const char *any_key(struct client *client, char key[KEY + 1])
{
    client->random = client->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return key_of(client->random >> 33, key);
}

static void commit(struct client *client, int puts, bool checked)
{
    char key[KEY + 1], value[VALUE];
    uint64_t first = client->random;
    luat_kv_error *error = NULL;
    luat_kv_batch *batch = NULL;
    memset(value, 'v', VALUE);
    check(luat_kv_batch_open(client->store, &batch, &error), error);
    if (checked)
        check(luat_kv_batch_check(batch, client->ns, LUAT_KV_TEXT("missing"), NULL, 0, &error), error);
    for (int i = 0; i < puts; i++)
        check(luat_kv_batch_put(batch, client->ns, any_key(client, key), KEY, value, VALUE, NULL, &error), error);
    check(luat_kv_batch_commit(batch, &error), error);
    luat_kv_batch_free(batch);
    /* The keys of the next batch are the same: pgbench cannot put other ones into an array. */
    client->random = first;
}

static void once(struct client *client)
{
    char key[KEY + 1], value[VALUE];
    size_t len;
    luat_kv_error *error = NULL;
    if (strcmp(operation, "get") == 0) {
        check(luat_kv_get(client->ns, any_key(client, key), KEY, (uint8_t *)value, VALUE, &len, &error), error);
    } else if (strcmp(operation, "put") == 0) {
        memset(value, 'v', VALUE);
        check(luat_kv_put(client->ns, any_key(client, key), KEY, value, VALUE, NULL, &error), error);
    } else if (strcmp(operation, "batch-checked") == 0) {
        commit(client, 100, true);
    } else {
        commit(client, strcmp(operation, "batch-1000") == 0 ? 1000 : 100, false);
    }
}

static void *run(void *argument)
{
    struct client *client = argument;
    double begun = now(), end = begun + seconds;
    do {
        once(client);
        client->done++;
    } while (now() < end);
    client->took = now() - begun;
    return NULL;
}

static void fill(struct client *client)
{
    char key[KEY + 1], value[VALUE];
    luat_kv_error *error = NULL;
    luat_kv_batch *batch = NULL;
    memset(value, 'v', VALUE);
    check(luat_kv_batch_open(client->store, &batch, &error), error);
    for (uint64_t i = 0; i < KEYS; i++)
        check(luat_kv_batch_put(batch, client->ns, key_of(i, key), KEY, value, VALUE, NULL, &error), error);
    check(luat_kv_batch_commit(batch, &error), error);
    luat_kv_batch_free(batch);
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS];
    if (argc != 5 || atoi(argv[4]) < 1 || atoi(argv[4]) > CLIENTS) {
        fprintf(stderr, "usage: postgres URL OPERATION SECONDS CLIENTS\n");
        return 2;
    }
    url = argv[1], operation = argv[2], seconds = atof(argv[3]);
    int count = atoi(argv[4]);
    luat_kv_error *error = NULL;
    for (int i = 0; i < count; i++) {
        clients[i].random = (uint64_t)i * 977 + 1;
        check(luat_kv_open_url(url, NULL, &clients[i].store, &error), error);
        check(luat_kv_namespace_open(clients[i].store, LUAT_KV_TEXT("ns"), &clients[i].ns, &error), error);
        if (strcmp(operation, "fill") == 0) {
            fill(&clients[i]);
            return 0;
        }
        once(&clients[i]);
    }
    for (int i = 0; i < count; i++)
        pthread_create(&clients[i].thread, NULL, run, &clients[i]);
    double rate = 0, latency = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        rate += (double)clients[i].done / clients[i].took;
        latency += clients[i].took / (double)clients[i].done / count;
    }
    printf("%.2f %.1f\n", latency * 1e6, rate);
    return 0;
}
