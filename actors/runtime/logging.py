"""Structured logging of one process: a JSON line per event in STATE/logs, and a readable line on a terminal.

Everything goes through the standard library's root logger, so that what third-party packages say is stamped, redacted
and rotated too. Redaction stands directly before rendering and has no switch.
"""

import logging
import logging.handlers
import os
import sys
import time
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import structlog
from structlog.typing import EventDict, Processor

from actors.runtime.redaction import redact_value

MAX_BYTES = 20_000_000
BACKUPS = 20
"""At most 420 MB per process; the 90 days of retention are pruned by date, not here."""

_NS_PER_S = 1_000_000_000


def configure(process: str, state_dir: Path, level: int | str = "INFO") -> Path:
    """Sends every log event of this process to `STATE/logs/<process>.jsonl`, and to standard error if a terminal.

    Calling it again replaces the earlier set-up. The directory is made 0700 and the file 0600: logs tell positions.

    Args:
        process: which process speaks; stamped on each line.
        state_dir: the installation's state directory; made when missing.
        level: the least severe level kept.

    Returns:
        The log file.

    Raises:
        OSError: the directory or file cannot be written.
    """
    path = state_dir / "logs" / f"{process}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = _PrivateFile(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")
    file.setFormatter(_formatter(process, structlog.processors.JSONRenderer(ensure_ascii=False)))
    handlers: list[logging.Handler] = [file]
    if sys.stderr.isatty():
        console = logging.StreamHandler(sys.stderr)
        console.setFormatter(_formatter(process, _console_renderer()))
        handlers.append(console)
    _replace_root_handlers(handlers, level)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a process that configures again, as tests do, must not keep the old one
    )
    return path


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Returns the logger of one room: `log.info("order_placed", order=coid, cause=seq)`. Keys carry units."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))


def utc_ns(now_ns: int) -> str:
    """Formats nanoseconds since the epoch as RFC 3339 with all nine digits, in UTC."""
    seconds, fraction = divmod(now_ns, _NS_PER_S)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:09d}Z"


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotating file whose every generation only its owner may read."""

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: ARG002, N802 - the parent's signature
        # The parent formats, and so redacts, every record twice to know its size; one line over the limit costs less.
        return self.stream is not None and self.stream.tell() >= self.maxBytes

    def _open(self) -> TextIOWrapper:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return cast("TextIOWrapper", open(self.baseFilename, self.mode, encoding=self.encoding, opener=private))


def _formatter(process: str, renderer: Processor) -> logging.Formatter:
    def stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        # Time first, so that a line sorts; the rest in the order it was said.
        return {
            "ts": utc_ns(time.time_ns()),
            "level": record.levelname.lower(),
            "process": process,
            "logger": record.name,
            **event,
        }

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            stamp,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _redact,
            renderer,
        ],
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
    )


def _redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return cast("EventDict", redact_value(event))


def _console_renderer() -> Processor:
    return structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, timestamp_key="ts")


def _replace_root_handlers(handlers: list[logging.Handler], level: int | str) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        # Only ours: a test runner's own handlers stay.
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
