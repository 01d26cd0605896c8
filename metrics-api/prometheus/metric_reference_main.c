// SPDX-License-Identifier: Apache-2.0
// Writes the page of all metrics to standard output: METRICS.md is its output.
#include "metrics-api/prometheus/metric.h"

#include <stdio.h>

int main(void)
{
    struct buf out = {0};
    metric_reference(&out);
    size_t written = fwrite(out.p, 1, out.n, stdout);
    bool ok = written == out.n && fflush(stdout) == 0;
    buf_free(&out);
    return ok ? 0 : 1;
}
