/*
 * A clock that a test moves: this program's own time and clock_gettime replace those of the C library, also for the
 * code under test. Forked children have their own clock, which starts as their parent's.
 */
#ifndef CLOCK_H
#define CLOCK_H

#ifndef _GNU_SOURCE
#error "_GNU_SOURCE is to be defined before anything is included"
#endif

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#define CLOCK_C extern "C"
#define CLOCK_NOEXCEPT noexcept
#else
#define CLOCK_C
#define CLOCK_NOEXCEPT
#endif

/* How many seconds the clock is ahead of the system's. */
static int64_t clock_own, *clock_ahead = &clock_own;

static inline void clock_advance(int64_t seconds)
{
    *clock_ahead += seconds;
}

/* If there is a file TEST_CLOCK, takes over its clock, which a server has too (tests/postgres/with-server). */
__attribute__((constructor)) static void clock_share(void)
{
    const char *path = getenv("TEST_CLOCK");
    if (!path)
        return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    void *ahead = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *clock_ahead, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ahead == MAP_FAILED) {
        perror("TEST_CLOCK");
        exit(1);
    }
    close(file);
    clock_ahead = (int64_t *)ahead;
}

/* CLOCK_MONOTONIC is unchanged, since the kernel compares it with the end of a wait. */
CLOCK_C int clock_gettime(clockid_t clock, struct timespec *now) CLOCK_NOEXCEPT
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE))
        now->tv_sec += *clock_ahead;
    return failed;
}

CLOCK_C time_t time(time_t *result) CLOCK_NOEXCEPT
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

#endif
