"""A key file is its owner's alone, and what is wrong with one is said without a word of what is in it."""

import json

import pytest

from actors.runtime.key_file import KeyFileError, read_key
from actors.runtime.redaction import redact

SEED = "3q2+7w" + "A" * 37 + "="


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"name": "organizations/1/apiKeys/2", "privateKey": SEED}))
    path.chmod(0o600)
    return path


def test_the_owners_own_file_is_a_key(file):
    assert read_key(file).name == "organizations/1/apiKeys/2"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o666])
def test_a_file_that_others_may_read_or_change_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(KeyFileError, match="lets others at the key") as refused:
        read_key(file)
    assert str(file) in str(refused.value)
    assert SEED not in str(refused.value)


def test_what_stands_in_a_refused_file_is_hidden_from_every_log_all_the_same(file):
    file.chmod(0o644)
    with pytest.raises(KeyFileError):
        read_key(file)
    assert SEED not in redact(f"the key is {SEED}")


def test_a_file_that_is_not_there_and_one_that_is_no_key_are_named(file, tmp_path):
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_key(tmp_path / "none.json")
    file.write_text("{}")
    with pytest.raises(KeyFileError, match=str(file)):
        read_key(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_key(file)
