/*
 * Records what a process does to the files of one folder: loaded by LD_PRELOAD, it appends an event to a log for each
 * call that succeeded. The checker (../power.rs) derives from that log the states that a power failure could leave.
 *
 * POWER_ROOT: the folder, as an absolute path. Changes elsewhere, and to -shm files, are not recorded.
 * POWER_LOG: the log. It also contains, in order, what the process writes to stdout (its acknowledgements).
 * POWER_FAIL: "7" makes the 7th sync of a log file (-wal) fail with EIO; "7+", that one and all after it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The same numbers as in power/log.rs. */
enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, LINK, UNLINK, MKDIR, SYNC_FOLDER, TOLD };

/* An event in the log; then follow `len` and `len2` bytes: a path or contents, and a second path. */
struct event {
    uint32_t kind;
    uint32_t file; /* a number for each file that was ever made */
    uint64_t offset;
    uint32_t len, len2;
};

enum { FILES = 4096 };

/* Inode numbers are used again, so the newest entry with a number counts. */
static struct file {
    dev_t dev;
    ino_t ino;
    int is_wal;
} files[FILES];
static uint32_t file_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static int log_fd = -1;
static long syncs, fail_at, fail_on;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

/* A recorder that cannot record makes no test pass. */
static void give_up(const char *why)
{
    dprintf(2, "recorder: %s: %s\n", why, strerror(errno));
    abort();
}

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("POWER_LOG"), *fail = getenv("POWER_FAIL");
    root = getenv("POWER_ROOT");
    if (fail) {
        fail_at = atol(fail);
        fail_on = strchr(fail, '+') != NULL;
    }
    if (root && log && (log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
        give_up(log);
}

static void record(enum kind kind, uint32_t file, uint64_t offset, const void *data, size_t len, const char *path2)
{
    size_t len2 = path2 ? strlen(path2) : 0;
    struct event event = { kind, file, offset, (uint32_t)len, (uint32_t)len2 };
    struct iovec parts[] = { { &event, sizeof event }, { (void *)data, len }, { (void *)path2, len2 } };
    if (REAL(writev)(log_fd, parts, 3) != (ssize_t)(sizeof event + len + len2))
        give_up("writing the log");
}

static int ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* The absolute path of a name in an open folder. */
static const char *path_at(int folder, const char *name, char path[PATH_MAX])
{
    char link[64];
    if (folder == AT_FDCWD || name[0] == '/')
        return name;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t len = readlink(link, path, PATH_MAX);
    if (len < 0 || (size_t)snprintf(path + len, (size_t)(PATH_MAX - len), "/%s", name) >= (size_t)(PATH_MAX - len))
        give_up(link);
    return path;
}

#define AT(folder, name) path_at(folder, name, (char[PATH_MAX]){ 0 })

/* Is it a path within the folder? The library uses none that are relative to the working directory. */
static int is_ours(const char *path)
{
    size_t len = root ? strlen(root) : 0;
    return log_fd >= 0 && path && strncmp(path, root, len) == 0 && (path[len] == '/' || !path[len]) &&
           !ends_with(path, "-shm");
}

/* The number of an open file; 0 for one that is not recorded. */
static uint32_t number_of(int fd)
{
    struct stat found;
    if (log_fd < 0 || fd == log_fd || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode))
        return 0;
    for (uint32_t number = file_count; number > 0; number--)
        if (files[number].dev == found.st_dev && files[number].ino == found.st_ino)
            return number;
    return 0;
}

static void record_path(enum kind kind, const char *path)
{
    if (is_ours(path))
        record(kind, 0, 0, path, strlen(path), NULL);
}

/* ---- Opening */

static int opened(int fd, const char *path, int flags, int was_there)
{
    struct stat found;
    if (fd < 0 || !is_ours(path) || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode))
        return fd;
    if (!was_there) {
        if (++file_count == FILES)
            give_up("too many files");
        files[file_count] = (struct file){ found.st_dev, found.st_ino, ends_with(path, "-wal") };
        record(CREATE, file_count, 0, path, strlen(path), NULL);
    } else if (flags & O_TRUNC) {
        record(TRUNCATE, number_of(fd), 0, NULL, 0, NULL);
    }
    return fd;
}

#define OPEN(name, arguments, path) \
    { \
        mode_t mode = 0; \
        if (flags & O_CREAT) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        pthread_mutex_lock(&lock); \
        const char *full = path; \
        int was_there = access(full, F_OK) == 0; \
        int fd = opened(REAL(name) arguments, full, flags, was_there); \
        int why = errno; \
        pthread_mutex_unlock(&lock); \
        errno = why; \
        return fd; \
    }

int open(const char *path, int flags, ...) OPEN(open, (path, flags, mode), path)
int open64(const char *path, int flags, ...) OPEN(open64, (path, flags, mode), path)
int openat(int at, const char *path, int flags, ...) OPEN(openat, (at, path, flags, mode), AT(at, path))
int openat64(int at, const char *path, int flags, ...) OPEN(openat64, (at, path, flags, mode), AT(at, path))

/* ---- Contents */

static ssize_t wrote(ssize_t len, int fd, off_t offset, const void *data)
{
    uint32_t number = number_of(fd);
    if (len > 0 && number)
        record(WRITE, number, (uint64_t)offset, data, (size_t)len, NULL);
    else if (len > 0 && fd == 1 && log_fd >= 0)
        record(TOLD, 0, 0, data, (size_t)len, NULL);
    return len;
}

#define WRITING(call, offset, data) \
    { \
        pthread_mutex_lock(&lock); \
        off_t before = offset; \
        ssize_t len = wrote(call, fd, before, data); \
        int why = errno; \
        pthread_mutex_unlock(&lock); \
        errno = why; \
        return len; \
    }

static off_t place_of(int fd)
{
    struct stat found;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && flags & O_APPEND && fstat(fd, &found) == 0 ? found.st_size : lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t len_) WRITING(REAL(write)(fd, data, len_), place_of(fd), data)
ssize_t pwrite(int fd, const void *data, size_t len_, off_t at) WRITING(REAL(pwrite)(fd, data, len_, at), at, data)
ssize_t pwrite64(int fd, const void *data, size_t len_, off64_t at) WRITING(REAL(pwrite64)(fd, data, len_, at), at, data)

/* One part is enough: a short write is allowed. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    int at = 0;
    while (at < count - 1 && parts[at].iov_len == 0)
        at++;
    return count > 0 ? write(fd, parts[at].iov_base, parts[at].iov_len) : 0;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    int at = 0;
    while (at < count - 1 && parts[at].iov_len == 0)
        at++;
    return count > 0 ? pwrite(fd, parts[at].iov_base, parts[at].iov_len, offset) : 0;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(fd, parts, count, offset);
}

#define THEN(call, done) \
    { \
        pthread_mutex_lock(&lock); \
        int status = call; \
        int why = errno; \
        if (status == 0) { \
            done; \
        } \
        pthread_mutex_unlock(&lock); \
        errno = why; \
        return status; \
    }

static void record_file(enum kind kind, int fd, off_t offset)
{
    uint32_t number = number_of(fd);
    if (number)
        record(kind, number, (uint64_t)offset, NULL, 0, NULL);
}

int ftruncate(int fd, off_t len) THEN(REAL(ftruncate)(fd, len), record_file(TRUNCATE, fd, len))
int ftruncate64(int fd, off64_t len) THEN(REAL(ftruncate64)(fd, len), record_file(TRUNCATE, fd, len))

static void record_sync(int fd)
{
    struct stat found;
    char link[64], path[4096];
    record_file(SYNC, fd, 0);
    if (log_fd < 0 || fstat(fd, &found) != 0 || !S_ISDIR(found.st_mode))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        give_up(link);
    path[len] = '\0';
    record_path(SYNC_FOLDER, path);
}

static int must_fail(int fd)
{
    uint32_t number = number_of(fd);
    if (!fail_at || !number || !files[number].is_wal)
        return 0;
    syncs++;
    return syncs == fail_at || (fail_on && syncs > fail_at);
}

#define SYNCING(name) THEN(must_fail(fd) ? (errno = EIO, -1) : REAL(name)(fd), record_sync(fd))

int fsync(int fd) SYNCING(fsync)
int fdatasync(int fd) SYNCING(fdatasync)

/* ---- Names */

static void record_pair(enum kind kind, const char *from, const char *to)
{
    if (is_ours(from) != is_ours(to))
        give_up("a name comes from elsewhere, or goes there");
    if (is_ours(from))
        record(kind, 0, 0, from, strlen(from), to);
}

int rename(const char *from, const char *to) THEN(REAL(rename)(from, to), record_pair(RENAME, from, to))
int renameat(int at, const char *from, int at2, const char *to)
    THEN(REAL(renameat)(at, from, at2, to), record_pair(RENAME, AT(at, from), AT(at2, to)))
int renameat2(int at, const char *from, int at2, const char *to, unsigned flags)
    THEN(REAL(renameat2)(at, from, at2, to, flags), record_pair(RENAME, AT(at, from), AT(at2, to)))
int link(const char *from, const char *to) THEN(REAL(link)(from, to), record_pair(LINK, from, to))
int linkat(int at, const char *from, int at2, const char *to, int flags)
    THEN(REAL(linkat)(at, from, at2, to, flags), record_pair(LINK, AT(at, from), AT(at2, to)))
int unlink(const char *path) THEN(REAL(unlink)(path), record_path(UNLINK, path))
int unlinkat(int at, const char *path, int flags) THEN(REAL(unlinkat)(at, path, flags), record_path(UNLINK, AT(at, path)))
int mkdir(const char *path, mode_t mode) THEN(REAL(mkdir)(path, mode), record_path(MKDIR, path))
int mkdirat(int at, const char *path, mode_t mode) THEN(REAL(mkdirat)(at, path, mode), record_path(MKDIR, AT(at, path)))

/* Some calls are made by their number. */
long syscall(long number, ...)
{
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int at = 0; at < 6; at++)
        a[at] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_renameat2)
        return renameat2((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], (unsigned)a[4]);
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
