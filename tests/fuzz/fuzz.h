// SPDX-License-Identifier: Apache-2.0
// What every fuzz target includes: the entry point that libFuzzer or replay.c calls with one input,
// and the check that turns a broken promise into a crash that libFuzzer keeps and shrinks.
#ifndef STREAMLENS_TESTS_FUZZ_H
#define STREAMLENS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Not assert(): it must hold in release builds of the replay too.
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
