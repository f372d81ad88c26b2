"""A run that must not begin: it ends with 4, and says which file and what to do."""

import subprocess
import sys

import pytest

from actors.venue.server_keys import registered_key
from tests.support.installation import FREE_PORTS
from tests.support.venue_server import ROOT


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_key_that_others_may_read_ends_the_run_before_it_is_used(tmp_path):
    state = tmp_path / "state"
    key = state / "venue-key.json"
    registered_key(key)
    key.chmod(0o644)
    command = [sys.executable, "-m", "ops.cli", "run", "--state", str(state), *FREE_PORTS]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 4, said
    assert f"{key}: mode 0644 lets others at the key" in said
    assert "Traceback" not in said
    assert "PRIVATE KEY" not in said
    key.chmod(0o600)
    ended = subprocess.run(
        [*command, "--for", "10"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
