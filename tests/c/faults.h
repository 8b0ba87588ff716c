/*
 * System calls that fail when a test requests it: this program's own open, fcntl, pread and pwrite replace those of the
 * C library, also for the code under test. They also count how long it asks to sleep.
 */
#ifndef FAULTS_H
#define FAULTS_H

#ifndef _GNU_SOURCE
#error "_GNU_SOURCE is to be defined before anything is included"
#endif

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>

enum fault_call { FAULT_NONE, FAULT_OPEN, FAULT_OPEN_TO_WRITE, FAULT_LOCK, FAULT_READ, FAULT_WRITE };

/* The next `times` calls of this kind for a file with this ending fail with `error`. */
static struct {
    enum fault_call call;
    const char *ending;
    int error;
    int times;
} fault;

/* How many calls have failed, and how long the process was asked to sleep, in microseconds. */
static int fault_count;
static long long fault_slept;

static inline void fault_set(enum fault_call call, const char *ending, int error, int times)
{
    fault.call = call;
    fault.ending = ending;
    fault.error = error;
    fault.times = times;
    fault_count = 0;
    fault_slept = 0;
}

static inline void fault_end(void)
{
    fault_set(FAULT_NONE, "", 0, 0);
}

static inline bool fault_hits(enum fault_call call, const char *path)
{
    size_t len = strlen(path), ending = fault.ending ? strlen(fault.ending) : 0;
    if (fault.call != call || fault.times == 0 || len < ending || strcmp(path + len - ending, fault.ending) != 0)
        return false;
    fault.times--;
    fault_count++;
    errno = fault.error;
    return true;
}

static inline bool fault_hits_descriptor(enum fault_call call, int descriptor)
{
    char link[50], path[PATH_MAX];
    if (fault.call != call)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return false;
    path[len] = '\0';
    return fault_hits(call, path);
}

/* A callback before a read: before the next one if `reads` is 1. */
static struct {
    int reads;
    void (*act)(void);
} fault_pause;

static inline void fault_read_begins(void)
{
    if (fault_pause.act && --fault_pause.reads == 0)
        fault_pause.act();
}

static inline int fault_open(const char *path, int flags, mode_t mode)
{
    if (fault_hits(FAULT_OPEN, path) || ((flags & O_ACCMODE) != O_RDONLY && fault_hits(FAULT_OPEN_TO_WRITE, path)))
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define FAULT_OPEN_AS(name, large) \
    int name(const char *path, int flags, ...) \
    { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0; \
        va_end(arguments); \
        return fault_open(path, flags | (large), mode); \
    }

FAULT_OPEN_AS(open, 0)
FAULT_OPEN_AS(open64, O_LARGEFILE)

#define FAULT_FCNTL_AS(name) \
    int name(int descriptor, int command, ...) \
    { \
        va_list arguments; \
        va_start(arguments, command); \
        void *argument = va_arg(arguments, void *); \
        va_end(arguments); \
        if ((command == F_SETLK || command == F_OFD_SETLK) && fault_hits_descriptor(FAULT_LOCK, descriptor)) \
            return -1; \
        return (int)syscall(SYS_fcntl, descriptor, command, argument); \
    }

FAULT_FCNTL_AS(fcntl)
FAULT_FCNTL_AS(fcntl64)

#define FAULT_TRANSFER_AS(name, call, number, bytes) \
    ssize_t name(int descriptor, bytes buffer, size_t len, off_t offset) \
    { \
        if ((call) == FAULT_READ) \
            fault_read_begins(); \
        if (fault_hits_descriptor(call, descriptor)) \
            return -1; \
        return syscall(number, descriptor, buffer, len, offset); \
    }

FAULT_TRANSFER_AS(pread, FAULT_READ, SYS_pread64, void *)
FAULT_TRANSFER_AS(pread64, FAULT_READ, SYS_pread64, void *)
FAULT_TRANSFER_AS(pwrite, FAULT_WRITE, SYS_pwrite64, const void *)
FAULT_TRANSFER_AS(pwrite64, FAULT_WRITE, SYS_pwrite64, const void *)

/* A callback before the process sleeps. */
static void (*fault_before_sleep)(void);

static inline int fault_sleep(const struct timespec *time, struct timespec *left)
{
    if (fault_before_sleep)
        fault_before_sleep();
    fault_slept += (long long)time->tv_sec * 1000000 + time->tv_nsec / 1000;
    return (int)syscall(SYS_nanosleep, time, left);
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    return fault_sleep(time, left);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    (void)clock, (void)flags;
    return fault_sleep(time, left) == 0 ? 0 : errno;
}

int usleep(useconds_t microseconds)
{
    struct timespec time = { microseconds / 1000000, (long)(microseconds % 1000000) * 1000 };
    return fault_sleep(&time, NULL);
}

#endif
