/* See tls_files.h. */
#include "tls_files.h"

#include <check.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

/* One run of it for this program: the folder's name and the script's hold no character that a shell minds. */
static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
    char command[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    char *argv[] = {"sh", "-c", command, NULL};
    pid_t pid;
    int status = -1;
    ck_assert_int_eq(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "%s", command);
}

/* NAME.pem by the authority of the folder, of a kind that deploy/certs does not make; its key is not kept. */
static void sign(const char *name, const char *key, const char *digest)
{
    shell("cd %s && openssl req -new -newkey %s -nodes -keyout sign.key -subj /CN=%s -out sign.csr 2>req.log && "
          "openssl x509 -req -%s -in sign.csr -CA ca.pem -CAkey ca/key.pem -CAcreateserial -out %s.pem 2>req.log",
          folder, key, name, digest, name);
}

void tls_files_make(void)
{
    strcpy(folder, "/tmp/trunk-tls-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    shell("'%s' %s >/dev/null && '%s' %s/other >/dev/null", getenv("TEST_CERTS"), folder, getenv("TEST_CERTS"), folder);
    shell("cd %s && : >empty.pem && cat server.pem ca.pem | head -c -40 >cut-chain.pem", folder);
    shell("cd %s && openssl pkey -in server-key.pem -aes256 -passout pass:x -out encrypted-key.pem", folder);
    shell("cd %s && openssl req -x509 -newkey rsa:1024 -nodes -keyout weak-key.pem -out weak.pem -subj /CN=weak "
          "2>req.log",
          folder);
    sign("short", "rsa:1024", "sha256");
    sign("sha1", "rsa:2048", "sha1");
}

void tls_files_remove(void)
{
    shell("rm -r %s", folder);
}

const char *tls_file(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static size_t read_whole(const char *name, char *bytes, size_t size)
{
    FILE *file = fopen(tls_file(name), "rb");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(bytes, 1, size, file);
    fclose(file);
    return n;
}

static void write_whole(const char *name, const char *bytes, size_t n)
{
    char making[128];
    snprintf(making, sizeof(making), "%s.new", tls_file(name));
    FILE *file = fopen(making, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    fclose(file);
    ck_assert_int_eq(rename(making, tls_file(name)), 0);
}

void tls_file_replace(const char *name, const char *from)
{
    char bytes[65536];
    size_t n = read_whole(from, bytes, sizeof(bytes));
    write_whole(name, bytes, n);
}

void tls_file_cut(const char *name, const char *from, long n)
{
    char bytes[65536];
    size_t size = read_whole(from, bytes, sizeof(bytes));
    write_whole(name, bytes, n < 0 ? size - (size_t)-n : (size_t)n);
}

void tls_file_read(const char *name, char *text, size_t size)
{
    text[read_whole(name, text, size - 1)] = '\0';
}

void tls_file_write(const char *name, const char *text)
{
    write_whole(name, text, strlen(text));
}

void tls_file_renew(const char *name)
{
    shell("rm %s/%s.pem && '%s' %s >/dev/null", folder, name, getenv("TEST_CERTS"), folder);
}
