"""One-shot functions: what terms say, and what fits reach, against the functions themselves."""

import dataclasses
import math
import time

import numpy as np
import pytest
from scipy.special import erf

from ditto_compiler.errors import DittoError
from ditto_compiler.oneshot.fit import BEYOND, EVERY, FitError, fit
from ditto_compiler.oneshot.series import Samples
from ditto_compiler.oneshot.terms import Term, Terms, TermsError, evaluate, rounding, values


def gelu_even(x):
    return x / 2 * erf(x / math.sqrt(2))


def silu_even(x):
    return x / 2 * np.tanh(x / 2)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(0, x)


def arguments(terms):
    return np.arange(terms.low, terms.high + 1)


def bits(terms):
    return 2 * sum(terms.word_bits(term) for term in terms.terms) + 2 * terms.result_ring


def worst(terms, function, step=1):
    """The greatest error of what the parties compute but for rounding, at every so many arguments."""
    x = arguments(terms)[::step]
    y = function(np.ldexp(x.astype(np.float64), -terms.frac))
    off = np.abs(values(terms, x) - y) / (np.abs(y) if terms.relative else 1)
    half = 0.5 / 2**terms.result_frac
    assert np.abs(evaluate(terms, x) / 2**terms.result_frac - values(terms, x)).max() <= half
    return off.max()


@pytest.mark.parametrize(
    ("function", "low", "high", "error", "words"),
    [
        (gelu_even, -6, 6, 1e-3, 8),
        (gelu_even, -6, 6, 1e-4, 10),
        (gelu_even, -8, 8, 1e-3, 10),
        (silu_even, -8, 8, 1e-3, 8),
        (silu_even, -8, 8, 1e-4, 12),
        (np.tanh, -4, 4, 1e-3, 8),
        (logistic, -8, 8, 1e-3, 8),
        (logistic, -8, 8, 1e-4, 12),
        (erf, -3, 3, 1e-3, 6),
        (np.sin, -8, 8, 1e-3, 6),
        (np.cos, -8, 8, 1e-3, 6),
        (softplus, -8, 8, 1e-3, 8),
        (np.sqrt, 0.1, 4, 1e-3, 12),
        (lambda x: x**3, -4, 4, 1e-2, 6),
        (lambda x: np.sin(x) * np.exp(-(x**2) / 8) + 0.1 * x, -4, 4, 1e-3, 8),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_functions_fit_in_few_words(function, low, high, error, words):
    terms = fit(function, low, high, ring_frac=12, result=(22, 12), error=error)
    assert worst(terms, function) <= terms.error_bound <= error * (1 + 1e-6)
    assert terms.words <= words
    assert terms.low + BEYOND == math.ceil(low * 2**terms.frac)
    assert terms.high - BEYOND == math.floor(high * 2**terms.frac)
    assert (terms.result_ring, terms.result_frac) == (22, 12) and terms.frac <= 12


@pytest.mark.parametrize("low", [-7.9, -15.9])
def test_exponentials_take_two_words(low):
    terms = fit(np.exp, low, 0, ring_frac=14, result=(16, 14), error=1e-6)
    assert (terms.kind, terms.words) == ("exponential", 2)
    assert worst(terms, np.exp) <= terms.error_bound <= 1e-6
    assert rounding(terms) <= 4.3
    assert bits(terms) <= 18 * 8


@pytest.mark.parametrize(
    "function",
    [
        np.exp2,
        lambda x: 3 * np.exp(-1.5 * x),
        lambda x: 1 - np.exp(-x),
        lambda x: -np.exp(x / 3) - 5,
        np.expm1,
    ],
)
def test_other_exponentials_do_too(function):
    terms = fit(function, -2, 3, ring_frac=12, result=(24, 12), error=1e-5)
    assert (terms.kind, terms.words) == ("exponential", 2)
    assert worst(terms, function) <= terms.error_bound <= 1e-5


@pytest.mark.parametrize(
    ("function", "low", "high", "frac", "error"),
    [
        (lambda x: 1 / x, 1, 16, 10, 1e-4),
        (lambda x: 1 / x, 1, 128, 10, 1e-3),
        (lambda x: 1 / np.sqrt(x), 0.25, 16, 12, 1e-3),
        (lambda x: 1 / np.sqrt(x), 0.25, 16, 12, 1e-4),
    ],
)
def test_relative_errors(function, low, high, frac, error):
    terms = fit(
        function, low, high, ring_frac=frac, result=(24, 20), error=error, relative=True, max_words=128
    )
    assert terms.relative
    assert worst(terms, function) <= terms.error_bound <= error * (1 + 1e-6)


@pytest.mark.parametrize("low", [-15.9, -16])
def test_both_ends_count_and_what_rounding_makes_of_them(low):
    terms = fit(np.exp, low, 0, ring_frac=14, result=(20, 14), error=1e-5)
    ends = np.array([math.ceil(low * 2**14), 0])
    for off in range(-BEYOND, BEYOND + 1):
        assert values(terms, ends + off) == pytest.approx(np.exp((ends + off) * 2.0**-14), abs=1e-5)


def test_beyond_where_a_function_ends_it_stays_as_it_was():
    terms = fit(np.sqrt, 0, 4, ring_frac=10, result=(22, 12), error=5e-2, max_words=64)
    assert values(terms, np.arange(-BEYOND, 1)) == pytest.approx(0, abs=5e-2)
    with pytest.raises(FitError, match="is 0 there"):
        fit(np.sqrt, 0, 4, ring_frac=10, result=(22, 12), error=5e-2, relative=True)


def test_arguments_have_no_more_bits_than_the_error_asks_for():
    coarse, fine = (fit(np.tanh, -4, 4, ring_frac=30, result=(22, 16), error=e) for e in (1e-2, 1e-3))
    # A step changes tanh by 2^-frac at most.
    assert 1e-3 / 8 < 2.0**-fine.frac <= 1e-3 / 4
    assert 1e-2 / 8 < 2.0**-coarse.frac <= 1e-2 / 4
    assert fit(np.tanh, -4, 4, ring_frac=8, result=(22, 16), error=1e-3).frac == 8
    relative = fit(lambda x: 1 / x, 0.25, 2, ring_frac=30, result=(22, 16), error=1e-2, relative=True)
    assert 1e-2 / 8 < 2.0**-relative.frac / 0.25 <= 1e-2 / 4


def test_a_result_gives_up_bits_that_words_have_no_room_for():
    options = {"ring_frac": 12, "error": 1e-3}
    assert fit(np.tanh, -4, 4, result=(40, 14), fewer=6, **options).result_ring == 40
    terms = fit(np.tanh, -4, 4, result=(60, 16), fewer=9, **options)
    assert terms.result_ring - terms.result_frac == 44 and 7 <= terms.result_frac < 16
    assert worst(terms, np.tanh) <= terms.error_bound <= 1e-3 * (1 + 1e-6)
    with pytest.raises(FitError, match=f"with {terms.result_frac} fraction bits"):
        fit(np.tanh, -4, 4, result=(60, 16), **options)


def test_a_wider_ring_lets_fewer_words_do():
    narrow, wide = (
        fit(gelu_even, -6, 6, ring_frac=12, result=(22, 12), error=1e-3, max_ring=ring) for ring in (16, 22)
    )
    assert narrow.ring <= 16 < wide.ring <= 22
    assert wide.words < narrow.words


def test_less_noise_takes_longer_words():
    loud, quiet = (
        fit(np.tanh, -4, 4, ring_frac=12, result=(20, 12), error=1e-3, noise=noise) for noise in (2.0, 0.05)
    )
    assert bits(loud) < bits(quiet)
    assert rounding(quiet) < rounding(loud)


def test_many_arguments_are_bounded_from_samples():
    """Where not every argument is looked at, the bound holds all the same."""
    terms = fit(np.tanh, -8, 8, ring_frac=19, result=(20, 16), error=2e-4)
    assert len(arguments(terms)) > EVERY
    # A step that shares no factor with that of the samples meets arguments everywhere between them.
    assert worst(terms, np.tanh, step=17) <= terms.error_bound <= 2e-4 * (1 + 1e-6)


def test_a_spike_between_samples_is_seen_as_curvature():
    """A function that bends more than its samples show cannot be proven; one that they show can."""

    def wiggly(x):
        return np.tanh(x) + 2e-3 * np.sin(x * 2**14)

    with pytest.raises(FitError, match="the best has"):
        fit(wiggly, -4, 4, ring_frac=19, result=(20, 12), error=1e-3)


def test_fits_are_the_same_each_time_and_made_once():
    calls = []

    def counted(x):
        calls.append(len(x))
        return np.tanh(x)

    options = {"ring_frac": 12, "result": (22, 12), "error": 1e-3}
    first = fit(counted, -3, 3, **options)
    assert fit(counted, -3, 3, **options) is first
    assert fit(lambda x: np.tanh(x), -3, 3, **options) is first, "another function with the same values"
    assert fit(counted, -3, 3, **{**options, "error": 2e-3}) is not first
    assert fit(counted, -3, 3, **{**options, "result": (23, 12)}).result_ring == 23
    from ditto_compiler.oneshot import fit as module

    module._FITTED.clear()
    module._SEARCHES.clear()
    assert fit(counted, -3, 3, **options) == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluate": np.abs, "error": 1e-4}, "8 words reaches error 0.0001 from -4 to 4: the best has 0"),
        ({"evaluate": np.sign, "error": 1e-3}, "8 words reaches error 0.001 .* the best has"),
        ({"evaluate": lambda x: 1 / x}, r"from -4 to 4: it is not finite at 0\.0"),
        ({"evaluate": np.log}, r"it is not finite at -4\.0"),
        ({"evaluate": lambda x: x[:3]}, r"numbers of shape \(3,\) for arguments of shape \(1025,\)"),
        ({"evaluate": lambda x: 0 * x, "relative": True}, "to a relative error: it is 0 there"),
        ({"low": 4}, "from 4 to 4: expected finite numbers in order"),
        ({"low": math.nan}, "expected finite numbers in order"),
        ({"high": math.inf}, "expected finite numbers in order"),
        ({"high": -4 + 2**-12}, "too few arguments"),
        ({"error": 0.0}, "must be above 0"),
        ({"error": math.nan}, "must be above 0"),
        ({"noise": 0.0}, "must be above 0"),
        ({"max_words": 0}, "0 words"),
        ({"max_ring": 14}, "none fits words of 64 bits; allow"),
        ({"result": (60, 12)}, "none fits words of 64 bits; one does with . fraction bits"),
    ],
)
def test_what_cannot_be_fitted_is_told(change, message):
    options = {"evaluate": np.tanh, "low": -4, "high": 4, "ring_frac": 12, "result": (22, 12)}
    options |= {"error": 1e-3, "max_words": 8, **change}
    evaluate, low, high = (options.pop(name) for name in ("evaluate", "low", "high"))
    with pytest.raises(FitError, match=message):
        fit(evaluate, low, high, **options)


def test_the_error_that_is_named_can_be_had():
    options = {"ring_frac": 10, "result": (22, 12), "max_words": 6}
    with pytest.raises(FitError) as failed:
        fit(np.tanh, -8, 8, error=1e-6, **options)
    reached = float(str(failed.value).split("the best has ")[1].split(";")[0])
    assert fit(np.tanh, -8, 8, error=1.2 * reached, **options).words <= 6


def test_derivatives_of_the_search_are_right_where_it_ends():
    """Variable projection finds the frequencies of a sum of two waves."""
    x = np.linspace(-1, 1, 200)
    y = 0.7 * np.cos(5.5 * x) + 0.2 * np.sin(5.5 * x) - 0.4 * np.cos(13.5 * x) + 1.5
    samples = Samples(x, y, np.ones_like(x), 1e-6, growth=1e6)
    assert samples.descended(np.array([4.5, 15.0])) == pytest.approx([5.5, 13.5], abs=1e-5)
    one = samples.extended(np.zeros(0))
    assert samples.extended(one) == pytest.approx([5.5, 13.5], abs=1e-5)


def test_what_is_hopeless_is_told_soon():
    """A function of few bends needs few searches to see that nothing will do."""
    started = time.process_time()
    for low, high in ((0.25, 76.0), (1.0, 1000.0), (0.135, 32.0)):
        with pytest.raises(FitError, match="the best has"):
            fit(
                lambda x: 1 / np.sqrt(x),
                low,
                high,
                ring_frac=20,
                result=(22, 16),
                error=1e-5,
                relative=True,
                max_words=96,
            )
    assert time.process_time() - started < 6


# Terms as data.

GOOD = fit(np.tanh, -4, 4, ring_frac=12, result=(22, 12), error=1e-3)
EXP = fit(np.exp, -8, 0, ring_frac=14, result=(16, 14), error=1e-6)


@pytest.mark.parametrize("terms", [GOOD, EXP], ids=["fourier", "exponential"])
def test_terms_are_plain_data(terms):
    attributes = terms.to_attributes()
    assert all(type(value) in (int, str, list) for value in attributes.values())
    assert all(type(number) is int for number in attributes["terms"])
    assert Terms.from_attributes(attributes) == terms


BROKEN = [
    ({"kind": "table"}, "kind"),
    ({"kind": 3}, "kind"),
    ({"ring": 65}, "ring is 65"),
    ({"ring": 1}, "ring is 1"),
    ({"ring": 12}, "do not fit ring 12"),
    ({"ring": True}, "ring is True, not an integer"),
    ({"ring": 20.0}, "not an integer"),
    ({"low": 5, "high": 4}, "do not fit"),
    ({"low": 1 << 70}, "not an integer of 64 bits"),
    ({"result_ring": 0}, "result_ring is 0"),
    ({"result_ring": 65}, "result_ring is 65"),
    ({"result_frac": -1}, "result_frac is -1"),
    ({"result_frac": 41}, "result_frac is 41"),
    ({"drop": 63}, "drop is 63"),
    ({"drop": -1}, "drop is -1"),
    ({"coefficient_frac": 63}, "coefficient_frac is 63"),
    ({"coefficient_frac": 0}, "values are too large"),
    ({"coefficient_frac": 62}, "terms.0.: words have"),
    ({"constant": 1 << 62}, "values are too large"),
    ({"error": -1}, "not a bound"),
    ({"relative": 2}, "relative is 2"),
    ({"relative": True}, "relative is True"),
    ({"terms": []}, "0 terms"),
    ({"terms": [1, 2, 3]}, "lists of 5 integers"),
    ({"terms": "none"}, "lists of 5 integers"),
    ({"terms": [1, 1, 1, 1, 0] * 257}, "257 terms"),
    ({"terms": [1, 1, 1, 1.0, 0]}, r"terms\[0\] is 1.0"),
    ({"terms": [1, 1 << 31, 1, 10, 0]}, "coefficients are too large"),
    ({"terms": [1, 1, 1, 31, 0]}, "frac is 31"),
    ({"terms": [1, 1, 1, 10, 64]}, "shift is 64"),
    ({"terms": [1, 1, 1, 10, -1]}, "shift is -1"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=lambda value: str(value)[:40])
def test_nonsense_is_an_error(change, message):
    with pytest.raises(TermsError, match=message):
        Terms.from_attributes({**GOOD.to_attributes(), **change})
    assert issubclass(TermsError, DittoError)


@pytest.mark.parametrize(
    "term",
    [
        (1 << 60, 0, 1, 10, 0),
        (-(1 << 60), 0, 1, 10, 0),
        (1, 63 << 56, 1, 10, 0),
        (1, -(1 << 63), 1, 10, 0),
        (1, 30 << 56, 1, 10, 0),
        (1, 0, 2, 10, 0),
        (1, 0, 0, 10, 0),
        (1, 0, 1, 65, 0),
        (1, 0, 1, 63, 0),
    ],
)
def test_nonsense_exponentials_are_an_error(term):
    with pytest.raises(TermsError):
        dataclasses.replace(EXP, terms=(Term(*term),))


def test_missing_and_unknown_names_are_an_error():
    attributes = GOOD.to_attributes()
    with pytest.raises(TermsError, match="expected"):
        Terms.from_attributes({**attributes, "more": 1})
    del attributes["drop"]
    with pytest.raises(TermsError, match="expected"):
        Terms.from_attributes(attributes)
