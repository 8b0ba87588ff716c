/* The SQLite inside libluat_kv.a, which brings no header of it: so both sides of a comparison run the same build. */
#ifndef BENCH_SQLITE_H
#define BENCH_SQLITE_H

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
int sqlite3_open(const char *path, sqlite3 **);
int sqlite3_close(sqlite3 *);
const char *sqlite3_errmsg(sqlite3 *);
const char *sqlite3_libversion(void);
int sqlite3_busy_timeout(sqlite3 *, int ms);
int sqlite3_exec(sqlite3 *, const char *sql, int (*row)(void *, int, char **, char **), void *, char **error);
int sqlite3_prepare_v2(sqlite3 *, const char *sql, int len, sqlite3_stmt **, const char **tail);
int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int len, void (*destroy)(void *));
int sqlite3_bind_blob(sqlite3_stmt *, int, const void *, int len, void (*destroy)(void *));
int sqlite3_step(sqlite3_stmt *);
const void *sqlite3_column_blob(sqlite3_stmt *, int);
int sqlite3_column_bytes(sqlite3_stmt *, int);
int sqlite3_reset(sqlite3_stmt *);
int sqlite3_finalize(sqlite3_stmt *);
enum { SQLITE_OK = 0, SQLITE_ROW = 100, SQLITE_DONE = 101 };
#define SQLITE_STATIC ((void (*)(void *))0)

#endif
