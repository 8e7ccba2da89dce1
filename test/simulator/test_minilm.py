"""The simulator on the real all-MiniLM-L6-v2."""

import dataclasses

import jax
import numpy as np
import pytest

import ditto
from ditto.demo.corpus import QUERIES, SENTENCES
from ditto.models.bert import sentence_embedding
from ditto.models.minilm import load_minilm, one_hot

TOKENS = 16


@pytest.fixture(scope="module")
def model():
    loaded = load_minilm()
    # Of its six layers, the first two: XLA takes half a minute to compile all, which are alike.
    config = dataclasses.replace(loaded.config, num_hidden_layers=2)
    params = {**loaded.params, "layers": loaded.params["layers"][:2]}

    def embed(params, tokens, mask):
        return sentence_embedding(params, config, tokens, mask)

    def arguments(text):
        ids, mask = loaded.tokenizer.encode(text, TOKENS)
        return params, one_hot(ids, loaded.config.vocab_size), mask

    return embed, arguments


def test_calibrated_embedding_in_mixed_rings_is_that_of_plaintext(model):
    embed, arguments = model
    ranges = ditto.calibrate(embed, [arguments(text) for text in SENTENCES])
    query = arguments(QUERIES[0].text)
    program = ditto.compile(embed, *query, ranges=ranges)
    plain = np.asarray(jax.jit(embed)(*query))
    for mode in ("exact", "fast"):
        simulation = ditto.simulate(program, *query, mode=mode)
        assert not simulation.overflows
        # Both have length 1.
        assert float(simulation.outputs @ plain) >= 0.999
