/* Preloaded where instructions are counted: time stands still, since what a program does may depend on it. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){.tv_sec = 1800000000};
    return 0;
}

time_t time(time_t *to)
{
    if (to)
        *to = 1800000000;
    return 1800000000;
}
