/*
 * For an interpreter that runs the tests: its time and that of the module are ahead of the system's by the number of
 * seconds in the file TEST_CLOCK, a number of eight bytes, which the tests write (see support.lua). This library is
 * loaded with LD_PRELOAD; processes that the interpreter starts run without it.
 */
#define _GNU_SOURCE
#include "../c/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *ahead = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *clock_ahead, PROT_READ, MAP_SHARED, file, 0);
    if (ahead == MAP_FAILED) {
        perror("TEST_CLOCK");
        exit(1);
    }
    close(file);
    clock_ahead = ahead;
    unsetenv("LD_PRELOAD");
}
