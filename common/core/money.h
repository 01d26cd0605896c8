// SPDX-License-Identifier: Apache-2.0
// Money: whole picodollars (10^-12 USD), so that a price of micro-USD per million tokens is a whole
// number a token and a cost is an exact sum of products. 128 bits wide, since an int64 ends at 9.2
// million USD. Never a float but for showing.
#ifndef STREAMLENS_MONEY_H
#define STREAMLENS_MONEY_H

#include "common/core/buf.h"
#include "common/core/err.h"

typedef __int128 money;

#define MONEY_PER_USD INT64_C(1000000000000)
// What PostgreSQL's numeric(38) holds; sums stay there instead of wrapping.
#define MONEY_MAX ((money)(MONEY_PER_USD * 1000000) * (MONEY_PER_USD * 1000000) * 100 - 1)

// Saturates at ±MONEY_MAX.
money money_add(money a, money b);
// count × price, exact: two int64 cannot overflow it.
static inline money money_times(int64_t count, int64_t price)
{
    return (money)count * price;
}

// USD as a decimal, the shortest that is exact: "12.5", "0.000000000001", "0", "-3".
void money_add_decimal(struct buf *out, money m);
// And back: digits with an optional sign and point, at most 12 decimals (further ones only zeros),
// no exponent, at most MONEY_MAX. -1 says what is wanted.
int money_parse(struct str text, money *out, struct err *e) MUST_CHECK;
// A whole number in the binary form of PostgreSQL's numeric, within ±MONEY_MAX.
int money_read_numeric(struct str binary, money *out, struct err *e) MUST_CHECK;
double money_usd(money m); // the nearest double, for showing

#endif
