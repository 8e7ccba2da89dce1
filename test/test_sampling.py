"""Drawing tokens from logits: by their probabilities, the likeliest ones, and by whose chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ditto.sampling import Sampling
from ditto_compiler.errors import DittoError

LOGITS = np.array([0.5, 2.0, -1.0, 1.0, -np.inf], np.float32)


def probabilities(logits, temperature):
    weights = np.exp(np.asarray(logits, np.float64) / temperature)
    return weights / weights.sum()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_each_token_has_its_part_of_the_interval(temperature):
    draws = (np.arange(20000) + 0.5) / 20000
    found = [Sampling(temperature).chosen(LOGITS, draw) for draw in draws]
    parts = np.bincount(found, minlength=5) / len(draws)
    np.testing.assert_allclose(parts, probabilities(LOGITS, temperature), atol=1e-4)


def test_of_the_likeliest_alone():
    draws = np.linspace(0, 1, 1000, endpoint=False)
    found = [Sampling(2.0, top_k=2).chosen(LOGITS, draw) for draw in draws]
    expected = probabilities([2.0, 1.0], 2.0)
    assert set(found) == {1, 3}
    assert found.count(1) / 1000 == pytest.approx(expected[0], abs=2e-3)
    assert {Sampling(9.0, top_k=1).chosen(LOGITS, draw) for draw in draws} == {1}
    # Ties: the lower ids, as many as asked for.
    assert {Sampling(1.0, top_k=2).chosen(np.zeros(4), draw) for draw in draws} == {0, 1}


@given(
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=20),
    st.floats(1e-300, 1e300),
    st.integers(1, 30),
    st.floats(0, 1, exclude_max=True),
)
def test_whatever_is_drawn_is_one_of_the_likeliest(logits, temperature, top_k, draw):
    token = Sampling(temperature, top_k).chosen(np.array(logits, np.float32), draw)
    better = sum(other > np.float32(logits[token]) for other in np.array(logits, np.float32))
    assert better < top_k


def test_a_seed_repeats_draws_and_the_systems_randomness_does_not():
    def drawn(seed):
        choose = Sampling(seed=seed).chooser()
        return [choose(np.zeros(1000)) for _ in range(20)]

    assert drawn(3) == drawn(3) != drawn(4)
    assert drawn(None) != drawn(None)


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan")])
def test_temperatures_that_are_none(temperature):
    with pytest.raises(DittoError, match="the temperature must be a number above 0"):
        Sampling(temperature)
