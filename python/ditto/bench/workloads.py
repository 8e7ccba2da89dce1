"""Transformers of published shapes with random weights, for measurements."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import jax
import numpy as np

from ditto.models.bert import BERT_PRESETS, BertConfig, bert_encode, init_bert
from ditto.models.gpt2 import GPT2_PRESETS, gpt2_logits, init_gpt2
from ditto.models.llama import LLAMA_PRESETS, init_llama, llama_logits
from ditto_compiler.errors import DittoError
from ditto_compiler.options import did_you_mean

SMALL_VOCABULARY = 64
"""Rows of the vocabularies here: the layers are measured, not the table lookup before or after them."""

_TINY = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)


@dataclass(frozen=True)
class Family:
    """Models that share their functions.

    Attributes:
        presets: configurations by size.
        init: (config, key) -> weights.
        apply: (weights, config, tokens) -> output, or with a mask after the tokens.
        masked: whether it takes a mask.
    """

    presets: Mapping[str, Any]
    init: Callable[[Any, Any], Any]
    apply: Callable[..., Any]
    masked: bool


FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "bert": Family({**BERT_PRESETS, "tiny": _TINY}, init_bert, bert_encode, masked=True),
        "gpt2": Family(GPT2_PRESETS, init_gpt2, gpt2_logits, masked=False),
        "llama": Family(LLAMA_PRESETS, init_llama, llama_logits, masked=False),
    }
)

MODELS: tuple[str, ...] = tuple(
    f"{family}-{size}" for family, about in FAMILIES.items() for size in about.presets
)
"""Names of workloads: `bert-base`, `gpt2-medium`, ..."""


@dataclass(frozen=True)
class Workload:
    """A function to be measured, and how to make arguments for it.

    Attributes:
        name: of the model.
        function: (weights, embedded tokens [seq, hidden], ...) -> output.
        full_layers: layers of the published model.
        shapes: of the arguments.
        inputs: seed -> arguments; weights are the same for all seeds.
    """

    name: str
    function: Callable[..., Any]
    full_layers: int
    shapes: tuple[Any, ...]
    inputs: Callable[[int], tuple[Any, ...]]


def workload(model: str, layers: int | None, seq: int) -> Workload:
    """`layers` layers of a model, or all of them, on `seq` tokens whose embeddings were looked up beforehand.

    Raises:
        DittoError: no such model.
    """
    if model not in MODELS:
        known = ", ".join(MODELS)
        raise DittoError(f"no model '{model}'{did_you_mean(model, MODELS)} (there are {known})")
    family_name, _, size = model.partition("-")
    family = FAMILIES[family_name]
    full = family.presets[size]
    config = dataclasses.replace(
        full, num_hidden_layers=layers or full.num_hidden_layers, vocab_size=SMALL_VOCABULARY
    )

    def init(key: Any) -> Any:
        weights = family.init(config, key)
        # Heads on top of an encoder are not part of what is measured.
        return {name: part for name, part in weights.items() if name not in ("pooler", "classifier")}

    def function(weights: Any, *arguments: Any) -> Any:
        return family.apply(weights, config, *arguments)

    @functools.cache
    def random_weights() -> Any:
        return jax.tree_util.tree_map(np.asarray, jax.jit(init)(jax.random.PRNGKey(0)))

    def inputs(seed: int) -> tuple[Any, ...]:
        tokens = np.random.default_rng(seed).normal(size=(seq, config.hidden_size)).astype(np.float32)
        mask = (np.ones(seq, np.float32),) if family.masked else ()
        return random_weights(), tokens, *mask

    function.__name__ = model
    weights = jax.eval_shape(init, jax.random.PRNGKey(0))
    tokens = jax.ShapeDtypeStruct((seq, config.hidden_size), np.float32)
    mask = (jax.ShapeDtypeStruct((seq,), np.float32),) if family.masked else ()
    return Workload(model, function, full.num_hidden_layers, (weights, tokens, *mask), inputs)
