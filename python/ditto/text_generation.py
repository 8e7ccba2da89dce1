"""Private text from a Hugging Face folder: what `ditto generate` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tokenizers import Tokenizer

from ditto.generation import CausalModel, gpt2, llama, stream
from ditto.models.checkpoint import read_checkpoint, read_tokenizer
from ditto.models.gpt2 import load_gpt2
from ditto.models.llama import load_llama
from ditto.runtime.caller.cluster import Cluster
from ditto_compiler.errors import DittoError

KINDS: Final[Mapping[str, tuple[Callable[..., Any], Callable[[Any], CausalModel]]]] = MappingProxyType(
    {"gpt2": (load_gpt2, gpt2), "llama": (load_llama, llama)}
)
"""By the model type in config.json: what loads the folder, and the model of its configuration."""

SAMPLES: Final[tuple[str, ...]] = (
    "The ferry leaves the harbour at seven in the morning, and on most days it is late. Nobody minds. People "
    "bring coffee and newspapers, children feed the gulls, and the captain, who has done this for thirty "
    "years, waves at every boat that passes. When there is fog, all of it takes twice as long.",
    "Question: how do I change the password of my account? Answer: open the settings, choose 'Security', and "
    "type the new password twice. It needs at least 12 characters, one of them a digit (0-9). If you have "
    "forgotten the old one, write to support@example.com; we reply within 2 working days.",
    "In 1854 a doctor in London drew a map of the houses in which people had fallen ill. Most of them stood "
    "near one pump. He had its handle removed, and the number of new cases fell; it was an early sign that "
    "data, looked at in the right way, can say where a disease comes from.",
)
"""Texts that models are calibrated on where no others are given. They are public, as ranges are."""

WINDOWS = 8
"""Places in the texts from which on a model is calibrated."""

_UNFINISHED = "\ufffd"
"""What decoders write for bytes that are not a whole character yet."""


@dataclass(frozen=True)
class TextModel:
    """A language model that reads and writes text.

    Attributes:
        name: of its folder.
        model: what runs.
        params: its weights.
        tokenizer: between text and token ids.
        positions: tokens that prompt and answer may have together.
        ends: tokens that end a text.
    """

    name: str
    model: CausalModel
    params: Any = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    positions: int
    ends: frozenset[int]

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, with those that the tokenizer puts around one.

        Raises:
            DittoError: the model does not know one of them.
        """
        found: list[int] = self.tokenizer.encode(text).ids
        if found and max(found) >= self.model.vocab_size:
            raise DittoError(
                f"'{self.name}': the tokenizer knows token {max(found)}, the model only those below "
                f"{self.model.vocab_size}; they are not of one model"
            )
        return found

    def pieces(self, prompt: Sequence[int], tokens: Iterator[int]) -> Iterator[str]:
        """The text of tokens after a prompt, each piece as soon as its characters are whole."""
        # With the prompt: what a token is in a text can depend on those before it, such as the first space.
        read = list(prompt)
        shown = len(self.tokenizer.decode(read))
        text = ""
        for token in tokens:
            read.append(token)
            text = self.tokenizer.decode(read)
            if not text.endswith(_UNFINISHED) and len(text) > shown:
                yield text[shown:]
                shown = len(text)
        if len(text) > shown:
            yield text[shown:]


def load_text_model(folder: str | Path) -> TextModel:
    """Reads a Hugging Face folder with config.json, safetensors and tokenizer.json: GPT-2 or LLaMA.

    What ends a text is in generation_config.json, or else in config.json.

    Raises:
        DittoError: a file is missing or cannot be read, or the model is of another kind.
    """
    folder = Path(folder)
    config = read_checkpoint(folder).config
    kind = str(config.get("model_type"))
    if kind not in KINDS:
        raise DittoError(
            f"'{folder}' is a model of type '{kind}', which is not one that can generate text here: "
            f"{', '.join(KINDS)}"
        )
    tokenizer = read_tokenizer(folder)
    load, model_of = KINDS[kind]
    shape, params = load(folder)
    ends = _ends(folder, config)
    return TextModel(folder.name, model_of(shape), params, tokenizer, shape.max_position_embeddings, ends)


def stream_text(
    cluster: Cluster,
    model: TextModel,
    prompt: str,
    new_tokens: int = 32,
    *,
    samples: Sequence[str] = SAMPLES,
    **options: Any,
) -> Iterator[str]:
    """The text that a model writes after a prompt, piece by piece, until it ends or has `new_tokens`.

    `ditto.generation.stream` says which party knows what.

    Args:
        cluster: where it runs.
        model: as from `load_text_model`.
        prompt: not empty.
        new_tokens: how many tokens to write at most.
        samples: texts to calibrate on, which become public as ranges do, so the prompt is not one of them;
            without any, functions are computed for all numbers there are.
        options: others of `ditto.generation.stream`: `policy`, `sampling`, `guard`, `progress`,
            `on_token`.

    Raises:
        DittoError: an empty prompt, one that is too long for the model, samples without tokens, or what
            `stream` raises.
    """
    read = model.ids(prompt) if prompt else []
    if not read:
        raise DittoError("the prompt is empty; write at least one word for the model to go on from")
    length = len(read) + new_tokens
    if length > model.positions:
        raise DittoError(
            f"the prompt has {len(read)} tokens, and {new_tokens} more make {length}; '{model.name}' has "
            f"{model.positions} positions: shorten the prompt, or ask for fewer tokens"
        )
    found = stream(
        cluster,
        model.model,
        model.params,
        read,
        new_tokens,
        samples=_windows(model, samples, length),
        stop=model.ends,
        **options,
    )
    return model.pieces(read, found)


def _windows(model: TextModel, texts: Sequence[str], length: int) -> list[list[int]]:
    """As many tokens as asked for, from places all over the texts on, each as if a text began there."""
    if not texts:
        return []
    before = model.ids("")
    read = [model.tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    tokens = [token for each in read for token in each]
    if not tokens:
        raise DittoError("the samples to calibrate on have no tokens; give others")
    places = [len(tokens) * number // WINDOWS for number in range(WINDOWS)]
    around = tokens * (2 + length // len(tokens))
    return [(before + around[place : place + length])[:length] for place in places]


def _ends(folder: Path, config: Mapping[str, Any]) -> frozenset[int]:
    """Ids of the tokens that end a text.

    Raises:
        DittoError: they are no numbers.
    """
    source = folder / "generation_config.json"
    if source.is_file():
        try:
            config = {**config, **json.loads(source.read_text(encoding="utf-8"))}
        except (ValueError, TypeError, RecursionError) as error:
            raise DittoError(f"{source} is not valid JSON with an object in it: {error}") from None
    found = config.get("eos_token_id")
    ids = [] if found is None else found if isinstance(found, list) else [found]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in ids):
        raise DittoError(f"eos_token_id of '{folder}' must be a token's id, or a list of them, got {found!r}")
    return frozenset(ids)
