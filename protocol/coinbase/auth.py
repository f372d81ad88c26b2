"""Tokens of the venue: made by the client, checked by the embedded venue (auth.md §2 to §4).

Time and nonce are handed in: the same arguments give the same claims, and with Ed25519 the same bytes.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import jwt
import msgspec

from protocol.coinbase.keys import EDDSA, ES256, SigningKey, VerifyingKey

MAX_LIFE_S = 120
NBF_BACK_S = 5
"""How far back a token's start is put against a slow venue clock (auth.md §3)."""
LEEWAY_S = 5

_NONCE = re.compile(r"[0-9a-fA-F]{32,64}")


class TokenRefused(ValueError):  # noqa: N818 - pairs with BadWire
    """A token that the venue would answer with a bare 401. The reason is for tests and logs of the venue only."""


class Token(msgspec.Struct, frozen=True):
    """What a good token says. Times are UNIX seconds."""

    key_name: str
    nonce: str
    not_before_s: int
    expires_s: int


def sign_rest(  # noqa: PLR0913 - what a token is made of; all but the first four by keyword
    key: SigningKey,
    method: str,
    host: str,
    path: str,
    *,
    now_s: int,
    nonce: str,
    life_s: int = MAX_LIFE_S,
    back_s: int = NBF_BACK_S,
) -> str:
    """A token for one REST request; it goes into `Authorization: Bearer …`.

    Args:
        key: the key to sign with.
        method: HTTP method.
        host: without scheme, as requested (`host:port` where the port is not the scheme's own).
        path: with parameters filled in; a query string is left out of the claim.
        now_s: the venue's clock, UNIX seconds.
        nonce: 32 to 64 hex characters, new for every token.
        life_s: from start to expiry, at most 120.
        back_s: how far before `now_s` the token starts.

    Raises:
        ValueError: life or nonce outside their bounds.
    """
    claims = _claims(key, now_s - back_s, life_s) | {"uri": request_uri(method, host, path)}
    return _sign(key, claims, nonce)


def sign_ws(key: SigningKey, *, now_s: int, nonce: str, life_s: int = MAX_LIFE_S, back_s: int = NBF_BACK_S) -> str:
    """A token for one WebSocket message, which names no request. Arguments and errors as `sign_rest`."""
    return _sign(key, _claims(key, now_s - back_s, life_s), nonce)


def request_uri(method: str, host: str, path: str) -> str:
    """How a token names a request: `GET api.coinbase.com/api/v3/brokerage/accounts`, without the query string."""
    return f"{method.upper()} {host}{path.partition('?')[0].rstrip('/')}"


def _claims(key: SigningKey, start_s: int, life_s: int) -> dict[str, Any]:
    if not 0 < life_s <= MAX_LIFE_S:
        raise ValueError(f"a token lives 1 to {MAX_LIFE_S} s, not {life_s}")
    return {"sub": key.name, "iss": "cdp", "nbf": start_s, "exp": start_s + life_s}


def _sign(key: SigningKey, claims: dict[str, Any], nonce: str) -> str:
    if not _NONCE.fullmatch(nonce):
        raise ValueError("a nonce is 32 to 64 hex characters")
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"kid": key.name, "nonce": nonce})


def verify_rest(  # noqa: PLR0913 - the request, the keys, the clock
    token: str,
    keys: Mapping[str, VerifyingKey],
    method: str,
    hosts: Collection[str],
    path: str,
    *,
    now_s: float,
    leeway_s: float = LEEWAY_S,
) -> Token:
    """Check a REST token as the venue does, in its order (auth.md §4, steps 1 to 5).

    Args:
        token: the text after `Bearer `.
        keys: registered keys by name.
        method: of the request.
        hosts: every host name, with port where needed, under which this venue is known.
        path: of the request; a query string is ignored.
        now_s: the venue's clock.
        leeway_s: how far the two clocks may differ.

    Raises:
        TokenRefused: at the first step that fails.
    """
    good, claims = _verify(token, keys, now_s, leeway_s)
    wanted = {request_uri(method, host, path) for host in hosts}
    # One client in the field leaves the scheme in where it is not https (auth.md §2).
    if not any(str(uri).replace(" http://", " ", 1) in wanted for uri in _uris(claims)):
        raise TokenRefused("the token is for another request")
    return good


def verify_ws(token: str, keys: Mapping[str, VerifyingKey], *, now_s: float, leeway_s: float = LEEWAY_S) -> Token:
    """Check a WebSocket token; arguments and errors as `verify_rest`."""
    return _verify(token, keys, now_s, leeway_s)[0]


def _uris(claims: dict[str, Any]) -> list[Any]:
    several = claims.get("uris")
    return [claims["uri"]] if "uri" in claims else several if isinstance(several, list) else []


def _verify(
    token: str, keys: Mapping[str, VerifyingKey], now_s: float, leeway_s: float
) -> tuple[Token, dict[str, Any]]:
    header = _header(token)
    key = keys.get(str(header.get("kid")))
    if key is None:
        raise TokenRefused("no such key")
    if header["alg"] != key.algorithm:
        raise TokenRefused("the algorithm is not the key's")
    claims = _payload(token, key)
    if claims.get("sub") != key.name:
        raise TokenRefused("subject and key differ")
    not_before_s, expires_s = _window(claims, now_s, leeway_s)
    return Token(key.name, str(header.get("nonce", "")), not_before_s, expires_s), claims


def _header(token: str) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as exc:
        raise TokenRefused("not a token") from exc
    if header.get("alg") not in (ES256, EDDSA):
        raise TokenRefused("the algorithm is neither ES256 nor EdDSA")
    return header


def _payload(token: str, key: VerifyingKey) -> dict[str, Any]:
    # The library checks the signature only: its time checks read the wall clock, and `aud` is to be ignored.
    options: Any = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
    try:
        return jwt.decode(token, key.public, algorithms=[key.algorithm], options=options)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as exc:
        raise TokenRefused("the signature does not verify") from exc


def _window(claims: dict[str, Any], now_s: float, leeway_s: float) -> tuple[int, int]:
    start, end = claims.get("nbf"), claims.get("exp")
    if type(start) is not int or type(end) is not int or not 0 < end - start <= MAX_LIFE_S:
        raise TokenRefused(f"the token has no window of at most {MAX_LIFE_S} s")
    if start > now_s + leeway_s:
        raise TokenRefused("the token is not valid yet")
    if end < now_s - leeway_s:
        raise TokenRefused("the token has expired")
    return start, end
