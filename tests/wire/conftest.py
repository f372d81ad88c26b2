"""Recorded samples of the venue, kept beside the repository; without them their tests skip and the inline ones stay."""

import json
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "coinbase" / "samples"


@pytest.fixture
def sample():
    """Reads a sample file's text, or skips."""

    def read(name):
        path = SAMPLES / name
        if not path.exists():
            pytest.skip(f"recorded sample {name} is not beside this checkout")
        return path.read_text()

    return read


@pytest.fixture
def sample_json(sample):
    return lambda name: json.loads(sample(name))


@pytest.fixture
def differences():
    return find_differences


def find_differences(sent, written, at="$"):
    """What decoding and encoding changed: values, and members added with anything but an absent value.

    Members of `sent` that `written` lacks come as `$.path: dropped`; the caller says which may be.
    """
    if isinstance(sent, dict) and isinstance(written, dict):
        found = [d for k in sent.keys() & written.keys() for d in find_differences(sent[k], written[k], f"{at}.{k}")]
        found += [f"{at}.{k}: dropped" for k in sent.keys() - written.keys()]
        return found + [f"{at}.{k}: invented {written[k]!r}" for k in written.keys() - sent.keys() if written[k]]
    if isinstance(sent, list) and isinstance(written, list) and len(sent) == len(written):
        return [
            d for i, (a, b) in enumerate(zip(sent, written, strict=True)) for d in find_differences(a, b, f"{at}[{i}]")
        ]
    return [] if sent == written else [f"{at}: {sent!r} became {written!r}"]
