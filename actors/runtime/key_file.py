"""The key file of a run: the owner's alone to read (fault H4), read once, hidden from every log before it is parsed."""

import stat
from pathlib import Path

from actors.runtime.redaction import hide
from protocol.coinbase.keys import BadKey, SigningKey, load_key_file

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(Exception):
    """The key cannot be used; the text names the file and the rule, never what is in it."""


def read_key(path: Path) -> SigningKey:
    """The key in a file as the portal delivers it.

    Raises:
        KeyFileError: it cannot be read, others may read or change it, or it holds no key.
    """
    try:
        with path.open() as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = file.read()
    except (OSError, UnicodeError) as error:
        raise KeyFileError(f"{path}: the key file cannot be read: {error}") from None
    hide(text)
    if mode & _OTHERS:
        raise KeyFileError(f"{path}: mode {mode:04o} lets others at the key: `chmod 600 {path}`")
    try:
        return load_key_file(text)
    except BadKey as error:
        raise KeyFileError(f"{path}: {error}") from None
