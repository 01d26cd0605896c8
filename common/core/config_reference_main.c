// SPDX-License-Identifier: Apache-2.0
// Writes the reference page of all settings to standard output: deploy/REFERENCE.md is its output.
#include "common/core/config.h"

#include <stdio.h>

int main(void)
{
    struct buf out = {0};
    config_reference_markdown(&out);
    size_t written = fwrite(out.p, 1, out.n, stdout);
    bool ok = written == out.n && fflush(stdout) == 0;
    buf_free(&out);
    return ok ? 0 : 1;
}
