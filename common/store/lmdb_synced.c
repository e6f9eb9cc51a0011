/* See lmdb_synced.h. */
#include "lmdb_synced.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "lmdb_value.h"

enum {
    SYNCED_META_OFFSET = 16, /* in a meta page: behind its header */
    SYNCED_META_BYTES = 136, /* all that LMDB 0.9 has there */
    SYNCED_META_TXN = 128,   /* in those */
    SYNCED_SLOT_BYTES = 4096,
    SYNCED_BOOT_BYTES = 40,
};

static const uint8_t synced_magic[8] = {'m', 'q', 't', 'S', 'y', 'n', 'c', '1'};
static const struct store_bytes synced_key = {"synced", 6};

struct synced_slot {
    uint8_t magic[8];
    uint64_t counter;
    char boot_id[SYNCED_BOOT_BYTES]; /* empty: could not be read */
    uint64_t page_bytes;             /* 0: everything was synced in the end */
    uint8_t meta[SYNCED_META_BYTES];
    uint8_t checksum[LMDB_CHECKSUM_BYTES];
    uint8_t padding[4];
};
enum { SYNCED_SEALED_BYTES = offsetof(struct synced_slot, checksum) };
_Static_assert(SYNCED_SEALED_BYTES % 8 == 0 && sizeof(struct synced_slot) < SYNCED_SLOT_BYTES, "no gaps");

/* Changes when the machine starts. Empty if there is none: then every end without a close counts as a power loss. */
static void synced_read_boot_id(char *ret_id)
{
    memset(ret_id, 0, SYNCED_BOOT_BYTES);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, ret_id, SYNCED_BOOT_BYTES - 1) < 0)
        ret_id[0] = '\0';
    close(fd);
}

static bool synced_read_slot(int fd, int index, struct synced_slot *ret_slot)
{
    struct store_bytes ignored;
    if (pread(fd, ret_slot, sizeof *ret_slot, (off_t)index * SYNCED_SLOT_BYTES) != (ssize_t)sizeof *ret_slot)
        return false;
    const struct store_bytes sealed = {ret_slot, SYNCED_SEALED_BYTES + LMDB_CHECKSUM_BYTES};
    return lmdb_value_unseal(synced_key, sealed, &ignored) &&
           memcmp(ret_slot->magic, synced_magic, sizeof synced_magic) == 0;
}

/* The later one of the two; false if neither is whole. */
static bool synced_read(int fd, struct synced_slot *ret_slot)
{
    struct synced_slot slot;
    bool is_there = synced_read_slot(fd, 0, ret_slot);
    if (synced_read_slot(fd, 1, &slot) && (!is_there || slot.counter > ret_slot->counter)) {
        *ret_slot = slot;
        is_there = true;
    }
    return is_there;
}

/* Over both meta pages: the next transaction goes to either, and the other one must not be newer than this. */
static int synced_restore(const struct synced_slot *slot, int data_fd)
{
    for (uint64_t page = 0; page < 2; page++) {
        off_t at = (off_t)(page * slot->page_bytes + SYNCED_META_OFFSET);
        if (pwrite(data_fd, slot->meta, sizeof slot->meta, at) != (ssize_t)sizeof slot->meta)
            return err_errno(errno ? -errno : -EIO, "data.mdb: cannot be put back to what was synced");
    }
    if (fdatasync(data_fd) < 0)
        return err_errno(-errno, "data.mdb");
    return 0;
}

static bool synced_is_of_this_boot(const struct synced_slot *slot)
{
    char boot_id[SYNCED_BOOT_BYTES];
    synced_read_boot_id(boot_id);
    return boot_id[0] && memcmp(boot_id, slot->boot_id, sizeof boot_id) == 0;
}

int lmdb_synced_recover(const struct lmdb_dir *d, int data_fd, bool *ret_is_rolled_back)
{
    struct synced_slot slot;
    int fd = openat(d->fd, "synced", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(-errno, "%s/synced", d->path);
    bool is_there = synced_read(fd, &slot);
    close(fd);
    /* Without a whole slot nothing was ever noted, so nothing has been written since the file was made. */
    if (!is_there || slot.page_bytes == 0 || synced_is_of_this_boot(&slot))
        return 0;
    *ret_is_rolled_back = true;
    return synced_restore(&slot, data_fd);
}

int lmdb_synced_forget(const struct lmdb_dir *d)
{
    if (unlinkat(d->fd, "synced", 0) == 0)
        return lmdb_dir_sync(d);
    return errno == ENOENT ? 0 : err_errno(-errno, "%s/synced", d->path);
}

int lmdb_synced_open(const struct lmdb_dir *d, struct lmdb_synced *ret_synced)
{
    struct synced_slot slot;
    int fd = openat(d->fd, "synced", O_RDWR | O_CREAT | O_DSYNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(-errno, "%s/synced", d->path);
    *ret_synced = (struct lmdb_synced){.fd = fd, .counter = synced_read(fd, &slot) ? slot.counter : 0};
    return lmdb_dir_sync(d);
}

static int synced_write(struct lmdb_synced *s, struct synced_slot *slot)
{
    memcpy(slot->magic, synced_magic, sizeof slot->magic);
    slot->counter = s->counter + 1;
    synced_read_boot_id(slot->boot_id);
    lmdb_value_seal(synced_key, (uint8_t *)slot, SYNCED_SEALED_BYTES);
    if (pwrite(s->fd, slot, sizeof *slot, (off_t)(slot->counter & 1) * SYNCED_SLOT_BYTES) != (ssize_t)sizeof *slot)
        return err_errno(errno ? -errno : -EIO, "synced");
    s->counter++;
    return 0;
}

int lmdb_synced_note(struct lmdb_synced *s, int data_fd, uint32_t page_bytes, uint64_t txn)
{
    struct synced_slot slot = {.page_bytes = page_bytes};
    off_t at = (off_t)((txn & 1) * page_bytes + SYNCED_META_OFFSET);
    uint64_t found;
    if (pread(data_fd, slot.meta, sizeof slot.meta, at) != (ssize_t)sizeof slot.meta)
        return err_errno(errno ? -errno : -EIO, "data.mdb");
    memcpy(&found, slot.meta + SYNCED_META_TXN, sizeof found);
    if (found != txn)
        return err_set(-EILSEQ, "data.mdb: its meta page is not the one of the last transaction");
    return synced_write(s, &slot);
}

int lmdb_synced_note_end(struct lmdb_synced *s)
{
    struct synced_slot slot = {0};
    return synced_write(s, &slot);
}

void lmdb_synced_close(struct lmdb_synced *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
