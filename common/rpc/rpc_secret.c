/* See rpc_secret.h. */
#include "rpc_secret.h"

#include <stdio.h>
#include <sys/stat.h>

bool rpc_secret_is_exposed(const char *file, char *text, size_t n)
{
    struct stat st;
    if (!file || stat(file, &st) < 0 || !(st.st_mode & (S_IRWXG | S_IRWXO)))
        return false;
    snprintf(text, n, "%s can be read by others than its owner (mode %03o): chmod 600", file, st.st_mode & 0777);
    return true;
}
