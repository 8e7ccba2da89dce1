"""`ditto bench domains`: laws that hold, and one that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

import ditto
from ditto.bench.measured_domains import OURS, measure, measure_ours
from ditto.bench.raw_engine import RawEngine
from ditto_compiler.encoding import Fxp
from ditto_compiler.spu import domains
from ditto_tools.cli import cli


@pytest.mark.parametrize(("ring", "frac"), [(32, 10), (64, 16), (64, 20), (128, 26)])
def test_the_engine_keeps_the_laws(ring: int, frac: int) -> None:
    engine = RawEngine(ring, frac)
    for name in domains.LAWS:
        row = measure(engine, name, 60)
        assert row.holds, row


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(("ring", "frac"), [(64, 14), (64, 18), (64, 24), (128, 40)])
def test_what_is_written_out_keeps_the_laws(
    cluster: ditto.LocalCluster, name: str, ring: int, frac: int
) -> None:
    row = measure_ours(cluster, name, Fxp(ring, frac), 100)
    assert row.share <= 1 and not row.law.is_empty


def test_upper_ends_are_where_the_engine_fails() -> None:
    """The last right argument is within an octave of the law; for most, within a sixteenth."""
    engine = RawEngine(64, 18)
    for name in ("log", "log_plus_one", "rsqrt", "sqrt"):
        row = measure(engine, name, 20)
        assert 0.95 * row.law.high < row.end < row.law.high


def test_the_command_prints_a_table_and_succeeds() -> None:
    result = CliRunner().invoke(cli, ["bench", "domains", "--encodings", "32/12"])
    assert result.exit_code == 0, result.output
    assert "tanh" in result.output and "as stated" not in result.output


def test_a_law_that_does_not_hold_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    law = domains.LAWS["tanh"]
    monkeypatch.setitem(
        domains.LAWS, "tanh", lambda ring, frac: replace(law(ring, frac), abs_error=2.0**-frac)
    )
    result = CliRunner().invoke(cli, ["bench", "domains", "--encodings", "32/12"])
    assert result.exit_code == 1
    assert "tanh in #ditto.fxp<32, 12> errs" in result.output


def test_encodings_that_there_are_not_are_refused() -> None:
    for text in ("64", "16/8", "64/70", "a/b"):
        result = CliRunner().invoke(cli, ["bench", "domains", "--encodings", text])
        assert result.exit_code == 2 and "RING/FRACTION" in result.output
