"""A configuration for a trader that runs: its actors accept it, then its desk makes way for one that loads it."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from actors.compose.common import launch_of
from config import versions
from config.load import Loaded, load
from config.problems import ConfigError
from ops.desk import ask_desk, run_facts, who
from ops.exits import Exit, VerbError
from protocol.base import Value
from protocol.control import ProposeConfig, Reply, TakeUpConfig, Veto, View
from protocol.launch import Launch, fixed

JUDGE_S = 10.0
FORCE_S = 30.0
LOOK_S = 0.2
VERSIONS_BACK = 20


class VetoedError(VerbError):
    """Somebody in the running trader does not take it up; says who and why."""

    def __init__(self, vetoes: tuple[Veto, ...]) -> None:
        said = "; ".join(f"{veto.actor}: {veto.reason}" for veto in vetoes)
        super().__init__(f"refused by the running trader: {said}; the files are as they were", Exit.REFUSED)
        self.vetoes = vetoes


class Record(Value, frozen=True, kw_only=True):
    """What stays in the journal of an exchange: see `TakeUpConfig`."""

    version: int | None
    what: str
    said: str
    risk: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """The trader that runs on an installation, as its root told it to its children."""

    state: Path
    config: Path
    launch: Launch

    @property
    def running(self) -> str:
        """The hash of what it follows."""
        return self.launch.policy.config_hash

    def of_this_run(self, folder: Path) -> Loaded:
        """What a folder would be in this run: under its profile, its variables and its operator's options.

        Raises VerbError REFUSED: it would be wrong there.
        """
        launch = self.launch
        try:
            return load(
                folder,
                profile=launch.profile,
                overrides=dict(launch.overrides),
                environ=dict(launch.environment),
                profiles_from=self.config,
                under_way=True,
            )
        except ConfigError as error:
            raise VerbError(f"refused, in the run that is under way:\n{error}", Exit.REFUSED) from None

    def files_that_run(self) -> Path | None:
        """Where the files stand that it follows: in place, or a kept version; None where nobody has them any more."""
        kept = versions.kept(self.state)[-VERSIONS_BACK:]
        places = (self.config, *(versions.place(self.state, version.number) for version in reversed(kept)))
        return next((folder for folder in places if self.runs(folder)), None)

    def runs(self, folder: Path) -> bool:
        """Whether it follows what stands there."""
        try:
            return self.of_this_run(folder).policy.config_hash == self.running
        except VerbError:
            return False

    def proposed(self, folder: Path) -> ProposeConfig | None:
        """Ask whether what stands there may come into force; None: it does already, but for words that change nothing.

        Raises VetoedError: somebody says no, or not in time. VerbError REFUSED: it would be wrong in this run.
        """
        policy = self.of_this_run(folder).policy
        if policy.config_hash == self.running:
            return None
        found = self.launch.policy if policy.universe.discovery is not None else policy  # found anew when it is loaded
        request = ProposeConfig(
            by=who(),
            config_hash=policy.config_hash,
            before=self.running,
            products=found.universe.traded,
            fixed=fixed(policy),
        )
        try:
            reply = ask_desk(self.state, request, JUDGE_S)
        except VerbError as error:
            raise VetoedError((Veto(actor="control", reason=str(error)),)) from None
        if reply.code:
            raise VetoedError(_vetoes(reply))
        return request

    def take_up(self, accepted: ProposeConfig, record: Record) -> None:
        """Have it come into force, and wait until it is: a desk that died before it could make way is asked again.

        Raises VetoedError; VerbError TIMED_OUT: not in time.
        """
        request = TakeUpConfig(**asdict(accepted), **asdict(record))
        end = time.monotonic() + FORCE_S
        armed = bool(self._status().get("armed"))
        asked_of: object = None
        while time.monotonic() < end:
            status = self._status()
            if status.get("config_hash") == request.config_hash and (status["armed"] or not armed):
                return
            desk = self._desk_pid()
            if status.get("config_hash") == self.running and desk != asked_of:  # a desk that has not heard it yet
                asked_of = desk if self._told(request) else None
            time.sleep(LOOK_S)
        raise VerbError(f"not in force within {FORCE_S:g} s", Exit.TIMED_OUT)

    def _told(self, request: TakeUpConfig) -> bool:
        """Whether the desk makes way; without an answer nobody knows, so it is looked at again."""
        try:
            reply = ask_desk(self.state, request, JUDGE_S)
        except VerbError:
            return False
        if reply.code == Exit.REFUSED:
            raise VetoedError(_vetoes(reply))
        return reply.code == Exit.DONE

    def _status(self) -> dict[str, Any]:
        """What the desk says of itself; nothing while none answers."""
        try:
            reply = ask_desk(self.state, View(by=who(), what="status"))
        except VerbError:
            return {}
        status: dict[str, Any] = {} if reply.code else json.loads(reply.data)
        return status

    def _desk_pid(self) -> object:
        try:
            return run_facts(self.state)["desk_pid"]
        except (VerbError, KeyError):
            return None


def find(state: Path, config: Path) -> Trader:
    """The trader that holds the installation's lock. Raises VerbError REFUSED: it follows another folder, or starts."""
    try:
        launch = launch_of(state)
    except (OSError, msgspec.MsgspecError):
        raise VerbError(f"the trader of {state} is starting: try again in a moment", Exit.REFUSED) from None
    if launch.config_dir != os.path.realpath(config):
        text = f"the trader of {state} follows {launch.config_dir}: name it with --config, or stop the trader first"
        raise VerbError(text, Exit.REFUSED)
    return Trader(state=state, config=config, launch=launch)


def _vetoes(reply: Reply) -> tuple[Veto, ...]:
    try:
        return msgspec.json.decode(reply.data, type=tuple[Veto, ...])
    except msgspec.MsgspecError:
        return (Veto(actor="control", reason=reply.text),)
