"""What a process writes about itself: one JSON line per event, stamped, rotated, and without any secret."""

import json
import logging
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.runtime import logging as trader_logging
from actors.runtime.redaction import REDACTED, hide, redact, redact_value

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def log_file(tmp_path):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield trader_logging.configure("desk", tmp_path, "INFO")
    for handler in [h for h in root.handlers if h not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def pem():
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def test_an_event_is_one_json_line_with_who_when_and_what(log_file):
    trader_logging.get("gateway").info("order_sent", order="b-1", attempt=2)
    (line,) = lines(log_file)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", line.pop("ts"))
    assert line == {
        "level": "info", "process": "desk", "logger": "gateway", "event": "order_sent", "order": "b-1", "attempt": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("now_ns", "text"),
    [(0, "1970-01-01T00:00:00.000000000Z"), (1_792_713_845_000_000_001, "2026-10-23T00:04:05.000000001Z")],
)
def test_time_keeps_every_nanosecond(now_ns, text):
    assert trader_logging.utc_ns(now_ns) == text


def test_levels_below_the_wanted_are_dropped_and_libraries_are_heard(log_file):
    trader_logging.get("feed").debug("too_quiet")
    logging.getLogger("aiohttp.client").warning("connection to %s lost", "venue")
    assert [(line["logger"], line["event"]) for line in lines(log_file)] == [
        ("aiohttp.client", "connection to venue lost")
    ]


def test_configuring_again_replaces_the_earlier(log_file, tmp_path):
    again = trader_logging.configure("desk", tmp_path, "INFO")
    trader_logging.get("feed").info("once")
    assert len(lines(again)) == 1


def test_files_are_for_the_owner_only(log_file):
    assert stat.S_IMODE(log_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(log_file.parent.stat().st_mode) == 0o700


def test_size_and_number_of_files_are_bounded(log_file, monkeypatch, tmp_path):
    monkeypatch.setattr(trader_logging, "MAX_BYTES", 2_000)
    monkeypatch.setattr(trader_logging, "BACKUPS", 2)
    path = trader_logging.configure("desk", tmp_path, "INFO")
    for n in range(200):
        trader_logging.get("feed").info("tick", n=n)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["desk.jsonl", "desk.jsonl.1", "desk.jsonl.2"]
    assert max(file.stat().st_size for file in files) <= 2_000 + 200  # the last line may stand over the limit
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert lines(path)[-1]["n"] == 199


@pytest.mark.req("SEC1")
def test_no_secret_reaches_the_file_by_any_road(log_file):
    key = pem()
    body = "".join(key.splitlines()[1:-1])
    log = trader_logging.get("auth")
    log.info("loaded", key=key, nested={"headers": [{"Authorization": "Bearer short-one"}], "more": (key,)})
    log.bind(pem=key.replace("\n", "\\n")).warning("escaped")
    logging.getLogger("aiohttp").error("failed with %s", key)
    try:
        int(key)
    except ValueError:
        log.exception("broke")
    text = log_file.read_text()
    assert len(lines(log_file)) == 4
    assert "ValueError" in text
    pieces = [body[at : at + 24] for at in range(0, len(body) - 24, 8)]
    assert [piece for piece in [*pieces, "short-one"] if piece in text] == []


@pytest.mark.req("SEC1")
@pytest.mark.parametrize("seed", range(50))
def test_raw_key_material_has_no_innocent_shape(seed):
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes((seed * 37 + n * n * 11 + 5) % 256 for n in range(32)))
    raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    assert redact(f"key {raw.hex()} end") == f"key {REDACTED} end"


@pytest.mark.req("SEC1")
@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE cut off",
        "Authorization: Bearer abc",
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "CB-ACCESS-SIGN: 9f86",
        "https://user:pw@hooks.example/path",
        "api_secret=tiny&x=1",
        "c3VwZXIgc2VjcmV0IGtleSBtYXRlcmlhbCBmb3IgdGVzdHM0Mg==",
        "9f86d081884c7d659a2feaa0c55ad015",
    ],
)
def test_what_looks_like_a_secret_goes(text):
    secret = text.split("@", maxsplit=1)[0].split()[-1].split("=", maxsplit=1)[-1].split("&")[0] or text
    cleaned = redact(text)
    assert REDACTED in cleaned
    assert secret not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "bot1-btc-usd-20261122t153809123z-12_345-a2",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "File some/where/site-packages/aiohttp/connector.py line 12",
        "trader_decision_duration_seconds_exceeded_its_budget_again",
        "config_hash 9f86d081884c7d65",
        "price 61234.12345678 size 0.00000001",
    ],
)
def test_what_operators_need_stays(text):
    assert redact(text) == text


def test_names_tell_secrets_and_numbers_are_none():
    public = {"secret_age_days": 12, "client_order_id": "b-1", "token": None}
    assert redact_value({"api_key": "x", "CB_API_SECRET": "y", **public}) == {
        "api_key": REDACTED,
        "CB_API_SECRET": REDACTED,
        **public,
    }


def test_hidden_values_go_wherever_they_stand():
    hide("correct horse")
    assert redact("said 'correct horse battery'") == f"said '{REDACTED} battery'"


@pytest.mark.parametrize("no_color", [True, False])
def test_a_terminal_gets_readable_lines_too(tmp_path, no_color):
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    if no_color:
        environment["NO_COLOR"] = "1"
    code = (
        "import sys, pathlib; from actors.runtime import logging as l; l.configure('desk', pathlib.Path(sys.argv[1]));"
    )
    code += "l.get('feed').info('hello', api_key='sesame')"
    ours, theirs = os.openpty()
    subprocess.run([sys.executable, "-c", code, tmp_path], stderr=theirs, env=environment, check=True)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert "hello" in shown
    assert "sesame" not in shown
    assert ("\x1b[" in shown) is not no_color
