"""Every key says what it is, in which unit, within which range and why; and the shipped files hold them all."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import yaml
from msgspec import inspect

from config.check import described, known_keys, plain_type
from config.deprecated import DEPRECATED
from config.files import FILES, Config
from config.layers import BY_RISK_PROFILE, leaves
from config.schema import Range
from protocol.policy import Mode

SHIPPED = Path(__file__).resolve().parents[2] / "config"


def keys(found, prefix=""):
    """Every leaf of the schema with its declared type and default."""
    for f in found.fields:
        bare, _ = plain_type(f.type)
        if isinstance(bare, inspect.DictType):
            inner, _ = plain_type(bare.value_type)
            if isinstance(inner, inspect.StructType):
                yield from keys(inner, f"{prefix}{f.encode_name}.*.")
            else:
                yield f"{prefix}{f.encode_name}.*", bare.value_type, inspect.NODEFAULT
        elif isinstance(bare, inspect.StructType):
            yield from keys(bare, f"{prefix}{f.encode_name}.")
        else:
            yield f"{prefix}{f.encode_name}", f.type, f.default


ALL = [(name, *entry) for name, cls in FILES.items() for entry in keys(described(cls))]
IDS = [f"{name}.{key}" for name, key, *_ in ALL]


@pytest.mark.parametrize(("file", "key", "declared", "default"), ALL, ids=IDS)
def test_key_has_unit_range_and_reason(file, key, declared, default):
    assert isinstance(declared, inspect.Metadata)
    assert len(declared.extra_json_schema["description"]) >= 8
    assert declared.extra["unit"]
    bare, bounds = declared.type, declared.extra["range"]
    if isinstance(bare, inspect.IntType | inspect.DecimalType):
        assert isinstance(bounds, Range)
        assert Decimal(bounds.low) < Decimal(bounds.high)
        assert default is inspect.NODEFAULT or bounds.holds(default)


def test_known_keys_are_the_schemas():
    assert {key.partition(":")[2] for key in known_keys()} == {key for _, key, *_ in ALL}


def test_paths_that_name_no_file_are_unambiguous():
    bare = [key.partition(":")[2] for key in known_keys()]
    assert sorted({key for key in bare if bare.count(key) > 1}) == []


def test_shipped_files_hold_every_key_but_those_of_the_risk_profile():
    by_profile = tuple(target for _, target in BY_RISK_PROFILE)
    for name, cls in FILES.items():
        held = dict(leaves(yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())))
        wanted = {key for key, *_ in keys(described(cls)) if "*" not in key and not key.startswith(by_profile)}
        assert wanted - set(held) == set(), name
        assert not [key for key in held if key.startswith(by_profile)], name


def test_safety_keys_default_to_the_safest_value():
    defaults = {key: default for _, key, _, default in ALL}
    assert defaults["app.mode"] is Mode.DRY_RUN
    assert defaults["exchange.read_only"] is True
    assert defaults["governance.live_trading_enabled"] is False
    assert defaults["strategies.*.enabled"] is False
    assert defaults["risk.max_total_at_risk_pct"] == 15
    assert defaults["risk.max_position_size_pct"] == 5


def test_deprecated_keys_are_no_keys():
    assert set(DEPRECATED) & {key for _, key, *_ in ALL} == set()
    assert {"risk.max_exposure_pct", "universe.cache_ttl_seconds"} <= set(DEPRECATED)


def test_schema_exports_with_units_and_bounds():
    exported = msgspec.json.schema(Config)
    total = exported["$defs"]["Risk"]["properties"]["max_total_at_risk_pct"]
    assert total["exclusiveMinimum"] == 0
    assert total["maximum"] == 100
    assert total["x-unit"] == "% of NAV"
    assert total["description"]
