/*
 * What many keys cost that are removed, imported or expire, beside a process that puts as fast as it can.
 *
 *   scale FILE KEYS     FILE does not exist, and lies on a disk
 *
 * Times are wall time unless they say CPU. Expiry does not wait: the processes share a clock that the first one moves.
 */
#define _GNU_SOURCE
#include "../tests/c/clock.h"
#include "luat_kv.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { BATCH = 1000, VALUE = 100, BUSY_MS = 60000 };

/* What the processes share. */
static struct shared {
    int64_t ahead; /* of the system's clock, in seconds */
    bool stop;
    unsigned puts;
    double longest; /* put, in seconds */
} *shared;

static const char *path;
static luat_kv_store *store;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void check(luat_kv_status status, luat_kv_error *error)
{
    if (status >= 0)
        return;
    fprintf(stderr, "%s\n", luat_kv_error_message(error));
    _exit(1);
}

static void open_store(void)
{
    luat_kv_error *error = NULL;
    luat_kv_open_options options;
    luat_kv_open_options_init(&options, sizeof options);
    options.busy_timeout_ms = BUSY_MS;
    check(luat_kv_open(path, &options, &store, &error), error);
}

static luat_kv_namespace *namespace(const char *name)
{
    luat_kv_error *error = NULL;
    luat_kv_namespace *ns;
    check(luat_kv_namespace_open(store, name, strlen(name), &ns, &error), error);
    return ns;
}

/* Puts keys, which expire if ttl is not 0. */
static void fill(luat_kv_namespace *ns, long keys, int64_t ttl)
{
    luat_kv_error *error = NULL;
    luat_kv_put_options options;
    char key[32], value[VALUE] = { 0 };
    luat_kv_put_options_init(&options, sizeof options);
    options.expiration_ttl = ttl;
    for (long at = 0; at < keys; at += BATCH) {
        luat_kv_batch *batch;
        check(luat_kv_batch_open(store, &batch, &error), error);
        for (long i = at; i < at + BATCH && i < keys; i++) {
            int len = snprintf(key, sizeof key, "key:%09ld", i);
            check(luat_kv_batch_put(batch, ns, key, (size_t)len, value, VALUE, &options, &error), error);
        }
        check(luat_kv_batch_commit(batch, &error), error);
        luat_kv_batch_free(batch);
    }
}

/* Another process puts as fast as it can, until it is told to stop. */
static pid_t start_writer(void)
{
    shared->stop = false;
    shared->puts = 0;
    shared->longest = 0;
    pid_t child = fork();
    if (child)
        return child;
    open_store();
    luat_kv_namespace *ns = namespace("writer");
    luat_kv_error *error = NULL;
    char key[32], value[VALUE] = { 0 };
    for (unsigned i = 0; !__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE); i++) {
        int len = snprintf(key, sizeof key, "%u", i % BATCH);
        double begin = now();
        check(luat_kv_put(ns, key, (size_t)len, value, VALUE, NULL, &error), error);
        double took = now() - begin;
        if (i > 0 && took > shared->longest)
            shared->longest = took;
        __atomic_fetch_add(&shared->puts, 1, __ATOMIC_RELAXED);
    }
    _exit(0);
}

static void stop_writer(pid_t child)
{
    int status;
    __atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
    if (waitpid(child, &status, 0) != child || status) {
        fprintf(stderr, "the writer failed\n");
        exit(1);
    }
}

/* Puts a second since the last call, for a part of a second. */
static double put_rate(double seconds)
{
    unsigned before = __atomic_load_n(&shared->puts, __ATOMIC_RELAXED);
    double begin = now();
    usleep((useconds_t)(seconds * 1e6));
    return (__atomic_load_n(&shared->puts, __ATOMIC_RELAXED) - before) / (now() - begin);
}

static void clear(luat_kv_namespace *ns)
{
    luat_kv_error *error = NULL;
    check(luat_kv_delete_prefix(ns, "key:", 4, NULL, &error), error);
}

static void remove_alone(luat_kv_namespace *ns, long keys)
{
    fill(ns, keys, 0);
    double begin = now(), worked = cpu();
    clear(ns);
    double wall = now() - begin, work = cpu() - worked;
    printf("deletePrefix alone            %6.2f s, CPU %.2f s, ratio %.2f\n", wall, work, wall / work);
}

static void remove_beside_a_writer(luat_kv_namespace *ns, long keys)
{
    fill(ns, keys, 0);
    pid_t writer = start_writer();
    double rate = put_rate(1), longest = shared->longest;
    shared->longest = 0;
    unsigned before = shared->puts;
    double begin = now();
    clear(ns);
    double wall = now() - begin;
    double beside = (shared->puts - before) / wall;
    printf("deletePrefix beside a writer  %6.2f s; puts %.0f/s, longest %.1f ms; meanwhile %.0f/s, %.1f ms\n",
           wall, rate, longest * 1e3, beside, shared->longest * 1e3);
    stop_writer(writer);
}

static void import_beside_a_writer(luat_kv_namespace *ns, long keys)
{
    luat_kv_error *error = NULL;
    char file[4096];
    snprintf(file, sizeof file, "%s.json", path);
    fill(ns, keys, 0);
    check(luat_kv_export(ns, file, LUAT_KV_FORMAT_JSON_LINES, NULL, &error), error);
    clear(ns);
    pid_t writer = start_writer();
    put_rate(1);
    double longest = shared->longest;
    shared->longest = 0;
    double begin = now(), worked = cpu();
    check(luat_kv_import(ns, file, 0, NULL, NULL, &error), error);
    printf("import beside a writer        %6.2f s, CPU %.2f s; puts' longest %.1f ms, meanwhile %.1f ms\n",
           now() - begin, cpu() - worked, longest * 1e3, shared->longest * 1e3);
    stop_writer(writer);
    remove(file);
    clear(ns);
}

static double list_time(luat_kv_namespace *ns)
{
    luat_kv_error *error = NULL;
    luat_kv_page *page;
    double begin = now();
    check(luat_kv_list(ns, NULL, &page, &error), error);
    luat_kv_page_free(page);
    return (now() - begin) * 1e3;
}

static uint64_t expired(void)
{
    luat_kv_error *error = NULL;
    luat_kv_stats *stats;
    uint64_t count = 0;
    check(luat_kv_stats_read(store, &stats, &error), error);
    for (size_t at = 0; at < luat_kv_stats_len(stats); at++)
        count += luat_kv_stats_expired(stats, at);
    luat_kv_stats_free(stats);
    return count;
}

static void list_expired(luat_kv_namespace *ns, long keys)
{
    fill(ns, keys, 1000);
    shared->ahead += 2000;
    double first = list_time(ns), second = list_time(ns);
    printf("list of expired keys          %6.1f ms, the second time %.1f ms\n", first, second);
    clear(ns);
}

static void expire_beside_a_writer(luat_kv_namespace *ns, long keys)
{
    fill(ns, keys, 1000);
    pid_t writer = start_writer();
    double rate = put_rate(2), least = rate, longest = shared->longest;
    shared->longest = 0;
    shared->ahead += 2000;
    double begin = now(), second;
    unsigned before = shared->puts;
    do {
        second = put_rate(1);
        least = second < least ? second : least;
    } while (expired() > 0 && now() - begin < 120);
    double wall = now() - begin;
    printf("expiry beside a writer        %6.2f s; puts %.0f/s, longest %.1f ms; "
           "meanwhile %.0f/s, %.0f/s in the slowest second, %.1f ms\n",
           wall, rate, longest * 1e3, (shared->puts - before) / wall, least, shared->longest * 1e3);
    stop_writer(writer);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: scale FILE KEYS\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    path = argv[1];
    long keys = atol(argv[2]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    clock_ahead = &shared->ahead;
    open_store();
    luat_kv_namespace *ns = namespace("scale");
    remove_alone(ns, keys);
    remove_beside_a_writer(ns, keys);
    import_beside_a_writer(ns, keys);
    list_expired(ns, keys);
    expire_beside_a_writer(ns, keys);
    luat_kv_namespace_free(ns);
    luat_kv_close(store);
    return 0;
}
