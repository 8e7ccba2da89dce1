"""Fits that are kept from one process to the next: only what is right is believed."""

import json

import numpy as np
import pytest

from ditto_compiler.oneshot import cache
from ditto_compiler.oneshot import fit as fitting
from ditto_compiler.oneshot.fit import FitError, fit

OPTIONS = {"ring_frac": 10, "result": (20, 12), "error": 1e-3}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("DITTO_CACHE", str(tmp_path))
    monkeypatch.setattr(fitting, "_FITTED", {})
    monkeypatch.setattr(fitting, "_SEARCHES", {})
    return tmp_path / "fits"


def tanh(**changes):
    return fit(np.tanh, -3, 3, **{**OPTIONS, **changes})


def forget(monkeypatch, *, searches):
    """What this process remembers; with no `searches` either, nothing can be found but what was kept."""
    monkeypatch.setattr(fitting, "_FITTED", {})
    monkeypatch.setattr(fitting, "_SEARCHES", {})
    if not searches:
        monkeypatch.setattr(fitting, "Search", None)


def test_another_process_need_not_search(place, monkeypatch):
    terms = tanh()
    (kept,) = place.iterdir()
    assert kept.suffix == ".json"
    forget(monkeypatch, searches=False)
    assert tanh() == terms
    with pytest.raises(TypeError):
        tanh(error=2e-3)


def test_neither_need_it_find_out_again_what_is_hopeless(place, monkeypatch):
    reasons = []
    for searches in (True, False):
        forget(monkeypatch, searches=searches)
        with pytest.raises(FitError) as failed:
            tanh(error=1e-6, max_words=4)
        reasons.append(str(failed.value))
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize(
    "change",
    [
        {"low": -5, "high": 5},
        {"result_frac": 11},
        {"result_ring": 21},
        {"relative": 1},
        {"error": 1},
        {"error": 1 << 38},
        {"constant": 1 << 20},
        {"ring": 99},
        {"kind": "table"},
        {"terms": []},
        {"terms": None},
    ],
    ids=str,
)
def test_what_was_tampered_with_is_not_believed(place, monkeypatch, change):
    terms = tanh()
    (kept,) = place.iterdir()
    content = json.loads(kept.read_text())
    content["terms"] |= change
    kept.write_text(json.dumps(content))
    forget(monkeypatch, searches=True)
    assert tanh() == terms
    assert json.loads(kept.read_text())["terms"] == terms.to_attributes(), "it is repaired"


def test_terms_of_another_function_are_not_believed(place, monkeypatch):
    terms, other = tanh(), fit(np.sin, -3, 3, **OPTIONS)
    for kept in place.iterdir():
        kept.write_text(json.dumps({"terms": other.to_attributes()}))
    forget(monkeypatch, searches=True)
    assert tanh() == terms


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"terms": 3}',
        b'{"reason": ""}',
        b'{"reason": 3}',
        b'{"reason": "a", "terms": {}}',
        b"[" * 100_000,
        b" " * (1 << 19),
    ],
    ids=lambda text: str(text[:20]),
)
def test_nonsense_is_no_cache(place, monkeypatch, text):
    terms = tanh()
    (kept,) = place.iterdir()
    kept.write_bytes(text)
    forget(monkeypatch, searches=True)
    assert tanh() == terms


@pytest.mark.parametrize("obstacle", ["file", "link to nowhere", "folder of that name"])
def test_a_folder_that_cannot_be_had_is_no_cache(place, monkeypatch, tmp_path, obstacle):
    if obstacle == "file":
        place.write_text("")
    elif obstacle == "link to nowhere":
        place.symlink_to(tmp_path / "none" / "there")
        (tmp_path / "none").write_text("")
    else:
        tanh()
        (kept,) = place.iterdir()
        kept.unlink()
        kept.mkdir()
        forget(monkeypatch, searches=True)
    assert tanh().words <= 8
    if place.is_dir():
        assert all(entry.is_dir() for entry in place.iterdir()), "nothing is left behind"


def test_where_fits_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("DITTO_CACHE", "")
    assert cache.folder() is None
    monkeypatch.delenv("DITTO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "ditto" / "fits"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "ditto" / "fits"


def test_nothing_is_written_where_there_is_no_cache(place, monkeypatch):
    monkeypatch.setenv("DITTO_CACHE", "")
    tanh()
    assert not place.exists()
