// Counts what a process does to files below FAULTS_BELOW, and at the operation FAULTS_AT kills the process or fails
// with ENOSPC, as FAULTS_BY says (kill, full); a write is done by half before. FAULTS_MARK is made when it is reached.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long operations;

static int reached(const char *path) {
    const char *below = getenv("FAULTS_BELOW"), *at = getenv("FAULTS_AT");
    if (!below || !at || !path || strncmp(path, below, strlen(below))) return 0;
    if (atomic_fetch_add(&operations, 1) + 1 != atol(at)) return 0;
    syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, getenv("FAULTS_MARK"), O_WRONLY | O_CREAT, 0600));
    return 1;
}

static void fail(void) {
    if (!strcmp(getenv("FAULTS_BY"), "kill")) {
        kill(getpid(), SIGKILL);
        pause();
    }
    errno = ENOSPC;
}

static const char *path_of(int file, char *held) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, held, PATH_MAX - 1);
    held[length < 0 ? 0 : length] = 0;
    return held;
}

#define NEXT(type, name, ...) type (*next)(__VA_ARGS__) = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int removed(const char *path, const char *name) {
    NEXT(int, name, const char *);
    if (reached(path)) { fail(); return -1; }
    return next(path);
}
int unlink(const char *path) { return removed(path, "unlink"); }
int rmdir(const char *path) { return removed(path, "rmdir"); }

int mkdir(const char *path, mode_t mode) {
    NEXT(int, "mkdir", const char *, mode_t);
    if (reached(path)) { fail(); return -1; }
    return next(path, mode);
}

int unlinkat(int folder, const char *path, int flags) {
    NEXT(int, "unlinkat", int, const char *, int);
    char held[PATH_MAX];
    if (reached(path[0] == '/' ? path : path_of(folder, held))) { fail(); return -1; }
    return next(folder, path, flags);
}

int rename(const char *from, const char *to) {
    NEXT(int, "rename", const char *, const char *);
    if (reached(to)) { fail(); return -1; }
    return next(from, to);
}

ssize_t write(int file, const void *bytes, size_t count) {
    NEXT(ssize_t, "write", int, const void *, size_t);
    char held[PATH_MAX];
    if (file > 2 && reached(path_of(file, held))) {
        next(file, bytes, count / 2);
        fail();
        return -1;
    }
    return next(file, bytes, count);
}

static int synced(int file, const char *name) {
    NEXT(int, name, int);
    char held[PATH_MAX];
    if (reached(path_of(file, held))) { fail(); return -1; }
    return next(file);
}
int fsync(int file) { return synced(file, "fsync"); }
int fdatasync(int file) { return synced(file, "fdatasync"); }

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    NEXT(int, name, const char *, int, ...);
    int writes = (flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY;
    if (writes && reached(path)) { fail(); return -1; }
    return next(path, flags, mode);
}
#define OPEN(name)                                                \
    int name(const char *path, int flags, ...) {                  \
        va_list rest;                                             \
        va_start(rest, flags);                                    \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                             \
        return opened(#name, path, flags, mode);                  \
    }
OPEN(open)
OPEN(open64)
