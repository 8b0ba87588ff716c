/*
 * Watches: how soon a change is told to another process, and what watching costs.
 *
 *   watch FOLDER                     an empty folder; prints lines of figures: see bench/run
 *   watch URL delay CHANGES PAUSE    after each change up to so many microseconds, which are random; prints the median and
 *                                    the 99th percentile in milliseconds
 *   watch URL wait                   prints that it waits, and waits
 *
 * bench/postgres calls it with a URL.
 */
#define _DEFAULT_SOURCE
#include "luat_kv.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANGES = 2000, PROCESSES = 8, THREADS = 125, WATCHES = PROCESSES * THREADS, PUTS = 200000, ROUNDS = 5 };

/* In memory that all processes share. Times are in µs. */
static struct shared {
    unsigned ready, told;
    bool stop;
    double begun[CHANGES], committed[CHANGES], seen[CHANGES];
    double cpu;
    long memory_before, memory_after, changes;
} *shared;

static char path[4096];
static luat_kv_store *store;
static luat_kv_namespace *ns;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void check(luat_kv_status status, luat_kv_error *error)
{
    if (status < 0)
        fail("luat_kv", luat_kv_error_message(error));
}

static void open_store(void)
{
    luat_kv_error *error = NULL;
    check(luat_kv_open_url(path, NULL, &store, &error), error);
    check(luat_kv_namespace_open(store, LUAT_KV_TEXT("ns"), &ns, &error), error);
}

static luat_kv_watch *open_watch(const char *prefix)
{
    luat_kv_error *error = NULL;
    luat_kv_watch *watch;
    luat_kv_watch_options options;
    luat_kv_watch_options_init(&options, sizeof options);
    options.flags = LUAT_KV_WATCH_VALUES;
    options.prefix = (luat_kv_bytes){ prefix, strlen(prefix) };
    check(luat_kv_watch_open(ns, &options, &watch, &error), error);
    return watch;
}

static void put(const char *key, const char *value)
{
    luat_kv_error *error = NULL;
    check(luat_kv_put(ns, key, strlen(key), value, strlen(value), NULL, &error), error);
}

static unsigned get(const unsigned *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static bool is_over(void)
{
    return __atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE);
}

/* Waits with a watch, and hands each value to `see`. */
static void follow(luat_kv_watch *watch, void (*see)(int number))
{
    luat_kv_error *error = NULL;
    luat_kv_page *page;
    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
    while (!is_over()) {
        luat_kv_status status = luat_kv_watch_next(watch, 100, &page, &error);
        check(status, error);
        for (size_t at = 0; at < luat_kv_page_len(page); at++) {
            char text[32];
            size_t len;
            const uint8_t *value = luat_kv_entry_value(luat_kv_page_at(page, at), &len);
            snprintf(text, sizeof text, "%.*s", (int)len, (const char *)value);
            see(atoi(text));
        }
        luat_kv_page_free(page);
    }
    luat_kv_watch_free(watch);
}

static pid_t child(void (*run)(void))
{
    unsigned ready = get(&shared->ready);
    pid_t process = fork();
    if (process == 0) {
        run();
        _exit(0);
    }
    while (get(&shared->ready) == ready)
        usleep(1000);
    return process;
}

static void end_children(void)
{
    int status;
    __atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
    while (wait(&status) > 0)
        if (status)
            fail("a process", "failed");
    __atomic_store_n(&shared->stop, false, __ATOMIC_RELEASE);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- From the commit to the change */

static void see_time(int number)
{
    shared->seen[number] = now();
    __atomic_store_n(&shared->told, (unsigned)number + 1, __ATOMIC_RELEASE);
}

static void follow_times(void)
{
    open_store();
    follow(open_watch("watched:"), see_time);
}

/* Waits before each change, if `is_random` for a part of the time. Sorts the times from before a put until it was told. */
static void make_changes(int changes, unsigned pause, bool is_random, double delays[])
{
    child(follow_times);
    open_store();
    for (int number = 0; number < 10; number++)
        put("watched:other", "0");
    for (int number = 0; number < changes; number++) {
        char value[32];
        snprintf(value, sizeof value, "%d", number);
        usleep(is_random ? (unsigned)rand() % pause : pause);
        shared->begun[number] = now();
        put("watched:key", value);
        shared->committed[number] = now();
        while (get(&shared->told) != (unsigned)number + 1)
            usleep(20);
    }
    end_children();
    for (int number = 0; number < changes; number++)
        delays[number] = shared->seen[number] - shared->begun[number];
    qsort(delays, (size_t)changes, sizeof *delays, by_size);
}

/* A change each millisecond or so. */
static void measure_delay(void)
{
    static double delays[CHANGES];
    make_changes(CHANGES, 1000, false, delays);
    printf("from a put to the change in another process\tmedian, with the put\t%.1f\tµs\n", delays[CHANGES / 2]);
    printf("from a put to the change in another process\t99th percentile, with the put\t%.1f\tµs\n",
           delays[CHANGES * 99 / 100]);
    for (int number = 0; number < CHANGES; number++)
        delays[number] = shared->committed[number] - shared->begun[number];
    qsort(delays, CHANGES, sizeof *delays, by_size);
    printf("from a put to the change in another process\tmedian of the put alone\t%.1f\tµs\n", delays[CHANGES / 2]);
}

/* ---- Many watches */

static void see_any(int number)
{
    (void)number;
    __atomic_add_fetch(&shared->told, 1, __ATOMIC_ACQ_REL);
}

static void *follow_any(void *unused)
{
    (void)unused;
    follow(open_watch("watched:"), see_any);
    return NULL;
}

static void follow_in_threads(void)
{
    pthread_t threads[THREADS];
    open_store();
    for (int number = 0; number < THREADS; number++)
        if (pthread_create(&threads[number], NULL, follow_any, NULL))
            fail("pthread_create", "failed");
    for (int number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
}

static void measure_many(void)
{
    enum { TIMES = 50 };
    double times[TIMES];
    __atomic_store_n(&shared->ready, 0, __ATOMIC_RELEASE);
    for (int number = 0; number < PROCESSES; number++)
        child(follow_in_threads);
    while (get(&shared->ready) < WATCHES)
        usleep(1000);
    open_store();
    for (int number = 0; number < TIMES; number++) {
        __atomic_store_n(&shared->told, 0, __ATOMIC_RELEASE);
        usleep(10000);
        double begun = now();
        put("watched:key", number % 2 ? "1" : "2");
        while (get(&shared->told) < WATCHES)
            usleep(20);
        times[number] = now() - begun;
    }
    end_children();
    qsort(times, TIMES, sizeof *times, by_size);
    printf("until all %d watches in %d processes were told\tmedian\t%.1f\tms\n", WATCHES, PROCESSES,
           times[TIMES / 2] / 1000);
}

/* ---- What a watch costs */

static void put_for_a_while(double seconds, double *rate)
{
    double begun = now(), end = begun + seconds * 1e6, ended;
    int count = 0;
    do {
        char key[32];
        snprintf(key, sizeof key, "other:%d", count % 1000);
        put(key, "a value");
        count++;
    } while ((ended = now()) < end);
    *rate = count / (ended - begun) * 1e6;
}

static void measure_cost(void)
{
    static double without[ROUNDS], ratios[ROUNDS];
    put_for_a_while(1, without);
    for (int round = 0; round < ROUNDS; round++) {
        double with;
        put_for_a_while(1, &without[round]);
        child(follow_times);
        put_for_a_while(1, &with);
        end_children();
        ratios[round] = without[round] / with;
    }
    qsort(ratios, ROUNDS, sizeof *ratios, by_size);
    qsort(without, ROUNDS, sizeof *without, by_size);
    printf("puts beside a watch of other keys\tthe time of one, in those without a watch\t%.2f\t\n", ratios[ROUNDS / 2]);
}

static double cpu_time(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void wait_for_nothing(void)
{
    luat_kv_page *page;
    open_store();
    luat_kv_watch *watch = open_watch("watched:");
    double before = cpu_time();
    luat_kv_watch_next(watch, 10000, &page, NULL);
    shared->cpu = (cpu_time() - before) / 10e6;
    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
}

/* ---- A slow one */

static long memory(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        fail("/proc/self/statm", "cannot be read");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void follow_slowly(void)
{
    luat_kv_page *page;
    open_store();
    luat_kv_watch *watch = open_watch("other:");
    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
    for (int round = 0; round < ROUNDS; round++) {
        sleep(1);
        if (luat_kv_watch_next(watch, 10000, &page, NULL) == LUAT_KV_OK) {
            shared->changes = (long)luat_kv_page_len(page);
            luat_kv_page_free(page);
        }
        if (round == 0)
            shared->memory_before = memory();
    }
    shared->memory_after = memory();
}

static int measure_url(int argc, char **argv)
{
    static double delays[CHANGES];
    snprintf(path, sizeof path, "%s", argc > 1 ? argv[1] : "");
    if (argc == 3 && strcmp(argv[2], "wait") == 0) {
        luat_kv_page *page;
        open_store();
        luat_kv_watch *watch = open_watch("watched:");
        puts("waits");
        fflush(stdout);
        luat_kv_watch_next(watch, -1, &page, NULL);
        return 0;
    }
    int changes = argc == 5 ? atoi(argv[3]) : 0;
    if (changes < 1 || changes > CHANGES || strcmp(argv[2], "delay") != 0)
        fail("usage", "watch FOLDER, watch URL delay CHANGES PAUSE, or watch URL wait");
    make_changes(changes, (unsigned)atoi(argv[4]), true, delays);
    printf("%.2f %.2f\n", delays[changes / 2] / 1000, delays[changes * 99 / 100] / 1000);
    return 0;
}

int main(int argc, char **argv)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("mmap", "no memory");
    if (argc != 2)
        return measure_url(argc, argv);
    snprintf(path, sizeof path, "%s/kv.db", argv[1]);
    measure_delay();
    measure_many();
    measure_cost();
    child(wait_for_nothing);
    end_children();
    printf("a watch that waits\tits share of a core\t%.3f\t%%\n", shared->cpu * 100);
    double rate;
    child(follow_slowly);
    put_for_a_while(ROUNDS + 1, &rate);
    end_children();
    printf("a watch that is asked once a second\tputs of the writer\t%.0f\tper second\n", rate);
    printf("a watch that is asked once a second\tchanges it is told of\t%ld\tkeys\n", shared->changes);
    printf("a watch that is asked once a second\tmemory that it grows by\t%.0f\tkB\n",
           (double)(shared->memory_after - shared->memory_before) / 1000);
    return 0;
}
