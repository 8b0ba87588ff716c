/*
 * Child processes: forked ones, which run a function, and spawned ones, which run a program (this one again, or the
 * sqlite3 shell). Each ends by itself if it takes too long.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "kv.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

enum { CHILD_PATIENCE = CHECK_PATIENCE / 3 };

/* On a machine that has much to do, others may hold the file for long. */
static inline struct kv kv_open_patiently(const char *path)
{
    const luat_kv_open_options options = kv_open_options(0, CHILD_PATIENCE * 1000);
    luat_kv_store *store = NULL;
    CHECK_STATUS(luat_kv_open(path, &options, &store, &error), LUAT_KV_OK);
    return kv_over(store);
}

/* ---- Forked children: asserts that fail in the child fail the test when it is joined. */

static inline pid_t child_start(void (*body)(void *), void *context)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(CHILD_PATIENCE);
        check_failures = 0;
        body(context);
        _exit(check_failures > 0);
    }
    CHECK(child > 0);
    return child;
}

/* The child's exit status; 128 plus the signal's number if a signal ended it, as in a shell. */
static inline int child_status(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define child_join(child) CHECK(child_status(child) == 0)

static inline void child_run(void (*body)(void *), void *context)
{
    child_join(child_start(body, context));
}

/* ---- Spawned children, with pipes to their standard input and from their standard output. A spawn is not a fork: no
   fork handler runs, and the handles of this process are not affected. */

struct process {
    pid_t id;
    int in, out;
};

/* The absolute path of this program. main() sets it with process_main(). */
static char process_self[PATH_MAX];

static inline struct process process_start(const char *const arguments[])
{
    struct process process = { -1, -1, -1 };
    int in[2], out[2];
    posix_spawn_file_actions_t actions;
    if (pipe(in) != 0 || pipe(out) != 0) {
        CHECK(!"a pipe");
        return process;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    for (int end = 0; end < 2; end++) { /* other children must not inherit them */
        fcntl(in[end], F_SETFD, FD_CLOEXEC);
        fcntl(out[end], F_SETFD, FD_CLOEXEC);
    }
    int failed = posix_spawnp(&process.id, arguments[0], &actions, NULL, (char *const *)arguments, environ);
    if (failed)
        check_fail(__FILE__, __LINE__, "%s: %s", arguments[0], strerror(failed));
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    process.in = in[1];
    process.out = out[0];
    return process;
}

#define process_start_self(...) process_start((const char *const[]){ process_self, __VA_ARGS__, NULL })

static inline void process_write(struct process process, const char *text)
{
    CHECK(write(process.in, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Reads a line, without its line break. Returns false at the end. */
static inline bool process_read(struct process process, char *line, size_t size)
{
    size_t len = 0;
    char byte = '\0';
    while (len + 1 < size && read(process.out, &byte, 1) == 1 && byte != '\n')
        line[len++] = byte;
    line[len] = '\0';
    return len > 0 || byte == '\n';
}

/* Waits for its end, and returns its exit status. Its remaining output goes into the TAP as comments. */
static inline int process_end(struct process process)
{
    char line[2048];
    close(process.in);
    while (process_read(process, line, sizeof line))
        dprintf(STDOUT_FILENO, "# %s\n", line);
    close(process.out);
    return child_status(process.id);
}

/* ---- What this program does when it has spawned itself: WORK PATH PREFIX COUNT. It prints each number that was
   acknowledged. */

/* Puts PREFIX0, PREFIX1, ... into one store that stays open. */
static inline void work_write(const char *path, const char *prefix, int count)
{
    struct kv kv = kv_open_patiently(path);
    for (int number = 0; number < count; number++) {
        CHECK_STATUS(kv_put_number(kv.ns, prefix, number, &error), LUAT_KV_OK);
        dprintf(STDOUT_FILENO, "%d\n", number);
    }
    kv_close(kv);
}

/* The same, but opens and closes the store for each. */
static inline void work_churn(const char *path, const char *prefix, int count)
{
    for (int number = 0; number < count; number++) {
        struct kv kv = kv_open_patiently(path);
        CHECK_STATUS(kv_put_number(kv.ns, prefix, number, &error), LUAT_KV_OK);
        kv_close(kv);
        dprintf(STDOUT_FILENO, "%d\n", number);
    }
}

/* Opens the store, empties its log into it, and closes the store, repeatedly. */
static inline void work_checkpoint(const char *path, const char *unused, int count)
{
    (void)unused;
    for (int number = 0; number < count; number++) {
        struct kv kv = kv_open_patiently(path);
        CHECK_STATUS(luat_kv_checkpoint(kv.store, NULL, &error), LUAT_KV_OK);
        kv_close(kv);
    }
}

/* To be called first by main(). Does not return if this is a child with work to do. */
static inline void process_main(int argc, char **argv)
{
    if (!realpath(argv[0], process_self))
        perror(argv[0]);
    if (argc != 5)
        return;
    alarm(CHILD_PATIENCE);
    void (*work)(const char *, const char *, int) = strcmp(argv[1], "churn") == 0        ? work_churn
                                                    : strcmp(argv[1], "checkpoint") == 0 ? work_checkpoint
                                                                                         : work_write;
    work(argv[2], argv[3], atoi(argv[4]));
    exit(check_failures > 0);
}

/* Reads a worker's output to its end, and returns how many numbers it has reported as written. */
static inline int process_written(struct process process)
{
    char line[2048];
    int written = 0;
    while (process_read(process, line, sizeof line)) {
        if (*line == '#')
            dprintf(STDOUT_FILENO, "%s\n", line);
        else
            written = atoi(line) + 1;
    }
    CHECK(process_end(process) == 0);
    return written;
}

/* ---- The sqlite3 shell: SQLite in another program */

/* The first line of the result of some SQL. */
static inline const char *sqlite_answer(const char *path, const char *sql)
{
    static char line[2048];
    struct process shell = process_start((const char *const[]){ "sqlite3", path, sql, NULL });
    process_read(shell, line, sizeof line);
    CHECK(process_end(shell) == 0);
    return line;
}

#define CHECK_INTEGRITY(path) CHECK(strcmp(sqlite_answer(path, "PRAGMA integrity_check"), "ok") == 0)

#endif
