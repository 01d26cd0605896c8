// SPDX-License-Identifier: Apache-2.0
// Sums that lose no digits on the way (Kahan, with Neumaier's improvement), in the order and with
// the rounding that Prometheus has.
#ifndef STREAMLENS_PROMQL_KAHAN_H
#define STREAMLENS_PROMQL_KAHAN_H

#include <math.h>
#include <stdbool.h>

struct kahan {
    double sum, c; // what was summed is sum + c
};

static inline void kahan_add(struct kahan *k, double v)
{
    double t = k->sum + v;
    if (isinf(t))
        k->c = 0;
    else if (fabs(k->sum) >= fabs(v))
        k->c += (k->sum - t) + v;
    else
        k->c += (v - t) + k->sum;
    k->sum = t;
}

// A mean that does not overflow where the sum would: then it goes on as an incremental one.
struct kahan_mean {
    struct kahan k; // of the sum, or of the mean
    double count;
    bool incremental;
};

static inline void kahan_mean_add(struct kahan_mean *m, double v)
{
    m->count++;
    if (m->count == 1) {
        m->k = (struct kahan){v, 0};
        return;
    }
    if (!m->incremental) {
        struct kahan next = m->k;
        kahan_add(&next, v);
        if (!isinf(next.sum)) {
            m->k = next;
            return;
        }
        m->incremental = true;
        m->k.sum /= m->count - 1;
        m->k.c /= m->count - 1;
    }
    double q = (m->count - 1) / m->count;
    m->k.sum *= q;
    m->k.c *= q;
    kahan_add(&m->k, v / m->count);
}

static inline double kahan_mean_value(const struct kahan_mean *m)
{
    return m->incremental ? m->k.sum + m->k.c : m->k.sum / m->count + m->k.c / m->count;
}

#endif
