/*
 * Gets of threads and processes: luat_kv, with and without its cache, beside raw SQLite with a connection each.
 *
 *   reads cached|uncached|raw FILE      FILE does not exist
 *
 * Prints the gets a second of one thread, and how many times as many two threads make, each the median of rounds in turn;
 * and the operations a second of four processes, 90 % of which are gets and the rest puts.
 */
#define _DEFAULT_SOURCE
#include "luat_kv.h"
#include "raw_sqlite.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 10000, THREADS = 2, PROCESSES = 4, ROUNDS = 5 };

/* Each count in lines of the processor's cache of its own: otherwise the cores would pass the line to each other. */
struct count {
    unsigned long done;
    char apart[128 - sizeof(unsigned long)];
};

static struct shared {
    struct count of[PROCESSES];
    bool stop;
    double one, two;
} *shared;

static const char *path, *kind;
static luat_kv_store *store;
static luat_kv_namespace *ns;

static bool is_raw(void)
{
    return strcmp(kind, "raw") == 0;
}

static void check(luat_kv_status status, luat_kv_error *error)
{
    if (status < 0)
        fail(kind, luat_kv_error_message(error));
}

static void open_store(void)
{
    luat_kv_error *error = NULL;
    luat_kv_open_options options;
    luat_kv_open_options_init(&options, sizeof options);
    options.busy_timeout_ms = BUSY_MS;
    if (strcmp(kind, "uncached") == 0)
        options.flags |= LUAT_KV_OPEN_NO_CACHE;
    check(luat_kv_open(path, &options, &store, &error), error);
    check(luat_kv_namespace_open(store, LUAT_KV_TEXT("ns"), &ns, &error), error);
}

static void open_it(void)
{
    if (is_raw())
        raw_open(path);
    else
        open_store();
}

static void put_one(const char *key, size_t key_len, const char *value)
{
    luat_kv_error *error = NULL;
    if (is_raw())
        raw_put(key, key_len, value);
    else
        check(luat_kv_put(ns, key, key_len, value, VALUE, NULL, &error), error);
}

static void get_one(const char *key, size_t key_len)
{
    char value[VALUE];
    luat_kv_error *error = NULL;
    size_t len = 0;
    if (is_raw())
        len = raw_get(key, key_len, value);
    else
        check(luat_kv_get(ns, key, key_len, (uint8_t *)value, sizeof value, &len, &error), error);
    if (len != VALUE)
        fail("get", "another value");
}

/* Operates on keys at random until it is told to stop. One operation in `put_in` is a put; 0: none. */
static void operate(int number, unsigned put_in)
{
    char key[32], value[VALUE] = { 0 };
    uint64_t random = 88172645463325252u + (unsigned)number;
    for (unsigned i = 0; !__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE); i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        size_t len = (size_t)snprintf(key, sizeof key, "key:%u", (unsigned)(random % KEYS));
        if (put_in && i % put_in == 0) {
            snprintf(value, sizeof value, "%u", i);
            put_one(key, len, value);
        } else {
            get_one(key, len);
        }
        shared->of[number].done++;
    }
}

static double wait_and_stop(int count, unsigned seconds)
{
    unsigned long before = 0, after = 0;
    usleep(200000); /* so that all have begun */
    for (int i = 0; i < count; i++)
        before += __atomic_load_n(&shared->of[i].done, __ATOMIC_RELAXED);
    sleep(seconds);
    for (int i = 0; i < count; i++)
        after += __atomic_load_n(&shared->of[i].done, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
    return (double)(after - before) / seconds;
}

static void *read_in_thread(void *number)
{
    if (is_raw())
        raw_open(path);
    operate(*(int *)number, 0);
    return NULL;
}

static double threads(int count)
{
    pthread_t thread[THREADS];
    int numbers[THREADS];
    shared->stop = false;
    for (int i = 0; i < count; i++) {
        numbers[i] = i;
        pthread_create(&thread[i], NULL, read_in_thread, &numbers[i]);
    }
    double rate = wait_and_stop(count, 1);
    for (int i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
    return rate;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *rates)
{
    qsort(rates, ROUNDS, sizeof *rates, by_size);
    return rates[ROUNDS / 2];
}

/* The process that puts the keys and has the threads. No other one inherits its connections. */
static void fill_and_read(void)
{
    open_it();
    char key[32], value[VALUE] = { 0 };
    for (unsigned i = 0; i < KEYS; i++)
        put_one(key, (size_t)snprintf(key, sizeof key, "key:%u", i), value);
    double one[ROUNDS], two[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        one[round] = threads(1);
        two[round] = threads(2);
    }
    shared->one = median(one);
    shared->two = median(two);
}

static void wait_for_all(void)
{
    for (int status; wait(&status) > 0;)
        if (status)
            fail("a process", "failed");
}

static double processes(void)
{
    shared->stop = false;
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            open_it();
            operate(i, 10);
            _exit(0);
        }
    double rate = wait_and_stop(PROCESSES, 2);
    wait_for_all();
    return rate;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("usage", "reads cached|uncached|raw FILE");
    kind = argv[1];
    path = argv[2];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap", "no memory");
    if (fork() == 0) {
        fill_and_read();
        _exit(0);
    }
    wait_for_all();
    double mixed = processes();
    printf("%-8s  1 thread %8.0f gets/s, 2 threads %.2f times as many; 4 processes, 90 %% gets: %7.0f/s\n", kind,
           shared->one, shared->two / shared->one, mixed);
    return 0;
}
