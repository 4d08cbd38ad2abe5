/* Preloaded into wrk, which only speaks TCP: what it connects goes to the Unix socket of $UNIX_SOCKET. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    const char *path = getenv("UNIX_SOCKET");
    if (path == NULL || address->sa_family != AF_INET)
        return next(fd, address, length);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, path, sizeof to.sun_path - 1);
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    if (other < 0 || next(other, (struct sockaddr *)&to, sizeof to) < 0)
        return -1;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || dup2(other, fd) < 0 || fcntl(fd, F_SETFL, flags) < 0)
        return -1;
    return close(other);
}
