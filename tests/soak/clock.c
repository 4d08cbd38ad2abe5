/* Preloaded into the server: its wall clock is ahead by the nanoseconds in the file $SOAK_CLOCK, which
   may change at any time. Other clocks, and those of other processes, stay right. */
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
    const char *path = getenv("SOAK_CLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    ahead = mapped == MAP_FAILED ? NULL : mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*next)(clockid_t, struct timespec *);
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(clock, now);
    if (failed == 0 && clock == CLOCK_REALTIME && ahead != NULL) {
        int64_t total = now->tv_nsec + *ahead % 1000000000;
        now->tv_sec += *ahead / 1000000000 + total / 1000000000;
        now->tv_nsec = total % 1000000000;
        if (now->tv_nsec < 0) {
            now->tv_nsec += 1000000000;
            now->tv_sec -= 1;
        }
    }
    return failed;
}
