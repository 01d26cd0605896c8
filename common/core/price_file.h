// SPDX-License-Identifier: Apache-2.0
// Price files: CSV as csv.h reads it, a header line and a line for each price, so that a
// spreadsheet reads them and an error names a line.
//
//   tenant            empty: everybody                         provider   for people
//   model             as the API names it, or *                aliases    other names, by blanks
//   tier              empty: standard; batch, flex, priority …
//   above_tokens      empty or 0, or a number of USAGE_BANDS: the price of requests with a longer
//                     prompt
//   unit              of the token prices: USD/Mtok, USD/ktok or USD/tok; required beside them. Or
//                     none: the card is withdrawn (struct price_card), and tier, above_tokens, all
//                     prices and the discount are empty
//   input cached_input cache_write_5m cache_write_1h output reasoning
//                     decimals; must come out as whole picodollars a token
//   request           USD an answered request
//   discount_percent  see struct price_card; at most 4 decimals
//   effective_from    RFC 3339, a whole minute; empty: from ever on
//   source as_of      where and when (YYYY-MM-DD) the figure was read
//
// Columns may come in any order; those not needed may be left out; an unknown one is refused.
// Lines of the same tenant, model and effective_from make one card and agree in provider, aliases
// (an empty cell takes the first line's), source and as_of.
//
// Refused, beside what is no number, date, tier or unit: a negative price; a card without a
// standard line; the same line twice; a name that two models of one tenant would bear (within the
// file, or with what `known` has); and what looks like a slip of the unit:
//   - a token price above PRICE_FILE_MOST or, if not 0, below PRICE_FILE_LEAST; one of a request
//   above PRICE_FILE_REQUEST_MOST
//   - output below 1/20 or above 200 times the input
//   - cached_input above the input or below 1/200 of it, cache writes below 1/4 or above 10 times
//   it
//   - a tier's or band's price more than 20 times, or less than 1/20, of the standard line's
//   - a price 100 times more or less (or further off) than the one that `known` has for the model
//   then: the tenant's, else everybody's
// 0 is no slip of a unit: it is compared with nothing, but that cached_input above 0 is above an
// input of 0.
#ifndef STREAMLENS_PRICE_FILE_H
#define STREAMLENS_PRICE_FILE_H

#include "common/core/price.h"

#define PRICE_FILE_MOST INT64_C(2000000000) // picodollars a token: 2000 USD/Mtok
#define PRICE_FILE_LEAST 1000               // likewise: 0.001 USD/Mtok
#define PRICE_FILE_REQUEST_MOST (100 * MONEY_PER_USD)
#define PRICE_FILE_BYTES_MAX (16 << 20)
#define PRICE_FILE_LINES_MAX 100000 // with prices

// What looks like a slip of the unit: refused, or taken because somebody who looked says so. Then
// any price that is whole picodollars in an int64 is.
enum price_file_slips { PRICE_FILE_REFUSE_SLIPS, PRICE_FILE_TAKE_SLIPS };

// Cards in the file's order, with version 0; the caller frees the array and clears the cards. known
// may be NULL. -1: nothing is given; e->field is the column, e->detail begins with "line 12: ".
int price_file_parse(struct str text, const struct catalogue *known, enum price_file_slips slips,
                     struct price_card **cards, size_t *count, struct err *e) MUST_CHECK;

// The first price of a card, from wherever it comes, that looks like a slip of the unit. so_far:
// the card by which the model is paid so far, or NULL. -1: e->field is the column, e->detail what
// is wanted, *line the number of the card's line.
int price_file_check_slip(const struct price_card *card, const struct price_card *so_far,
                          size_t *line, struct err *e) MUST_CHECK;

// The columns of a file, in the order in which they are written, with commas and a newline; and a
// card's lines.
void price_file_write_header(struct buf *out);
void price_file_write_card(struct buf *out, const struct price_card *card);

#endif
