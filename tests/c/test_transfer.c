/*
 * Exports and imports, on both back ends: exact round trips, invalid input, descriptors, and full disks.
 */
#include "backends.h"
#include "process.h"
#include "threads.h"

#include <sys/resource.h>
#include <time.h>

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* What a file holds, as text. */
static const char *file_text(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    CHECK(file && fclose(file) == 0);
    text[len] = '\0';
    return text;
}

#define CHECK_FILE(path, expected) \
    do { \
        const char *text_ = file_text(path); \
        CHECK_BYTES((const uint8_t *)text_, strlen(text_), expected); \
    } while (0)

static luat_kv_namespace *namespace_open(struct kv kv, const char *name)
{
    luat_kv_namespace *ns = NULL;
    CHECK_STATUS(luat_kv_namespace_open(kv.store, TEXT(name), &ns, &error), LUAT_KV_OK);
    return ns;
}

static void check_keys(luat_kv_namespace *ns, uint64_t expected)
{
    uint64_t count = 7;
    CHECK_STATUS(luat_kv_count(ns, LUAT_KV_TEXT(""), &count, &error), LUAT_KV_OK);
    CHECK(count == expected);
}

/* Imports some text with these flags. */
static luat_kv_status import_text(luat_kv_namespace *ns, const char *text, uint32_t flags, uint64_t *stored,
                                  uint64_t *skipped, luat_kv_error **error)
{
    write_file(scratch("import"), text);
    return luat_kv_import(ns, scratch("import"), flags, stored, skipped, error);
}

#define CHECK_IMPORT(ns, text, flags, expected_stored, expected_skipped) \
    do { \
        uint64_t stored_ = 7, skipped_ = 7; \
        CHECK_STATUS(import_text(ns, text, flags, &stored_, &skipped_, &error), LUAT_KV_OK); \
        CHECK(stored_ == (expected_stored) && skipped_ == (expected_skipped)); \
    } while (0)

/* ---- Round trips */

static void put_all_kinds(luat_kv_namespace *ns)
{
    uint8_t all[256];
    luat_kv_put_options options;
    for (int byte = 0; byte < 256; byte++)
        all[byte] = (uint8_t)byte;
    luat_kv_put_options_init(&options, sizeof options);
    CHECK_PUT(ns, "plain", "text");
    CHECK_PUT(ns, "empty", "");
    CHECK_PUT(ns, "quotes \" \\ \n \0 \u00e9 \U0010ffff", "quotes \" \\ \n \r\n \0 \u00e9 \u2028 \U0010ffff");
    CHECK_PUT(ns, "like base64", "AAAA");
    options.expiration = 4000000000;
    CHECK_STATUS(luat_kv_put(ns, LUAT_KV_TEXT("all bytes"), all, sizeof all, &options, &error), LUAT_KV_OK);
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("{\"n\":1.50,\n \"big\":12345678901234567890, \"s\":\"\\u00e9\\n\"}") };
    CHECK_STATUS(luat_kv_put(ns, LUAT_KV_TEXT("metadata"), LUAT_KV_TEXT("\xff"), &options, &error), LUAT_KV_OK);
    options.expiration = 0;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("false") };
    CHECK_STATUS(luat_kv_put(ns, LUAT_KV_TEXT("false"), LUAT_KV_TEXT("x"), &options, &error), LUAT_KV_OK);
}

static bool same_view(const uint8_t *view(const luat_kv_entry *, size_t *), const luat_kv_entry *a,
                      const luat_kv_entry *b)
{
    size_t a_len = 0, b_len = 0;
    const uint8_t *a_data = view(a, &a_len), *b_data = view(b, &b_len);
    if (!a_data || !b_data)
        return a_data == b_data;
    return a_len == b_len && memcmp(a_data, b_data, a_len) == 0;
}

/* Metadata goes on one line; that changes white space only. */
static bool same_metadata(const luat_kv_entry *a, const luat_kv_entry *b)
{
    size_t a_len = 0, b_len = 0;
    const uint8_t *a_data = luat_kv_entry_metadata(a, &a_len), *b_data = luat_kv_entry_metadata(b, &b_len);
    if (!a_data || !b_data || a_len != b_len)
        return a_data == b_data && a_len == b_len;
    for (size_t at = 0; at < a_len; at++)
        if (a_data[at] != b_data[at] && !(a_data[at] == '\n' && b_data[at] == ' '))
            return false;
    return true;
}

static void check_same(luat_kv_namespace *a, luat_kv_namespace *b)
{
    luat_kv_list_options options = kv_list_options("", 10000);
    luat_kv_page *a_page = NULL, *b_page = NULL;
    options.flags = LUAT_KV_LIST_VALUES;
    CHECK_STATUS(luat_kv_list(a, &options, &a_page, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_list(b, &options, &b_page, &error), LUAT_KV_OK);
    CHECK(luat_kv_page_len(a_page) == luat_kv_page_len(b_page));
    for (size_t at = 0; at < luat_kv_page_len(a_page); at++) {
        const luat_kv_entry *one = luat_kv_page_at(a_page, at), *other = luat_kv_page_at(b_page, at);
        CHECK(same_view(luat_kv_entry_key, one, other));
        CHECK(same_view(luat_kv_entry_value, one, other));
        CHECK(same_metadata(one, other));
        CHECK(luat_kv_entry_expiration(one) == luat_kv_entry_expiration(other));
    }
    luat_kv_page_free(a_page);
    luat_kv_page_free(b_page);
}

static void everything_comes_back(void)
{
    static const uint32_t formats[] = { LUAT_KV_FORMAT_JSON, LUAT_KV_FORMAT_JSON_LINES };
    for (int at = 0; at < 2; at++) {
        struct kv from = open_default(), to = kv_memory();
        uint64_t count = 7, stored = 7, skipped = 7;
        put_all_kinds(from.ns);
        CHECK_STATUS(luat_kv_export(from.ns, scratch("export"), formats[at], &count, &error), LUAT_KV_OK);
        CHECK(count == 7);
        CHECK_STATUS(luat_kv_import(to.ns, scratch("export"), 0, &stored, &skipped, &error), LUAT_KV_OK);
        CHECK(stored == 7 && skipped == 0);
        check_same(from.ns, to.ns);
        luat_kv_namespace *back = namespace_open(from, "back");
        CHECK_STATUS(luat_kv_import(back, scratch("export"), 0, &stored, &skipped, &error), LUAT_KV_OK);
        check_same(from.ns, back);
        CHECK_STATUS(luat_kv_clear(back, NULL, &error), LUAT_KV_OK);
        luat_kv_namespace_free(back);
        kv_close(from);
        kv_close(to);
    }
}

static void the_formats_are_as_they_are_told(void)
{
    struct kv kv = open_default();
    luat_kv_put_options options;
    luat_kv_put_options_init(&options, sizeof options);
    uint64_t count = 7;
    CHECK_STATUS(luat_kv_export(kv.ns, scratch("json"), LUAT_KV_FORMAT_JSON, &count, &error), LUAT_KV_OK);
    CHECK(count == 0);
    CHECK_STATUS(luat_kv_export(kv.ns, scratch("lines"), LUAT_KV_FORMAT_JSON_LINES, NULL, &error), LUAT_KV_OK);
    CHECK_FILE(scratch("lines"), "");
    CHECK_IMPORT(kv.ns, file_text(scratch("json")), 0, 0, 0); /* none is an export too */

    options.expiration = 4000000000;
    options.metadata = (luat_kv_bytes){ LUAT_KV_TEXT("{\"a\": 1}") };
    CHECK_STATUS(luat_kv_put(kv.ns, LUAT_KV_TEXT("b"), LUAT_KV_TEXT("\xff"), &options, &error), LUAT_KV_OK);
    CHECK_PUT(kv.ns, "a", "1");
    CHECK_STATUS(luat_kv_export(kv.ns, scratch("json"), LUAT_KV_FORMAT_JSON, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_export(kv.ns, scratch("lines"), LUAT_KV_FORMAT_JSON_LINES, NULL, &error), LUAT_KV_OK);
#define A "{\"key\":\"a\",\"value\":\"1\"}"
#define B "{\"key\":\"b\",\"value\":\"/w==\",\"expiration\":4000000000,\"metadata\":{\"a\": 1},\"base64\":true}"
    CHECK_FILE(scratch("json"), "[\n" A ",\n" B "\n]\n");
    CHECK_FILE(scratch("lines"), A "\n" B "\n");
#undef A
#undef B
    kv_close(kv);
}

/* ---- What an import does */

static void what_is_there_stays_unless_it_is_to_be_replaced(void)
{
    static const char text[] = "{\"key\":\"a\",\"value\":\"new\"}\n{\"key\":\"b\",\"value\":\"new\"}\n";
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "a", "old");
    CHECK_IMPORT(kv.ns, text, 0, 1, 1);
    CHECK_VALUE(kv.ns, "a", "old");
    CHECK_VALUE(kv.ns, "b", "new");
    CHECK_IMPORT(kv.ns, text, LUAT_KV_IMPORT_REPLACE, 2, 0);
    CHECK_VALUE(kv.ns, "a", "new");
    CHECK_STATUS(import_text(kv.ns, text, 0, NULL, NULL, &error), LUAT_KV_OK);
    kv_close(kv);
}

static void what_has_expired_is_left_out(void)
{
    struct kv kv = open_default();
    CHECK_IMPORT(kv.ns,
                 "[{\"key\":\"past\",\"value\":\"x\",\"expiration\":1000},"
                 "{\"key\":\"later\",\"value\":\"x\",\"expiration\":4000000000},"
                 "{\"key\":\"ttl\",\"value\":\"x\",\"expiration_ttl\":1000}]",
                 LUAT_KV_IMPORT_REPLACE, 2, 1);
    CHECK_MISSING(kv.ns, "past");
    CHECK_PUT(kv.ns, "past", "it was here");
    CHECK_IMPORT(kv.ns, "{\"key\":\"past\",\"value\":\"x\",\"expiration\":1000}", 0, 0, 1);
    CHECK_VALUE(kv.ns, "past", "it was here");
    CHECK_IMPORT(kv.ns, "{\"key\":\"past\",\"value\":\"x\",\"expiration\":1000}", LUAT_KV_IMPORT_REPLACE, 0, 1);
    CHECK_MISSING(kv.ns, "past"); /* since it was to be replaced, and what by is over */
    luat_kv_entry *later = kv_entry(kv.ns, "later"), *ttl = kv_entry(kv.ns, "ttl");
    CHECK(luat_kv_entry_expiration(later) == 4000000000);
    CHECK(luat_kv_entry_expiration(ttl) > 0 && luat_kv_entry_expiration(ttl) < 4000000000);
    luat_kv_entry_free(later);
    luat_kv_entry_free(ttl);
    kv_close(kv);
}

static void a_broken_line_is_named_and_nothing_imported(void)
{
#define GOOD "{\"key\":\"a\",\"value\":\"1\"}"
    static const struct {
        const char *text, *words;
        luat_kv_status status;
    } cases[] = {
        { GOOD "\n" GOOD "\n{\"key\":\"b\"}\n", "line 3", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"b\",\"value\":1}\n", "line 2", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"b\",\"vaule\":\"1\"}\n", "missing field `value`", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"\",\"value\":\"1\"}\n", "line 2", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"b\",\"value\":\"!\",\"base64\":true}\n", "line 2", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"b\",\"value\":\"1\",\"metadata\":null}\n" GOOD "\n{", "line 4", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"b\",\"value\":\"1\",\"expiration_ttl\":0}\n", "line 2", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"b\",\"val", "line 2", LUAT_KV_INVALID },
        { GOOD "\nthis is no JSON\n", "line 2", LUAT_KV_INVALID },
        { GOOD "\n{\"key\":\"\xff\",\"value\":\"1\"}\n", "line 2", LUAT_KV_INVALID },
        { "[\n" GOOD ",\n" GOOD ",\n]\n", "line 4", LUAT_KV_INVALID },
        { "[\n" GOOD "\n]\nmore\n", "line 4", LUAT_KV_INVALID },
        { "[\n" GOOD ",\n\n{\"key\":\"b\",\"value\":\"!\",\"base64\":true}]\n", "line 4", LUAT_KV_INVALID },
        { "[\n" GOOD, "line 2", LUAT_KV_INVALID },
        { "7", "line 1", LUAT_KV_INVALID },
        { "", "empty", LUAT_KV_INVALID },
        { "\n\n", "empty", LUAT_KV_INVALID },
        { "[\n{\n\"key\": \"b\",\n\"value\": 5\n}\n]\n", "line 4", LUAT_KV_INVALID },
    };
#undef GOOD
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "a", "as before");
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        uint64_t stored = 7, skipped = 7;
        CHECK_REFUSED(import_text(kv.ns, cases[at].text, LUAT_KV_IMPORT_REPLACE, &stored, &skipped, &error),
                      cases[at].status, cases[at].words);
        CHECK(stored == 0 && skipped == 0);
    }
    check_keys(kv.ns, 1);
    CHECK_VALUE(kv.ns, "a", "as before");
    kv_close(kv);
}

static void limits_hold_for_what_is_imported(void)
{
    static char text[2000];
    struct kv kv = open_cloudflare();
    snprintf(text, sizeof text, "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"%0600d\",\"value\":\"1\"}\n", 0);
    CHECK_REFUSED(import_text(kv.ns, text, 0, NULL, NULL, &error), LUAT_KV_LIMIT, "line 2");
    check_keys(kv.ns, 0);
    kv_close(kv);
}

static void transfers_need_their_arguments(void)
{
    struct kv kv = open_default();
    uint64_t count = 7, stored = 7, skipped = 7;
    CHECK_STATUS(luat_kv_export(NULL, scratch("x"), 0, &count, &error), LUAT_KV_INVALID);
    CHECK(count == 0);
    CHECK_STATUS(luat_kv_export(kv.ns, NULL, 0, &count, &error), LUAT_KV_INVALID);
    CHECK_REFUSED(luat_kv_export(kv.ns, scratch("x"), 2, &count, &error), LUAT_KV_INVALID, "format");
    CHECK_STATUS(luat_kv_export(kv.ns, scratch("x"), UINT32_MAX, NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_export_fd(NULL, 1, 0, &count, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_export_fd(kv.ns, -1, 0, &count, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_export_fd(kv.ns, INT_MIN, 0, &count, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_export_fd(kv.ns, 1, 2, &count, &error), LUAT_KV_INVALID);
    CHECK(access(scratch("x"), F_OK) != 0);

    CHECK_STATUS(luat_kv_import(NULL, scratch("x"), 0, &stored, &skipped, &error), LUAT_KV_INVALID);
    CHECK(stored == 0 && skipped == 0);
    CHECK_STATUS(luat_kv_import(kv.ns, NULL, 0, &stored, &skipped, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_import(kv.ns, scratch("x"), 0, &stored, &skipped, &error), LUAT_KV_IO);
    CHECK_STATUS(luat_kv_import(kv.ns, scratch(""), 0, &stored, &skipped, &error), LUAT_KV_IO);
    write_file(scratch("x"), "");
    CHECK_REFUSED(luat_kv_import(kv.ns, scratch("x"), 2, &stored, &skipped, &error), LUAT_KV_INVALID, "flags");
    CHECK_STATUS(luat_kv_import(kv.ns, scratch("x"), UINT32_MAX, NULL, NULL, NULL), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_import_fd(NULL, 0, 0, &stored, &skipped, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_import_fd(kv.ns, -1, 0, &stored, &skipped, &error), LUAT_KV_INVALID);
    CHECK_STATUS(luat_kv_import_fd(kv.ns, 0, 2, &stored, &skipped, &error), LUAT_KV_INVALID);
    kv_close(kv);
}

/* ---- Files */

static void an_export_gets_its_name_when_it_is_whole(void)
{
    struct stat status;
    struct kv kv = open_default();
    CHECK_PUT(kv.ns, "a", "1");
    write_file(scratch("export"), "what was there before, and is longer than what comes");
    CHECK(symlink(scratch("export"), scratch("link")) == 0);
    CHECK_STATUS(luat_kv_export(kv.ns, scratch("link"), LUAT_KV_FORMAT_JSON_LINES, NULL, &error), LUAT_KV_OK);
    CHECK_FILE(scratch("export"), "{\"key\":\"a\",\"value\":\"1\"}\n");
    CHECK(stat(scratch("export"), &status) == 0 && (status.st_mode & 07777) == 0600);
    CHECK(lstat(scratch("link"), &status) == 0 && S_ISLNK(status.st_mode));
    CHECK_REFUSED(luat_kv_export(kv.ns, scratch("missing/x"), 0, NULL, &error), LUAT_KV_IO, "missing/x");
    CHECK_STATUS(luat_kv_export(kv.ns, scratch(""), 0, NULL, &error), LUAT_KV_IO);
    CHECK_REFUSED(luat_kv_export(kv.ns, "/dev/full", 0, NULL, &error), LUAT_KV_IO, "/dev/full");
    CHECK_STATUS(luat_kv_export(kv.ns, "/dev/null", 0, NULL, &error), LUAT_KV_OK);
    CHECK(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));
    kv_close(kv);
}

static void do_nothing(void *unused)
{
    (void)unused;
}

static void an_open_database_is_neither_exported_to_nor_imported(void)
{
    struct kv kv = kv_open(scratch("kv.db"));
    CHECK_PUT(kv.ns, "a", "1");
    for (int forked = 0; forked < 2; forked++) {
        if (forked) /* the store gave its connection up for it, and has made none since */
            child_join(child_start(do_nothing, NULL));
        CHECK_REFUSED(luat_kv_export(kv.ns, scratch("kv.db"), 0, NULL, &error), LUAT_KV_INVALID, "kv.db");
        CHECK_REFUSED(luat_kv_export(kv.ns, scratch("kv.db-wal"), 0, NULL, &error), LUAT_KV_INVALID, "kv.db-wal");
        CHECK_REFUSED(luat_kv_import(kv.ns, scratch("kv.db"), 0, NULL, NULL, &error), LUAT_KV_INVALID, "kv.db");
    }
    CHECK_VALUE(kv.ns, "a", "1");
    kv_close(kv);
    CHECK_INTEGRITY(scratch("kv.db"));
}

/* ---- Descriptors */

static void a_descriptor_is_used_from_where_it_stands(void)
{
    struct kv kv = open_default(), to = kv_memory();
    uint64_t count = 7, stored = 7;
    put_all_kinds(kv.ns);
    int fd = open(scratch("both"), O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, "#first\n", 7) == 7);
    CHECK_STATUS(luat_kv_export_fd(kv.ns, fd, LUAT_KV_FORMAT_JSON_LINES, &count, &error), LUAT_KV_OK);
    CHECK(count == 7);
    CHECK(write(fd, "\n", 1) == 1); /* it is open still */
    CHECK(lseek(fd, 7, SEEK_SET) == 7);
    CHECK_STATUS(luat_kv_import_fd(to.ns, fd, 0, &stored, NULL, &error), LUAT_KV_OK);
    CHECK(stored == 7);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    check_same(kv.ns, to.ns);
    close(fd);
    CHECK_STATUS(luat_kv_export_fd(kv.ns, fd, 0, &count, &error), LUAT_KV_IO); /* nobody's now */
    CHECK_STATUS(luat_kv_import_fd(kv.ns, fd, 0, &stored, NULL, &error), LUAT_KV_IO);
    CHECK(count == 0 && stored == 0);
    fd = open(scratch("both"), O_RDONLY);
    CHECK_STATUS(luat_kv_export_fd(kv.ns, fd, 0, &count, &error), LUAT_KV_IO);
    close(fd);
    kv_close(kv);
    kv_close(to);
}

struct pipeline {
    luat_kv_namespace *ns;
    int fd;
};

/* Runs in a child: of a store in memory, it has a copy. */
static void export_into(void *context)
{
    struct pipeline *pipeline = context;
    CHECK_STATUS(luat_kv_export_fd(pipeline->ns, pipeline->fd, LUAT_KV_FORMAT_JSON, NULL, &error), LUAT_KV_OK);
}

static void a_pipe_carries_one_store_into_another(void)
{
    enum { KEYS = 5000 }; /* more than a pipe holds */
    struct kv kv = open_default(), to = kv_memory();
    uint64_t stored = 7;
    int ends[2];
    kv_put_numbers(kv.ns, "k", KEYS);
    CHECK(pipe(ends) == 0);
    struct pipeline pipeline = { kv.ns, ends[1] };
    pid_t child = child_start(export_into, &pipeline);
    close(ends[1]);
    CHECK_STATUS(luat_kv_import_fd(to.ns, ends[0], 0, &stored, NULL, &error), LUAT_KV_OK);
    child_join(child);
    close(ends[0]);
    CHECK(stored == KEYS);
    check_same(kv.ns, to.ns);
    kv_close(kv);
    kv_close(to);
}

static struct kv idle;
static int idle_pipe[2];

static void import_idly(int number)
{
    (void)number;
    CHECK_STATUS(luat_kv_import_fd(idle.ns, idle_pipe[0], 0, NULL, NULL, &error), LUAT_KV_OK);
}

static void fork_meanwhile(int number)
{
    (void)number;
    child_run(do_nothing, NULL);
}

/* The import waits for its pipe, and the fork for the import: the process that feeds the pipe must not wait for either. */
static void a_fork_that_waits_for_an_import_keeps_nobody_else_waiting(void)
{
    const struct timespec moment = { 0, 100 * 1000 * 1000 };
    struct thread threads[2];
    struct kv other = kv_memory();
    idle = open_default();
    CHECK(pipe(idle_pipe) == 0);
    threads_start(&threads[0], 1, import_idly);
    nanosleep(&moment, NULL);
    threads_start(&threads[1], 1, fork_meanwhile);
    nanosleep(&moment, NULL);
    CHECK_PUT(other.ns, "key", "not held up");
    CHECK_VALUE(other.ns, "key", "not held up");
    CHECK(write(idle_pipe[1], "[]", 2) == 2);
    close(idle_pipe[1]);
    threads_join(threads, 2);
    close(idle_pipe[0]);
    kv_close(idle);
    kv_close(other);
}

static void a_pipe_that_breaks_leaves_an_error(void)
{
    struct kv kv = open_default();
    int ends[2];
    CHECK_PUT(kv.ns, "a", "as before");
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], "{\"key\":\"b\",\"value\":\"1\"}\n{\"key\":", 31) == 31);
    close(ends[1]);
    CHECK_REFUSED(luat_kv_import_fd(kv.ns, ends[0], 0, NULL, NULL, &error), LUAT_KV_INVALID, "line 2");
    close(ends[0]);
    CHECK_MISSING(kv.ns, "b");
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK_STATUS(luat_kv_export_fd(kv.ns, ends[1], 0, NULL, &error), LUAT_KV_IO);
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
    CHECK_VALUE(kv.ns, "a", "as before");
    kv_close(kv);
}

/* ---- A disk that is full: no file may grow beyond a length */

enum { KEYS = 2000, FULL = 300 * 1024 };

static void limit_files(rlim_t len)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = len;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void import_on_a_full_disk(void *path)
{
    struct kv kv = kv_open(path);
    uint64_t stored = 7;
    limit_files(FULL);
    CHECK_STATUS(luat_kv_import(kv.ns, scratch("export"), LUAT_KV_IMPORT_REPLACE, &stored, NULL, &error), LUAT_KV_IO);
    CHECK(stored == 0);
    /* There is not even room for what was read. */
    CHECK_STATUS(luat_kv_import(kv.ns, scratch("large"), 0, &stored, NULL, &error), LUAT_KV_IO);
    CHECK(stored == 0);
    check_keys(kv.ns, 10);
    kv_check_numbers(kv.ns, "k", 10);
    CHECK_PUT(kv.ns, "little", "there is room for a little");
    kv_close(kv);
}

static void export_on_a_full_disk(void *path)
{
    struct kv kv = kv_open(path);
    uint64_t count = 7;
    limit_files(1024);
    CHECK_STATUS(luat_kv_export(kv.ns, scratch("small"), 0, &count, &error), LUAT_KV_IO);
    CHECK(count == 0);
    CHECK_FILE(scratch("small"), "as before");
    CHECK_STATUS(luat_kv_backup(kv.store, scratch("copy.db"), &error), LUAT_KV_IO);
    CHECK(access(scratch("copy.db"), F_OK) != 0);
    CHECK(kv_has_number(kv.ns, "k", 1));
    kv_close(kv);
}

static void a_full_disk_leaves_all_as_it_was(void)
{
    struct kv kv = kv_open(scratch("kv.db"));
    luat_kv_namespace *big = namespace_open(kv, "big");
    kv_put_numbers(kv.ns, "k", 10);
    static uint8_t value[1000];
    memset(value, 'v', sizeof value);
    char key[20];
    for (int number = 0; number < 2 * KEYS; number++) {
        if (number == KEYS)
            CHECK_STATUS(luat_kv_export(big, scratch("export"), 0, NULL, &error), LUAT_KV_OK);
        snprintf(key, sizeof key, "k%d", number);
        CHECK_STATUS(luat_kv_put(big, TEXT(key), value, sizeof value, NULL, &error), LUAT_KV_OK);
    }
    CHECK_STATUS(luat_kv_export(big, scratch("large"), 0, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_clear(big, NULL, &error), LUAT_KV_OK);
    CHECK_STATUS(luat_kv_compact(kv.store, &error), LUAT_KV_OK);
    luat_kv_namespace_free(big);
    kv_close(kv);
    child_run(import_on_a_full_disk, scratch("kv.db"));
    CHECK_INTEGRITY(scratch("kv.db"));
    kv = kv_open(scratch("kv.db"));
    check_keys(kv.ns, 11);
    kv_check_numbers(kv.ns, "k", 10);
    kv_put_numbers(kv.ns, "more", 100);
    kv_close(kv);
    write_file(scratch("small"), "as before");
    child_run(export_on_a_full_disk, scratch("kv.db"));
    CHECK_FILE(scratch("small"), "as before");
}

static const struct check_test tests[] = {
    TEST(everything_comes_back),
    TEST(the_formats_are_as_they_are_told),
    TEST(what_is_there_stays_unless_it_is_to_be_replaced),
    TEST(what_has_expired_is_left_out),
    TEST(a_broken_line_is_named_and_nothing_imported),
    TEST(limits_hold_for_what_is_imported),
    TEST(transfers_need_their_arguments),
    TEST(an_export_gets_its_name_when_it_is_whole),
    TEST(a_descriptor_is_used_from_where_it_stands),
    TEST(a_pipe_carries_one_store_into_another),
    TEST(a_pipe_that_breaks_leaves_an_error),
    TEST(a_fork_that_waits_for_an_import_keeps_nobody_else_waiting),
};

static const struct check_test particular[] = {
    TEST(an_open_database_is_neither_exported_to_nor_imported),
    TEST(a_full_disk_leaves_all_as_it_was),
};

int main(void)
{
    check_both_backends(tests);
    check_tests("", particular);
    return check_done();
}
