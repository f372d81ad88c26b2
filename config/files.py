"""The five files as one configuration."""

from config.schema import Section
from config.schema_app import AppFile
from config.schema_market import SignalsFile, StrategiesFile, UniverseFile
from config.schema_policy import PolicyFile


class Config(Section, frozen=True, kw_only=True):
    """Everything effective, file by file."""

    app: AppFile
    policy: PolicyFile
    universe: UniverseFile
    signals: SignalsFile
    strategies: StrategiesFile


FILES: dict[str, type[Section]] = {
    "app": AppFile,
    "policy": PolicyFile,
    "universe": UniverseFile,
    "signals": SignalsFile,
    "strategies": StrategiesFile,
}
