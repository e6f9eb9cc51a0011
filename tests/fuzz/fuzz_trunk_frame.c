/* Any bytes as a message of the trunk: both forms give the same verdicts about the message and each of its frames, and
 * the same values (trunk_oracle_compare). Its packets are the business of fuzz_convert. */
#include "ensure.h"
#include "trunk_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    ensure(trunk_oracle_compare(bytes, len) >= 0);
    return 0;
}
