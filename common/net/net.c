/* See net.h. */
#include "net.h"

#include <errno.h>
#include <limits.h>
#include <sys/resource.h>

#include "err.h"

int net_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return err_errno(-errno, "limit of open files");
    if (limit.rlim_cur != limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return err_errno(-errno, "raise the limit of open files to %llu", (unsigned long long)limit.rlim_max);
    }
    return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}
