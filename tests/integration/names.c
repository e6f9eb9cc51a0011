/* Names for the programs under test, by LD_PRELOAD: MQTT_TEST_NAMES is a file of lines "NAME ADDRESS ADDRESS...". It is
 * read at every look-up, so a test can change what a name means. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static getaddrinfo_fn *libc_getaddrinfo(void)
{
    return (getaddrinfo_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
}

/* ADDRESSES: numeric ones, each looked up by libc, so that its freeaddrinfo() knows them. */
static int chain_addresses(char *addresses, const struct addrinfo *hints, struct addrinfo **ret_info)
{
    char *state = NULL;
    int r = EAI_NONAME;
    struct addrinfo **end = ret_info;
    for (char *text = strtok_r(addresses, " \n", &state); text; text = strtok_r(NULL, " \n", &state)) {
        r = libc_getaddrinfo()(text, NULL, hints, end);
        if (r != 0)
            break;
        while (*end)
            end = &(*end)->ai_next;
    }
    return r;
}

static char *find_name(FILE *names, const char *name, char *line, size_t size)
{
    size_t length = strlen(name);
    while (fgets(line, (int)size, names)) {
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return line + length + 1;
    }
    return NULL;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_info)
{
    char line[512];
    const char *path = getenv("MQTT_TEST_NAMES");
    FILE *names = path ? fopen(path, "re") : NULL;
    char *addresses = names && name ? find_name(names, name, line, sizeof line) : NULL;
    if (names)
        fclose(names);
    *ret_info = NULL;
    return addresses ? chain_addresses(addresses, hints, ret_info) : libc_getaddrinfo()(name, service, hints, ret_info);
}
