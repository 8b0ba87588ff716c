/*
 * Threads that all run one function, each with its number.
 */
#ifndef THREADS_H
#define THREADS_H

#include "check.h"

#include <pthread.h>

enum { THREADS = 8 };

/* Threads of a host may have small stacks: this is musl's default, a fraction of glibc's. */
#ifdef __SANITIZE_ADDRESS__ /* its frames are several times as large */
enum { THREAD_STACK = 512 * 1024 };
#else
enum { THREAD_STACK = 128 * 1024 };
#endif

struct thread {
    pthread_t id;
    int number;
    void (*body)(int number);
};

static inline void *thread_run(void *argument)
{
    struct thread *thread = argument;
    thread->body(thread->number);
    return NULL;
}

static inline void threads_start(struct thread threads[], int count, void (*body)(int number))
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, THREAD_STACK) == 0);
    for (int number = 0; number < count; number++) {
        threads[number].number = number;
        threads[number].body = body;
        CHECK(pthread_create(&threads[number].id, &attributes, thread_run, &threads[number]) == 0);
    }
    pthread_attr_destroy(&attributes);
}

static inline void threads_join(struct thread threads[], int count)
{
    for (int number = 0; number < count; number++)
        CHECK(pthread_join(threads[number].id, NULL) == 0);
}

static inline void threads_run(int count, void (*body)(int number))
{
    struct thread threads[THREADS];
    threads_start(threads, count, body);
    threads_join(threads, count);
}

/* Sets a flag for other threads. */
static inline void set(int *flag, int value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static inline bool is_set(const int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

#endif
