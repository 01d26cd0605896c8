# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens and Key Sets for tests, signed by the openssl program. Standard library only."""
import base64
import hashlib
import hmac
import json
import os
import subprocess

CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_json(value):
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, check=True, timeout=60).stdout


def raw_signature(der, n):
    """r and s of a DER-encoded ECDSA signature, n bytes each."""
    at, out = 2 if der[1] < 0x80 else 3, b""
    for _ in range(2):
        length = der[at + 1]
        out += int.from_bytes(der[at + 2:at + 2 + length], "big").to_bytes(n, "big")
        at += 2 + length
    return out


class Key:
    """A private key in a file, or a secret; `alg` is what it signs with."""

    def __init__(self, folder, kid, alg, bits=2048, secret=None):
        self.kid, self.alg, self.path = kid, alg, os.path.join(folder, f"{kid}.pem")
        self.secret = None
        if alg.startswith("HS"):
            self.secret = secret or os.urandom(int(alg[2:]) // 8)
            return
        kind = (["EC", "-pkeyopt", "ec_paramgen_curve:" + CURVES[alg][0]] if alg in CURVES
                else ["RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"])
        openssl("genpkey", "-algorithm", *kind, "-out", self.path)

    def public_pem(self):
        return openssl("pkey", "-in", self.path, "-pubout")

    def jwk(self, **changes):
        jwk = {"kid": self.kid, "alg": self.alg}
        if self.secret is not None:
            jwk |= {"kty": "oct", "k": b64(self.secret)}
        elif self.alg in CURVES:
            curve, n = CURVES[self.alg]
            point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-2 * n:]
            jwk |= {"kty": "EC", "crv": curve, "x": b64(point[:n]), "y": b64(point[n:])}
        else:
            text = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip()
            jwk |= {"kty": "RSA", "n": b64(bytes.fromhex(text.partition("=")[2])), "e": "AQAB"}
        jwk |= changes
        return {name: value for name, value in jwk.items() if value is not None}

    def sign(self, data, alg=None):
        alg = alg or self.alg
        bits = alg[2:]
        if alg.startswith("HS"):
            return hmac.new(self.secret, data, "sha" + bits).digest()
        options = []
        if alg.startswith("PS"):
            options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        signature = openssl("dgst", "-sha" + bits, "-sign", self.path, *options, data=data)
        return raw_signature(signature, CURVES[alg][1]) if alg in CURVES else signature

    def token(self, claims, header=None, alg=None):
        """header: changes to the usual one, or its bytes; claims: an object, or bytes; alg: signs with this
        one, which the header does not tell by itself."""
        if not isinstance(header, bytes):
            header = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **(header or {})}
            header = {name: value for name, value in header.items() if value is not None}
        text = b64_json(header) + "." + b64_json(claims)
        return text + "." + b64(self.sign(text.encode(), alg))


def hmac_token(secret, claims, header):
    text = b64_json(header) + "." + b64_json(claims)
    return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def write_jwks(path, keys, mode=0o600):
    """As an operator should: the new file takes the old one's place at once."""
    text = keys if isinstance(keys, bytes) else json.dumps({"keys": keys}).encode()
    with open(path + ".new", "wb") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)
