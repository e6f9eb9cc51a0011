/* Any bytes as a password file and as a file for SCRAM: taken or refused with a line, and whoever is asked for has
 * something that looks like a secret. Hashes are not computed: their costs are the operator's. */
#include "ensure.h"
#include "memory_file.h"
#include "password_file.h"
#include "scram_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_passwords(const char *path)
{
    struct password_file *p;
    bool is_known;
    if (password_file_load(path, &p) < 0)
        return;
    const struct password_hash *h = password_file_find(p, "alice", 5, &is_known);
    ensure((h != NULL) == (password_file_count(p) > 0) && (!is_known || h));
    ensure(!h || (h->salt_len > 0 && h->salt_len <= PASSWORD_HASH_SALT_MAX && h->key_len >= 16));
    password_file_unref(p);
}

static void check_scram(const char *path)
{
    struct scram_file *f;
    struct scram_secret secret;
    if (scram_file_load(path, &f) < 0)
        return;
    scram_file_find(f, "alice", 5, &secret);
    ensure(secret.salt_len > 0 && secret.salt_len <= SCRAM_SALT_MAX && secret.iterations >= SCRAM_ITERATIONS_MIN);
    scram_file_unref(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const char *path = memory_file((struct mqtt_bytes){.ptr = bytes, .len = (uint32_t)len});
    check_passwords(path);
    check_scram(path);
    return 0;
}
