/* Preloaded into a server: its wall clock, its monotonic clock and its uptime are ahead by the nanoseconds
   in the file $CLOCKS_AHEAD, three numbers, which may change at any time. Other clocks, and those of
   other processes, stay right. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CLOCKS_AHEAD");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, 3 * sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    ahead = mapped == MAP_FAILED ? NULL : mapped;
}

static void add(struct timespec *now, int64_t nanoseconds)
{
    int64_t total = now->tv_nsec + nanoseconds % 1000000000;
    now->tv_sec += nanoseconds / 1000000000 + total / 1000000000;
    now->tv_nsec = total % 1000000000;
    if (now->tv_nsec < 0) {
        now->tv_nsec += 1000000000;
        now->tv_sec -= 1;
    }
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*next)(clockid_t, struct timespec *);
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(clock, now);
    if (failed == 0 && ahead != NULL) {
        if (clock == CLOCK_REALTIME)
            add(now, ahead[0]);
        else if (clock == CLOCK_MONOTONIC)
            add(now, ahead[1]);
        else if (clock == CLOCK_BOOTTIME)
            add(now, ahead[2]);
    }
    return failed;
}
