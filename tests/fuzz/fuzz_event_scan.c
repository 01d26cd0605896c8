// SPDX-License-Identifier: Apache-2.0
// The scanner beside jansson: what it reads, jansson reads too, and every value is the same bit for
// bit.
#include "tests/fuzz/fuzz.h"

#include "tests/support/event_readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_readers readers; // for the life of the process
    if (!readers.scan) {
        readers.scan = event_scan_new();
        readers.json = event_json_new();
    }
    bool mine;
    const char *difference =
        event_readers_differ(&readers, (struct str){(const char *)data, size}, &mine);
    if (difference)
        fprintf(stderr, "%s\n", difference);
    FUZZ_CHECK(!difference);
    return 0;
}
