"""Exit codes of every verb, and the one exception that carries one to the door."""

from enum import IntEnum


class Exit(IntEnum):
    """What a verb's exit code means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """Not found, or the command line is wrong."""
    NOT_RUNNING = 3
    REFUSED = 4
    """Configuration or a gate said no."""
    TIMED_OUT = 5


class VerbError(Exception):
    """A verb ends with one clear line for the user and an exit code; never a traceback.

    Args:
        message: what went wrong and, where there is one, what to do about it.
        code: the exit code; FAILED when nothing finer fits.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
