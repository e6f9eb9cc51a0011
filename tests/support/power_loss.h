/* What a power loss would leave of the files in a directory: writes that nobody has synced may be gone.
 *
 * These objects stand in front of the C library's open, write and sync in a program that links them. While the
 * environment has POWER_LOSS_DIR (watched) and POWER_LOSS_DISK (a folder), each write to a file in the watched
 * directory goes to the file, so that the program sees nothing unusual, and into a log in the second folder, until an
 * fsync() or fdatasync() of the file moves what is logged into the image of that file there; a write by O_DSYNC goes
 * into the image at once. Names are taken over when the directory itself is synced. All this survives the end of the
 * process, so kill -9 is the power loss, and power_loss_restore() makes a directory of what the disk then has.
 *
 * POWER_LOSS_BOOT_ID: the file that is read in place of the kernel's boot id.
 *
 * Not seen: writes through a mapping (LMDB's lock file, which needs none). */
#ifndef POWER_LOSS_H
#define POWER_LOSS_H

/* TARGET is a new directory with what DISK has. SEED 0: nothing that was not synced; otherwise a random half of it, in
 * sectors of 512 bytes. */
void power_loss_restore(const char *disk, const char *target, unsigned seed);

#endif
