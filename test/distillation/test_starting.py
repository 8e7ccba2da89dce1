"""Weights for quadratic activations without training: exact where parabolas are, near elsewhere."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.models.bert import BertConfig, bert_encode, init_bert
from ditto.models.vit import VitConfig, init_vit, vit_classify

VIT = VitConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
BERT = BertConfig(
    vocab_size=20,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=8,
)
RNG = np.random.default_rng(0)
IMAGES = RNG.random((96, 8, 8, 1)).astype(np.float32)
TOKENS = RNG.normal(size=(96, 8, 16)).astype(np.float32)
MASK = np.arange(8) < RNG.integers(3, 9, 96)[:, None]


def vit(act):
    config = dataclasses.replace(VIT, hidden_act=act)
    return lambda params, image: vit_classify(params, config, image)


def bert(act):
    config = dataclasses.replace(BERT, hidden_act=act)
    return lambda params, tokens, mask: bert_encode(params, config, tokens, mask) * mask[:, None]


def moved(params, size=2.0):
    """Larger weights: small ones are near where GeLU is a parabola anyhow."""
    return jax.tree.map(lambda x: np.asarray(x) * (size if x.ndim > 1 else 1.0), params)


CASES = {
    "before norms": (vit, moved(init_vit(VIT, jax.random.PRNGKey(0))), (IMAGES,), {"post_norm": False}),
    "behind norms": (
        bert,
        moved(init_bert(BERT, jax.random.PRNGKey(0))),
        (TOKENS, MASK.astype(np.float32)),
        {"post_norm": True, "counted": MASK},
    ),
}


def outputs(model, params, inputs):
    return np.asarray(jax.jit(jax.vmap(model, (None, *[0] * len(inputs))))(params, *inputs))


@pytest.mark.parametrize("name", CASES)
def test_a_parabola_stays_what_it_is(name):
    """q itself, and so any: with other weights around it, the model gives the same."""
    family, params, inputs, options = CASES[name]
    model = family("quad")
    found = ditto.quadratic_start(model, model, params, *inputs, **options)
    expected = outputs(model, params, inputs)
    np.testing.assert_allclose(outputs(model, found, inputs), expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("act", ["gelu", "silu"])
def test_other_activations_come_near(name, act):
    """On examples that the fit has not seen; with the original's weights, outputs are unlike."""
    family, params, inputs, options = CASES[name]
    seen = [array[:72] for array in inputs]
    chosen = {key: value[:72] if key == "counted" else value for key, value in options.items()}
    found = ditto.quadratic_start(family(act), family("quad"), params, *seen, **chosen)
    aside = [array[72:] for array in inputs]
    expected = outputs(family(act), params, aside)

    def off(weights):
        return np.square(outputs(family("quad"), weights, aside) - expected).mean() / expected.var()

    assert off(found) < 0.1 * off(params)
    assert off(found) < 0.05
    changed = {"up", "down"}
    for before, after in zip(params["layers"], found["layers"], strict=True):
        assert all(
            (np.asarray(a) == np.asarray(b)).all()
            for key in before.keys() - changed
            for a, b in zip(*map(jax.tree.leaves, (before[key], after[key])), strict=True)
        )


def test_what_cannot_be_fitted():
    family, params, inputs, options = CASES["before norms"]
    gelu, quad = family("gelu"), family("quad")
    with pytest.raises(ditto.DistillationError, match="no weights 'up' and 'down'"):
        ditto.quadratic_start(gelu, quad, {"layers": [{}]}, *inputs, **options)
    with pytest.raises(ditto.DistillationError, match="no layers as those of ditto"):
        ditto.quadratic_start(lambda p, x: jnp.sum(x), quad, params, *inputs, **options)
    with pytest.raises(ditto.DistillationError, match="as many examples"):
        ditto.quadratic_start(gelu, quad, params, IMAGES[:0], **options)
    broken = np.where(np.arange(len(IMAGES))[:, None, None, None] == 3, np.float32(np.nan), IMAGES)
    with pytest.raises(ditto.DistillationError, match="not finite"):
        ditto.quadratic_start(gelu, quad, params, broken, **options)
