# SPDX-License-Identifier: Apache-2.0
"""API keys for tests: their text as common/core/api_key.h defines it, written apart from the C code, and
their row in the database, also with properties that streamlens-admin would not give."""
import hashlib
import secrets
import zlib

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def with_checksum(body):
    """body is slk_<id>_<secret>"""
    crc, text = zlib.crc32(body.encode()), ""
    for _ in range(6):
        crc, digit = divmod(crc, 62)
        text = DIGITS[digit] + text
    return body + "_" + text


def key_text(key_id=None, secret=None):
    def digits(n):
        return "".join(secrets.choice(DIGITS) for _ in range(n))
    return with_checksum(f"slk_{key_id or digits(12)}_{secret or digits(43)}")


def id_of(key):
    return key.split("_")[1]


def add_key(stack, tenant, *scopes, expires="NULL", revoked="NULL", key=None):
    """Stores a key (a new one, where none is given) and returns its text; times are SQL."""
    key = key or key_text()
    words = ", ".join(f"'{s}'" for s in scopes)
    stack.sql("INSERT INTO streamlens_key (key_id, key_sha256, tenant_id, name, scopes, expires_at, revoked_at)"
              f" VALUES ('{id_of(key)}', '\\x{hashlib.sha256(key.encode()).hexdigest()}', '{tenant}', 'test',"
              f" ARRAY[{words}], {expires}, {revoked})")
    return key
