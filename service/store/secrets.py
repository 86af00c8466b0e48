"""Secrets that we make and never keep: of each only its digest is in the database.

They are random and long, so that a digest without salt and without delay (SHA-256) gives nothing away. Passwords, which
people choose, are hashed by Argon2id instead (`users`).
"""

import secrets
from hashlib import sha256

_BYTES = 32
_CSRF = "csrf:"


def new_secret() -> str:
    """Return 43 random characters that a cookie, a header and an address may hold."""
    return secrets.token_urlsafe(_BYTES)


def digest_of_secret(secret: str) -> str:
    """Return the SHA-256 of a secret, hexadecimal. Halves of surrogate pairs, which no secret has, are replaced."""
    return sha256(secret.encode(errors="replace")).hexdigest()


def csrf_of(secret: str) -> str:
    """Return what pages of a session send with each change; who does not know the session's cookie cannot make it."""
    return digest_of_secret(f"{_CSRF}{secret}")
