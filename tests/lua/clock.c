/*
 * For an interpreter that runs the tests: its time and that of the module are ahead of the system's by the number of
 * seconds in the file TEST_CLOCK, a number of eight bytes, which the tests write (see support.lua). This library is
 * loaded with LD_PRELOAD; processes that the interpreter starts run without it. A PostgreSQL server can have the same
 * clock (tests/postgres/with-server --clock); it reads its own by gettimeofday.
 */
#define _GNU_SOURCE
#include "../c/clock.h"

#include <sys/time.h>

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    unsetenv("LD_PRELOAD");
}
