// SPDX-License-Identifier: Apache-2.0
#include "common/core/api_key.h"

#include <openssl/evp.h>
#include <zlib.h>

#define PREFIX "slk_"
#define PREFIX_LEN 4
#define SECRET_LEN 43
#define CRC_LEN 6
#define SECRET_AT (PREFIX_LEN + API_KEY_ID_LEN + 1)
#define CRC_AT (SECRET_AT + SECRET_LEN + 1)

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

unsigned scope_of(struct str name)
{
    if (str_eq(name, STR_LIT("ingest")))
        return SCOPE_INGEST;
    if (str_eq(name, STR_LIT("read")))
        return SCOPE_READ;
    if (str_eq(name, STR_LIT("admin")))
        return SCOPE_ADMIN;
    return 0;
}

// Fixed width, most significant digit first: 62^6 is above 2^32.
static void crc_text(const char *text, char out[CRC_LEN])
{
    uLong crc = crc32(0, (const Bytef *)text, CRC_AT - 1);
    for (int i = CRC_LEN - 1; i >= 0; i--) {
        out[i] = base62[crc % 62];
        crc /= 62;
    }
}

// Bytes of 248 and more would make the first digits likelier than the others: 248 is 4 * 62.
static int take_digits(const unsigned char **random, const unsigned char *end, char *out, size_t n)
{
    while (n > 0) {
        if (*random == end)
            return -1;
        unsigned char byte = *(*random)++;
        if (byte >= 248)
            continue;
        *out++ = base62[byte % 62];
        n--;
    }
    return 0;
}

int api_key_make(const unsigned char random[API_KEY_RANDOM_BYTES], char out[API_KEY_LEN + 1])
{
    const unsigned char *end = random + API_KEY_RANDOM_BYTES;
    memcpy(out, PREFIX, PREFIX_LEN);
    if (take_digits(&random, end, out + PREFIX_LEN, API_KEY_ID_LEN) != 0 ||
        take_digits(&random, end, out + SECRET_AT, SECRET_LEN) != 0)
        return -1;
    out[SECRET_AT - 1] = out[CRC_AT - 1] = '_';
    crc_text(out, out + CRC_AT);
    out[API_KEY_LEN] = '\0';
    return 0;
}

static bool is_base62(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\0' || !strchr(base62, p[i]))
            return false;
    }
    return true;
}

bool api_key_is_well_formed(struct str text)
{
    if (text.n != API_KEY_LEN || memcmp(text.p, PREFIX, PREFIX_LEN) != 0)
        return false;
    if (text.p[SECRET_AT - 1] != '_' || text.p[CRC_AT - 1] != '_' ||
        !is_base62(text.p + PREFIX_LEN, API_KEY_ID_LEN) ||
        !is_base62(text.p + SECRET_AT, SECRET_LEN))
        return false;
    char crc[CRC_LEN];
    crc_text(text.p, crc);
    return memcmp(text.p + CRC_AT, crc, CRC_LEN) == 0;
}

void api_key_hash(struct str text, unsigned char out[API_KEY_HASH_BYTES])
{
    // It can fail for want of memory alone, which ends the process everywhere else too.
    if (EVP_Digest(text.p, text.n, out, NULL, EVP_sha256(), NULL) != 1)
        abort();
}
