/* What is left after the power has come back: power_loss.h. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "power_loss.h"

enum { SECTOR_BYTES = 512 };

static void copy_synced(const char *from, int to)
{
    static char block[65536];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    off_t at = 0;
    for (ssize_t n; fd >= 0 && (n = read(fd, block, sizeof block)) > 0; at += n) {
        if (pwrite(to, block, (size_t)n, at) != n)
            abort();
    }
    if (fd >= 0)
        close(fd);
}

/* Each sector of a write that was not synced is there or is not. */
static void write_some(int to, const uint8_t *bytes, uint64_t n, uint64_t offset, unsigned *seed)
{
    for (uint64_t at = 0; at < n;) {
        uint64_t part = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
        if (part > n - at)
            part = n - at;
        if (rand_r(seed) & 0x4000 && pwrite(to, bytes + at, part, (off_t)(offset + at)) < 0)
            abort();
        at += part;
    }
}

static void copy_some(const char *log, int to, unsigned *seed)
{
    uint64_t record[2];
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && read(fd, record, sizeof record) == (ssize_t)sizeof record) {
        uint8_t *bytes = malloc(record[1]);
        if (bytes && read(fd, bytes, record[1]) == (ssize_t)record[1])
            write_some(to, bytes, record[1], record[0], seed);
        free(bytes);
    }
    if (fd >= 0)
        close(fd);
}

void power_loss_restore(const char *disk, const char *target, unsigned seed)
{
    char path[4096], name[256];
    unsigned long inode;
    snprintf(path, sizeof path, "%s/names", disk);
    FILE *names = fopen(path, "re");
    mkdir(target, 0700);
    while (names && fscanf(names, "%lu %255[^\n]", &inode, name) == 2) { /* NOLINT(cert-err34-c): our own file */
        snprintf(path, sizeof path, "%s/%s", target, name);
        int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        snprintf(path, sizeof path, "%s/synced-%lu", disk, inode);
        copy_synced(path, to);
        snprintf(path, sizeof path, "%s/log-%lu", disk, inode);
        if (seed)
            copy_some(path, to, &seed);
        close(to);
    }
    if (names)
        fclose(names);
}
