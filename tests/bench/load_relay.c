/* See load_relay.h. */
#include "load_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map(int fd, const struct relay_counters **ret)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if ((size_t)st.st_size != sizeof(struct relay_counters))
        return -EBADMSG;
    void *p = mmap(NULL, sizeof(struct relay_counters), PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = p;
    return 0;
}

int load_relay_open(struct load_relay *r, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *r = (struct load_relay){.counters = NULL};
    if (fd < 0)
        return -errno;
    int result = map(fd, &r->counters);
    close(fd);
    return result;
}

void load_relay_close(struct load_relay *r)
{
    if (r->counters)
        munmap((void *)r->counters, sizeof(*r->counters));
    r->counters = NULL;
}

static void read_ways(const struct load_relay *r, struct load_relay_way *ret)
{
    for (int way = 0; way < RELAY_WAYS; way++)
        ret[way] = (struct load_relay_way){.bytes = atomic_load(&r->counters->ways[way].bytes),
                                           .segments = atomic_load(&r->counters->ways[way].segments)};
}

void load_relay_start(struct load_relay *r)
{
    if (r->counters)
        read_ways(r, r->before);
}

void load_relay_end(struct load_relay *r)
{
    if (!r->counters)
        return;
    read_ways(r, r->ways);
    for (int way = 0; way < RELAY_WAYS; way++) {
        r->ways[way].bytes -= r->before[way].bytes;
        r->ways[way].segments -= r->before[way].segments;
    }
}

uint64_t load_relay_wire_bytes(const struct load_relay *r)
{
    uint64_t sum = 0;

    for (int way = 0; way < RELAY_WAYS; way++)
        sum += r->ways[way].bytes + r->ways[way].segments * RELAY_SEGMENT_HEADERS;
    return sum;
}
