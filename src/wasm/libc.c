/* Functions of C that Lua needs and wasi-libc lacks. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

int luat_kv_no_shell(void) {
    errno = ENOSYS;
    return -1;
}

/* Creates an empty file with a new name, so that nothing else takes the name. */
int luat_kv_temporary_name(char *buffer) {
    static unsigned count;
    mkdir("/tmp", 0700);
    for (int tries = 0; tries < 1000; tries++) {
        snprintf(buffer, LUA_TMPNAMBUFSIZE, "/tmp/lua_%06x", ++count);
        int file = open(buffer, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (file >= 0) {
            close(file);
            return 0;
        }
        if (errno != EEXIST) break;
    }
    return -1;
}

/* Returns a file without a name, which is gone when it is closed. */
FILE *luat_kv_temporary_file(void) {
    char name[LUA_TMPNAMBUFSIZE];
    if (luat_kv_temporary_name(name)) return NULL;
    FILE *file = fopen(name, "w+b");
    remove(name);
    return file;
}
