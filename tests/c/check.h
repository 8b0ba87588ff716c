/*
 * The asserts of the C suite, and the runner that prints TAP (testanything.org). To be included before anything else.
 *
 * An assert that fails says where and why, and goes on: every luat_kv_* function takes the NULLs that a failed one
 * leaves. Asserts work in any thread; those of a child process (process.h) fail the test through its exit status.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* nftw, realpath */
#endif

#include <ftw.h>
#include <limits.h>
#include <luat_kv.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Failures */

/* How many asserts failed in this process. */
static int check_failures;

/* What a call must overwrite: outputs are filled with it before. */
static char check_garbage;
#define GARBAGE ((void *)&check_garbage)

__attribute__((format(printf, 3, 4)))
static inline void check_fail(const char *file, int line, const char *format, ...)
{
    enum { SHOWN = 8 };
    char text[2048];
    va_list arguments;
    if (__sync_add_and_fetch(&check_failures, 1) > SHOWN)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* No stdio: after a fork, its locks and buffers are another process's. */
    dprintf(STDOUT_FILENO, "# %s:%d: %s\n", file, line, text);
}

#define CHECK(condition) \
    ((condition) ? (void)0 : check_fail(__FILE__, __LINE__, "%s", #condition))

/* ---- Statuses. The call is to take &error, which is the macro's own; or NULL. */

#define CHECK_STATUS(call, expected) CHECK_REFUSED(call, expected, "")

/* The same, and the error's message holds these words. */
#define CHECK_REFUSED(call, expected, words) \
    do { \
        luat_kv_error *error = GARBAGE; \
        luat_kv_status status_ = (call); \
        check_status(status_, expected, error, words, #call, __FILE__, __LINE__); \
        (void)&error; \
    } while (0)

/* The number of the system's error in a message, as in "(os error 2)"; 0 for none. The last one counts, since paths stand
 * before it. */
static inline int check_errno_in(const char *message)
{
    int number = 0;
    for (const char *at = message; (at = strstr(at, "(os error ")); at++)
        number = atoi(at + strlen("(os error "));
    return number;
}

static inline void check_status(luat_kv_status status, luat_kv_status expected, luat_kv_error *error,
                                const char *words, const char *call, const char *file, int line)
{
    bool told = error != GARBAGE;
    const char *message = told ? luat_kv_error_message(error) : "";
    if (status != expected)
        check_fail(file, line, "%s is %s, not %s: %s", call, luat_kv_status_str(status), luat_kv_status_str(expected),
                   message);
    else if (told && (error != NULL) != (status < 0))
        check_fail(file, line, "%s is %s, with%s error object", call, luat_kv_status_str(status),
                   error ? " an" : "out");
    else if (told && error && luat_kv_error_status(error) != status)
        check_fail(file, line, "%s: the error's status is %d", call, luat_kv_error_status(error));
    else if (told && error && (*message == '\0' || strchr(message, '\n')))
        check_fail(file, line, "%s: the message is not one line: %s", call, message);
    else if (luat_kv_error_errno(told ? error : NULL) != check_errno_in(message))
        check_fail(file, line, "%s: the error's number is %d: %s", call, luat_kv_error_errno(error), message);
    else if (!strstr(message, words))
        check_fail(file, line, "%s: \"%s\" does not say \"%s\"", call, message, words);
    if (told)
        luat_kv_error_free(error);
}

/* ---- Bytes */

#define CHECK_BYTES(data, len, literal) check_bytes(data, len, LUAT_KV_TEXT(literal), __FILE__, __LINE__)

/* What an accessor (luat_kv_entry_key, ...) answers for an object. */
#define CHECK_VIEW(view, object, literal) \
    do { \
        size_t len_ = SIZE_MAX; \
        const uint8_t *data_ = view(object, &len_); \
        CHECK_BYTES(data_, len_, literal); \
    } while (0)

#define CHECK_NO_VIEW(view, object) \
    do { \
        size_t len_ = SIZE_MAX; \
        const uint8_t *data_ = view(object, &len_); \
        CHECK(data_ == NULL && len_ == 0); \
        CHECK(view(object, NULL) == NULL); \
    } while (0)

/* Bytes as text for people: \x00 for what cannot be printed, and cut when they are many. */
static inline const char *check_shown(const void *data, size_t len, char shown[200])
{
    const uint8_t *bytes = (const uint8_t *)data; /* which C++ asks for */
    size_t end = 0;
    shown[0] = '\0';
    for (size_t at = 0; bytes && at < len && end < 190; at++)
        end += (size_t)sprintf(shown + end, bytes[at] < ' ' || bytes[at] > '~' ? "\\x%02x" : "%c", bytes[at]);
    return shown;
}

static inline void check_bytes(const void *data, size_t len, const void *expected, size_t expected_len,
                               const char *file, int line)
{
    char shown[200], wanted[200];
    if (data != NULL && len == expected_len && memcmp(data, expected, len) == 0)
        return;
    check_fail(file, line, "%s\"%s\" (%zu bytes), not \"%s\" (%zu bytes)", data ? "" : "NULL ",
               check_shown(data, len, shown), len, check_shown(expected, expected_len, wanted), expected_len);
}

/* ---- Scratch folders: each test has an empty one of its own; all go when the program is done */

static char check_root[PATH_MAX];
static int check_count;

/* The path of a file in this test's folder; good until this thread asks for fifteen more, or ends. */
static inline char *scratch(const char *name)
{
    /* They are short: a thread's own data are taken from its stack, which may be small. */
    static __thread char paths[16][512];
    static __thread unsigned next;
    char *path = paths[next++ % 16];
    int len = snprintf(path, sizeof paths[0], "%s/%d/%s", check_root, check_count, name);
    CHECK(len > 0 && (size_t)len < sizeof paths[0]);
    return path;
}

static inline void check_make_folder(void)
{
    const char *where = getenv("TMPDIR");
    if (!*check_root) {
        snprintf(check_root, sizeof check_root, "%s/luat_kv.XXXXXX", where && *where ? where : "/tmp");
        if (!mkdtemp(check_root)) {
            perror(check_root);
            exit(1);
        }
    }
    CHECK(mkdir(scratch(""), 0700) == 0);
}

static inline int check_remove(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

/* ---- Tests. main() calls check_tests(), as often as it likes, and returns check_done(). */

struct check_test {
    const char *name;
    void (*run)(void);
};

#define TEST(function) { #function, function }

/* Runs a table of tests. `on`, which may be "", tells runs of one table apart. */
#define check_tests(on, tests) check_table(on, tests, sizeof tests / sizeof *tests)

static int check_failed;

/* Why the test that runs cannot be run on this machine. */
static const char *check_skipped;

static inline void check_skip(const char *reason)
{
    check_skipped = reason;
}

/* A test takes a few seconds; one that takes this long hangs. (Under sanitizers all takes longer.) */
#ifndef CHECK_PATIENCE
#define CHECK_PATIENCE 90
#endif

static inline void check_hangs(int signal)
{
    static const char text[] = "not ok - it hangs, and so the rest was not run\n";
    (void)signal;
    _exit(write(STDOUT_FILENO, text, sizeof text - 1) < 0 ? 3 : 2);
}

static inline void check_table(const char *on, const struct check_test *tests, size_t count)
{
    signal(SIGALRM, check_hangs);
    for (const struct check_test *test = tests; test < tests + count; test++) {
        char name[200];
        snprintf(name, sizeof name, "%s%s%s", on, *on ? ": " : "", test->name);
        for (char *at = name; *at; at++)
            if (*at == '_')
                *at = ' ';
        check_failures = 0;
        check_skipped = NULL;
        check_count++;
        check_make_folder();
        alarm(CHECK_PATIENCE);
        test->run();
        alarm(0);
        check_failed += check_failures > 0;
        dprintf(STDOUT_FILENO, "%sok %d - %s%s%s\n", check_failures ? "not " : "", check_count, name,
                check_skipped ? " # SKIP " : "", check_skipped ? check_skipped : "");
    }
}

/* Removes the scratch folders, ends the TAP, and answers main()'s exit status. */
static inline int check_done(void)
{
    nftw(check_root, check_remove, 16, FTW_DEPTH | FTW_PHYS);
    dprintf(STDOUT_FILENO, "1..%d\n", check_count);
    return check_failed > 0;
}

#endif
