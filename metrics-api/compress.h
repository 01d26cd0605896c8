// SPDX-License-Identifier: Apache-2.0
// Which answers are worth compressing, for clients that take it.
#ifndef STREAMLENS_COMPRESS_H
#define STREAMLENS_COMPRESS_H

#include "common/core/base.h"

#define COMPRESS_LEAST 1024      // what is smaller fits into a packet or two
#define COMPRESS_MOST (1u << 20) // 10 ms at level 1, while everybody waits

// level: HTTP_GZIP_LEVEL, 0 for none.
static inline bool compress_pays(int level, size_t bytes)
{
    return level > 0 && bytes >= COMPRESS_LEAST && bytes <= COMPRESS_MOST;
}

#endif
