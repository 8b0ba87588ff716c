/*
 * Processes that put into one file as fast as they can: luat_kv beside raw SQLite with its busy timeout.
 *
 *   writers ours|raw|same FILE PROCESSES SECONDS
 *
 * `raw` has a table of keys and values alone, `same` that of a store, with its index, and sets the same columns.
 * Prints the puts a second of all processes together, the median, the 99.9th percentile and the maximum of the time of
 * one put in µs, the share of the slowest process in that of the fastest, the CPU time of one put in µs, and the times that
 * a process slept for one put. SQLite is the one inside libluat_kv.a.
 */
#define _DEFAULT_SOURCE
#include "luat_kv.h"
#include "raw_sqlite.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 64, KEYS = 1000, SAMPLES = 1 << 20 };

/* What the processes tell the first one, in memory that they share. */
struct shared {
    bool go, stop;
    unsigned puts[PROCESSES];
    double cpu[PROCESSES]; /* µs */
    long sleeps[PROCESSES];
    unsigned sample_count;
    float samples[SAMPLES]; /* µs */
};

static struct shared *shared;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static luat_kv_store *store;
static luat_kv_namespace *ns;

static void ours_open(const char *path)
{
    luat_kv_open_options options;
    luat_kv_error *error = NULL;
    luat_kv_open_options_init(&options, sizeof options);
    options.busy_timeout_ms = BUSY_MS;
    if (luat_kv_open(path, &options, &store, &error) || luat_kv_namespace_open(store, LUAT_KV_TEXT("ns"), &ns, &error))
        fail("open", luat_kv_error_message(error));
}

static void ours_put(const char *key, size_t key_len, const char *value)
{
    luat_kv_error *error = NULL;
    if (luat_kv_put(ns, key, key_len, value, VALUE, NULL, &error))
        fail("put", luat_kv_error_message(error));
}

/* The columns of a store: an expiration, which has an index, metadata, and a version, which differs each time. */
static void same_open(const char *path)
{
    raw_open_with(path,
                  "CREATE TABLE IF NOT EXISTS kv (namespace TEXT NOT NULL, key TEXT NOT NULL, expiration INTEGER,"
                  "                               version BLOB NOT NULL, metadata TEXT, value BLOB,"
                  "                               PRIMARY KEY (namespace, key));"
                  "CREATE INDEX IF NOT EXISTS kv_expiration ON kv (expiration) WHERE expiration IS NOT NULL",
                  "INSERT INTO kv (namespace, key, value, version, metadata, expiration)"
                  " VALUES ('ns', ?1, ?2, ?3, ?4, ?5)"
                  " ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, metadata = excluded.metadata,"
                  "     expiration = excluded.expiration, version = excluded.version");
}

static void same_put(const char *key, size_t key_len, const char *value)
{
    static unsigned count;
    char version[12] = { 0 };
    count++;
    memcpy(version, &count, sizeof count);
    sqlite3_bind_blob(put, 3, version, sizeof version, SQLITE_STATIC);
    raw_put(key, key_len, value);
}

static const struct kind {
    const char *name;
    void (*open)(const char *path);
    void (*put_one)(const char *key, size_t key_len, const char *value);
} kinds[] = { { "ours", ours_open, ours_put }, { "raw", raw_open, raw_put }, { "same", same_open, same_put } };

static bool is_set(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

/* Adds what this process has used, or subtracts it. */
static void note_used(int number, int sign)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    shared->cpu[number] += sign * ((double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
                                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec));
    shared->sleeps[number] += sign * used.ru_nvcsw;
}

/* The change to WAL mode heeds no busy timeout, so only one process may do it. */
static void raw_create(const char *path, void (*open)(const char *))
{
    open(path);
    sqlite3_finalize(put);
    sqlite3_finalize(get);
    sqlite3_close(db);
}

static void put_until_stopped(int number, void (*put_one)(const char *, size_t, const char *))
{
    char key[32], value[VALUE] = { 0 };
    while (!is_set(&shared->go))
        usleep(1000);
    note_used(number, -1);
    for (unsigned i = 0; !is_set(&shared->stop); i++) {
        int key_len = snprintf(key, sizeof key, "%d:%u", number, i % KEYS);
        snprintf(value, sizeof value, "%u", i); /* SQLite writes nothing if a row stays as it is */
        double begin = now();
        put_one(key, (size_t)key_len, value);
        unsigned sample = __atomic_fetch_add(&shared->sample_count, 1, __ATOMIC_RELAXED);
        if (sample < SAMPLES)
            shared->samples[sample] = (float)(now() - begin);
        shared->puts[number]++;
    }
    note_used(number, 1);
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        fail("usage", "writers ours|raw|same FILE PROCESSES SECONDS");
    const struct kind *kind = kinds;
    while (strcmp(kind->name, argv[1]))
        if (++kind == kinds + sizeof kinds / sizeof *kinds)
            fail("no store", argv[1]);
    int processes = atoi(argv[3]);
    if (processes < 1 || processes > PROCESSES)
        fail("PROCESSES", argv[3]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap", "no memory");
    if (kind->open != ours_open)
        raw_create(argv[2], kind->open);
    for (int number = 0; number < processes; number++)
        if (fork() == 0) {
            kind->open(argv[2]);
            put_until_stopped(number, kind->put_one);
            _exit(0);
        }
    sleep(1); /* so that all have opened the file */
    __atomic_store_n(&shared->go, true, __ATOMIC_RELEASE);
    double begin = now();
    usleep((useconds_t)(atof(argv[4]) * 1e6));
    __atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
    double seconds = (now() - begin) / 1e6;
    unsigned total = 0, least = ~0u, most = 0;
    double cpu = 0;
    long sleeps = 0;
    for (int status; wait(&status) > 0;)
        if (status)
            fail("a process", "failed");
    for (int number = 0; number < processes; number++) {
        unsigned puts = shared->puts[number];
        total += puts;
        cpu += shared->cpu[number];
        sleeps += shared->sleeps[number];
        least = puts < least ? puts : least;
        most = puts > most ? puts : most;
    }
    unsigned samples = shared->sample_count < SAMPLES ? shared->sample_count : SAMPLES;
    qsort(shared->samples, samples, sizeof *shared->samples, by_size);
    printf("%d %-5s %8.0f puts/s   median %6.1f   p99.9 %8.1f   max %8.0f µs   slowest/fastest %.2f"
           "   CPU %.1f µs, sleeps %.3f a put\n",
           processes, argv[1], (double)total / seconds, shared->samples[samples / 2],
           shared->samples[(unsigned)(samples * 0.999)], shared->samples[samples - 1], most ? (double)least / most : 0.0,
           cpu / total, (double)sleeps / total);
    return 0;
}
