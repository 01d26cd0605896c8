// SPDX-License-Identifier: Apache-2.0
#include "common/io/http_input.h"

// Room for more in front is made by moving what is left, which is one read at most, or a
// connection's bound of unread bytes where answers have to go out first.
static void move_to_front(struct http_input *in)
{
    memmove(in->kept.p, in->p, in->n);
    in->kept.n = in->n;
}

void http_input_add(struct http_input *in, const char *p, size_t n)
{
    if (in->n == 0) {
        buf_clear(&in->kept);
        in->p = p;
        in->n = n;
        return;
    }
    http_input_keep(in);
    move_to_front(in);
    buf_add(&in->kept, p, n);
    in->p = in->kept.p;
    in->n = in->kept.n;
}

void http_input_drain(struct http_input *in, size_t n)
{
    assert(n <= in->n);
    if (n == 0)
        return; // perhaps there is not even a place
    in->p += n;
    in->n -= n;
}

void http_input_keep(struct http_input *in)
{
    if (in->n == 0) {
        http_input_free(in);
        return;
    }
    if (in->kept.n > 0) // they lie there
        return;
    buf_add(&in->kept, in->p, in->n);
    in->p = in->kept.p;
}

void http_input_free(struct http_input *in)
{
    buf_free(&in->kept);
    in->p = NULL;
    in->n = 0;
}
