/* See bk_place.h. */
#include "bk_place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "url.h"

static int bk_place_make_parents(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        const int e = mkdir(path, 0700) < 0 && errno != EEXIST ? errno : 0;
        if (e)
            err_set(-e, "cannot make the folder %s: %s", path, strerror(e));
        *at = '/';
        if (e)
            return -e;
    }
    return 0;
}

/* Where programs of this user keep their state; *RET_BELOW is what follows. NULL: nobody knows. */
static const char *bk_place_home(const char **ret_below)
{
    const char *state = getenv("XDG_STATE_HOME");
    *ret_below = "";
    if (state && state[0] == '/')
        return state;
    if (geteuid() == 0)
        return "/var/lib";
    *ret_below = "/.local/state";
    return getenv("HOME");
}

int bk_place_default(const char *listen, char ret_url[static BK_PLACE_MAX])
{
    const char *given = getenv("STATE_DIRECTORY"), *below;
    struct url url;
    const int e = url_parse(listen, "mqtt mqtts ws wss unix", &url);
    if (e < 0)
        return e;
    if (given && given[0] == '/' && !strchr(given, ':')) {
        if (snprintf(ret_url, BK_PLACE_MAX, "lmdb:%s", given) >= BK_PLACE_MAX)
            return err_set(-ENAMETOOLONG, "$STATE_DIRECTORY is too long");
        return 0;
    }
    const unsigned port = url.has_port ? url.port : url_default_port(&url);
    if (port == 0 || strcmp(url.scheme, "unix") == 0) {
        memcpy(ret_url, "memory", sizeof "memory");
        return 0;
    }
    const char *home = bk_place_home(&below);
    if (!home)
        return err_set(-ENOENT, "neither XDG_STATE_HOME nor HOME is set");
    if (snprintf(ret_url, BK_PLACE_MAX, "lmdb:%s%s/mqtt-broker/%u", home, below, port) >= BK_PLACE_MAX)
        return err_set(-ENAMETOOLONG, "the home directory's name is too long");
    return bk_place_make_parents(ret_url + sizeof "lmdb:" - 1);
}
