"""Tokens: reproduced byte for byte where the algorithm allows, and checked as the venue checks them."""

import base64
import json
import pickle
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from protocol.coinbase import auth, keys

HOST = "api.coinbase.com"
PATH = "/api/v3/brokerage/accounts"
NONCE = "0123456789abcdef" * 4
NOW = 1_790_000_000

SEED = bytes(range(32))
ED = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
ED_PUBLIC = ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
P256 = ec.derive_private_key(0x1234567, ec.SECP256R1())


def pem(key, form=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


ED_BASE64 = base64.b64encode(SEED + ED_PUBLIC).decode()
SEC1 = pem(P256, PrivateFormat.TraditionalOpenSSL)
FORMS = {
    "seed and public key": (ED_BASE64, "EdDSA"),
    "seed alone": (base64.b64encode(SEED).decode(), "EdDSA"),
    "base64 with blanks": (f" {ED_BASE64[:40]}\n{ED_BASE64[40:]} ", "EdDSA"),
    "Ed25519 PKCS#8": (pem(ED), "EdDSA"),
    "SEC1": (SEC1, "ES256"),
    "EC PKCS#8": (pem(P256), "ES256"),
    "escaped newlines": (SEC1.replace("\n", "\\n"), "ES256"),
    "escaped newlines in quotes": ('"' + SEC1.replace("\n", "\\n") + '"', "ES256"),
    "carriage returns": (SEC1.replace("\n", "\r\n"), "ES256"),
}


@pytest.fixture(params=["ES256", "EdDSA"])
def key(request):
    return keys.load_key("the-key", {"ES256": SEC1, "EdDSA": ED_BASE64}[request.param])


def rest(key, **changes):
    made = {"method": "GET", "host": HOST, "path": PATH, "now_s": NOW, "nonce": NONCE} | changes
    return auth.sign_rest(key, made.pop("method"), made.pop("host"), made.pop("path"), **made)


def check(token, key, **changes):
    asked = {"method": "GET", "hosts": [HOST], "path": PATH, "now_s": NOW} | changes
    registered = {key.name: key.verifying()}
    return auth.verify_rest(token, registered, asked.pop("method"), asked.pop("hosts"), asked.pop("path"), **asked)


def forge(claims, headers=None, key=P256, algorithm="ES256"):
    good = {"sub": "the-key", "iss": "cdp", "nbf": NOW, "exp": NOW + 120, "uri": f"GET {HOST}{PATH}"}
    claims = {k: v for k, v in (good | claims).items() if v is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "the-key", "nonce": NONCE} | (headers or {}))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_key_signs(form):
    secret, algorithm = FORMS[form]
    key = keys.load_key("the-key", secret)
    assert key.algorithm == algorithm
    assert check(rest(key), key).key_name == "the-key"


@pytest.mark.parametrize("member", ["name", "id"])
def test_key_file_with_name_or_id(member):
    assert keys.load_key_file(json.dumps({member: "k", "privateKey": ED_BASE64, "_note": 1})).name == "k"


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
MIXED = base64.b64encode(SEED + bytes(32)).decode()
BAD = {
    "empty": ("", "empty"),
    "neither form": ("not a key!", "neither PEM nor base64"),
    "short": (base64.b64encode(SEED[:31]).decode(), "this one 31"),
    "halves of two keys": (MIXED, "do not belong together"),
    "RSA": (pem(RSA), "neither ECDSA P-256 nor Ed25519"),
    "another curve": (pem(ec.derive_private_key(5, ec.SECP384R1())), "neither ECDSA P-256 nor Ed25519"),
    "password": (pem(P256, encryption=BestAvailableEncryption(b"x")), "password"),
    "cut": (SEC1[:120] + "\n-----END EC PRIVATE KEY-----\n", "damaged"),
    "public": (P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), "damaged"),
}


@pytest.mark.parametrize("form", BAD)
def test_a_bad_key_says_what_is_wrong_and_shows_nothing_of_itself(form):
    secret, reason = BAD[form]
    with pytest.raises(keys.BadKey, match=reason) as caught:
        keys.load_key("the-key", secret)
    told = f"{caught.value!r} {caught.value.__cause__!r}"
    assert not any(line in told for line in secret.split("\n") if len(line) > 10 and "BEGIN" not in line)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"privateKey": 5}', b"\xff"])
def test_a_bad_key_file_is_refused(content):
    with pytest.raises(keys.BadKey, match="key file"):
        keys.load_key_file(content)


def test_a_key_file_without_name_is_refused():
    with pytest.raises(keys.BadKey, match="no name"):
        keys.load_key_file(json.dumps({"privateKey": ED_BASE64}))


def test_a_key_is_never_shown_nor_carried_away(key):
    assert SEC1.splitlines()[1] not in repr(key)
    assert repr(key) == str(key) == f"SigningKey({key.algorithm}, redacted)"
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(key)


def test_token_starts_back_and_lives_no_longer_than_allowed(key):
    token = check(rest(key), key)
    assert (token.not_before_s, token.expires_s, token.nonce) == (NOW - 5, NOW + 115, NONCE)
    assert check(rest(key, life_s=30, back_s=0), key).expires_s == NOW + 30
    for life_s in (0, 121):
        with pytest.raises(ValueError, match="1 to 120 s"):
            rest(key, life_s=life_s)


@pytest.mark.parametrize("nonce", ["", "abc", "g" * 32, "a" * 65])
def test_a_nonce_must_be_hex_and_long(key, nonce):
    with pytest.raises(ValueError, match="hex"):
        rest(key, nonce=nonce)


def test_es256_signature_is_raw_64_bytes():
    signature = rest(keys.load_key("k", SEC1)).rpartition(".")[2]
    assert "=" not in signature
    assert len(base64.urlsafe_b64decode(signature + "==")) == 64


def test_query_string_and_trailing_slash_are_no_part_of_the_claim(key):
    check(rest(key, path=PATH + "/?limit=250&cursor=a"), key, path=PATH + "?limit=1")


def test_time_window_has_a_leeway_on_both_sides(key):
    token = rest(key, back_s=0)
    for now_s in (NOW - 5, NOW + 125):
        check(token, key, now_s=now_s)
    for now_s, reason in ((NOW - 6, "not valid yet"), (NOW + 126, "expired")):
        with pytest.raises(auth.TokenRefused, match=reason):
            check(token, key, now_s=now_s)
    check(token, key, now_s=NOW - 180, leeway_s=180)
    with pytest.raises(auth.TokenRefused):
        check(token, key, now_s=NOW - 1, leeway_s=0)


def test_the_wall_clock_plays_no_part(key):
    long_ago = int(time.time()) - 10**8
    check(rest(key, now_s=long_ago), key, now_s=long_ago)


FORGED = {
    "another method": (forge({"uri": f"POST {HOST}{PATH}"}), "another request"),
    "another host": (forge({"uri": f"GET evil.example{PATH}"}), "another request"),
    "another path": (forge({"uri": f"GET {HOST}{PATH}/x"}), "another request"),
    "no uri": (forge({"uri": None}), "another request"),
    "uris no list": (forge({"uri": None, "uris": f"GET {HOST}{PATH}"}), "another request"),
    "subject of another": (forge({"sub": "other"}), "subject and key differ"),
    "no subject": (forge({"sub": None}), "subject and key differ"),
    "long life": (forge({"exp": NOW + 3600}), "at most 120 s"),
    "no end": (forge({"exp": None}), "at most 120 s"),
    "no start": (forge({"nbf": None}), "at most 120 s"),
    "text time": (forge({"nbf": str(NOW)}), "at most 120 s"),
    "truth as time": (forge({"nbf": True, "exp": 100}), "at most 120 s"),
    "unknown kid": (forge({}, {"kid": "x"}), "no such key"),
    "signed by another": (forge({}, key=ec.derive_private_key(99, ec.SECP256R1())), "does not verify"),
    "other algorithm": (forge({}, key=ED, algorithm="EdDSA"), "not the key's"),
    "hmac of the public key": (forge({}, key="x" * 64, algorithm="HS256"), "neither ES256 nor EdDSA"),
    "cut": (forge({})[:-10], "does not verify"),
    "two parts": ("a.b", "not a token"),
    "nothing": ("", "not a token"),
    "no ascii": ("é.é.é", "not a token"),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_tokens_are_refused(case):
    token, reason = FORGED[case]
    with pytest.raises(auth.TokenRefused, match=reason):
        check(token, keys.load_key("the-key", SEC1))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "coinbase-cloud", "aud": ["retail_rest_api_proxy"], "iat": NOW},
        {"aud": ["cdp_service"], "uri": None, "uris": [f"GET {HOST}{PATH}"]},
        {"uri": f"GET http://{HOST}{PATH}"},
    ],
)
def test_claim_sets_of_other_clients_pass(claims):
    check(forge(claims), keys.load_key("the-key", SEC1))


def test_ws_token_names_no_request(key):
    token = auth.sign_ws(key, now_s=NOW, nonce=NONCE)
    assert auth.verify_ws(token, {key.name: key.verifying()}, now_s=NOW).nonce == NONCE
    with pytest.raises(auth.TokenRefused, match="another request"):
        check(token, key)


def verdict(vector, registered):
    now_s, request = vector["verify_at_unix"], vector["request"]
    try:
        if request is None:
            auth.verify_ws(vector["token"], registered, now_s=now_s)
        else:
            where = (request["method"], [request["host"]], request["path"])
            auth.verify_rest(vector["token"], registered, *where, now_s=now_s)
    except auth.TokenRefused:
        return "reject"
    return "accept"


def test_official_vectors_are_judged_as_listed(sample_json):
    listed = sample_json("TEST_ONLY_jwt_vectors.json")
    registered = {name: keys.load_public_key(name, k["pem"]) for name, k in listed["public_keys"].items()}
    judged = {v["id"]: verdict(v, registered) for v in listed["vectors"]}
    assert judged == {v["id"]: v["expect"] for v in listed["vectors"]}
    assert len(judged) == 20


KEY_OF_VECTOR = {
    "eddsa-rest-get-accounts": "TEST_ONLY_cdp_key_ed25519.json",
    "eddsa-rest-seed32-same-token": "TEST_ONLY_cdp_key_ed25519_seed32.json",
    "eddsa-rest-pem": "TEST_ONLY_cdp_key_ed25519.json",
    "eddsa-ws": "TEST_ONLY_cdp_key_ed25519.json",
    "es256-rest-get-accounts": "TEST_ONLY_cdp_key_es256.json",
    "es256-rest-pkcs8-post-orders": "TEST_ONLY_cdp_key_es256_pkcs8.json",
    "es256-ws": "TEST_ONLY_cdp_key_es256.json",
}


@pytest.mark.parametrize("vector_id", KEY_OF_VECTOR)
def test_official_vectors_are_reproduced(vector_id, sample, sample_json):
    listed = sample_json("TEST_ONLY_jwt_vectors.json")
    vector = next(v for v in listed["vectors"] if v["id"] == vector_id)
    key = keys.load_key_file(sample(KEY_OF_VECTOR[vector_id]))
    when = {"now_s": listed["fixed_time"], "nonce": listed["fixed_nonce"], "back_s": 0}
    request = vector["request"]
    made = (
        auth.sign_ws(key, **when)
        if request is None
        else auth.sign_rest(key, request["method"], request["host"], request["path"], **when)
    )
    theirs, ours = vector["token"].split("."), made.split(".")
    assert ours[:2] == theirs[:2]
    assert key.algorithm == "ES256" or ours == theirs
    assert verdict(vector | {"token": made}, {key.name: key.verifying()}) == "accept"
