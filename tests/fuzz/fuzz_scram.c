/* Any bytes as the messages of a SCRAM client, each behind a NUL: nobody gets in, every answer to the first message is
 * well formed, and nothing follows a refusal. */
#include <string.h>

#include "ensure.h"
#include "memory_file.h"
#include "scram.h"
#include "scram_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* A password that no input holds. */
static const char LINE[] =
    "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

static struct scram_file *load_once(void)
{
    static struct scram_file *file;
    if (!file)
        ensure(scram_file_load(memory_file((struct mqtt_bytes){(const uint8_t *)LINE, sizeof(LINE) - 1}), &file) == 0);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct mqtt_bytes rest = {.ptr = bytes, .len = (uint32_t)len}, answer;
    struct scram_server *s;
    ensure(scram_server_new(load_once(), "ours", &s) == 0);
    enum scram_result before = SCRAM_CONTINUE;
    for (int i = 0; i < 4 && rest.len > 0; i++) {
        const enum scram_result r = scram_server_step(s, take_text(&rest), &answer);
        ensure(r == SCRAM_REFUSED || (r == SCRAM_CONTINUE && i == 0 && before == SCRAM_CONTINUE));
        if (r == SCRAM_CONTINUE) {
            ensure(answer.len > 20 && memcmp(answer.ptr, "r=", 2) == 0 && scram_server_user(s).len > 0);
            ensure(memmem(answer.ptr, answer.len, ",i=4096", 7));
        }
        before = r;
    }
    scram_server_free(s);
    return 0;
}
