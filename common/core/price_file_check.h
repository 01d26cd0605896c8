// SPDX-License-Identifier: Apache-2.0
// What price_file.c leaves to price_file_check.c: the cards of a file beside each other and beside
// those that are known. Nobody else includes this.
#ifndef STREAMLENS_PRICE_FILE_CHECK_H
#define STREAMLENS_PRICE_FILE_CHECK_H

#include "common/core/price_file.h"

struct price_file_card {
    struct price_card card;
    size_t *at; // owned: the number in the file of each of the card's lines
    size_t first_at;
};

// Fills e as price_file_parse() does, and returns -1.
int price_file_refuse(struct err *e, size_t line, const char *column, const char *detail);

// Prices that look like a slip of the unit.
int price_file_check_slips(const struct price_file_card *card, const struct catalogue *known,
                           struct err *e) MUST_CHECK;
// Names that two models of one tenant would bear at some time.
int price_file_check_names(const struct price_file_card *cards, size_t count,
                           const struct catalogue *known, struct err *e) MUST_CHECK;

#endif
