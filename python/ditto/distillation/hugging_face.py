"""Distilling models in Hugging Face folders, on text: what `ditto distill` does."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ditto.distillation.examples import Batch, Batches, DistillationError
from ditto.distillation.exporting import save_bert, save_gpt2
from ditto.distillation.stages import Stage
from ditto.distillation.starting import quadratic_start
from ditto.distillation.training import Distilled, distill
from ditto.models.bert import BertConfig, bert_classify, load_bert, sentence_embedding
from ditto.models.checkpoint import read_checkpoint, read_tokenizer
from ditto.models.gpt2 import Gpt2Config, gpt2_logits, load_gpt2
from ditto_compiler.errors import DittoError
from ditto_compiler.files import write_whole
from ditto_compiler.policy import Policy, form_of, load_policy

COLUMNS = (
    ("sentence",),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("premise", "hypothesis"),
)
"""Of GLUE's files."""

GELUS = ("gelu", "gelu_new", "gelu_pytorch_tanh")
"""Activations that quadratic GeLU stands for."""

STARTING = 512
"""Examples for which weights to start from are fitted."""

RANGES, HISTORY = "ranges.json", "distillation.json"
"""What is written beside the weights."""

Text = tuple[str, ...]
"""One text, or two that belong together."""


def read_texts(path: str | Path, columns: Sequence[str] = ()) -> list[Text]:
    """The texts of a file: a line each, or, of one that ends in .tsv, the columns of a row, in GLUE's format.

    Args:
        path: UTF-8.
        columns: of a .tsv: names in its first line; those that GLUE has if they are left out.

    Raises:
        DistillationError: the file cannot be read, has no such columns, or no texts.
    """
    path = Path(path)
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DistillationError(f"cannot read '{path}': {error}") from None
    if path.suffix == ".tsv":
        texts = _rows(path, content, columns)
    elif columns:
        raise DistillationError(f"'{path}' has no columns; a table ends in .tsv")
    else:
        texts = [(line.strip(),) for line in content.splitlines() if line.strip()]
    if not texts:
        raise DistillationError(f"'{path}' has no texts")
    return texts


def _rows(path: Path, content: str, columns: Sequence[str]) -> list[Text]:
    # GLUE's files quote nothing.
    header, *rows = [*csv.reader(content.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)] or [[]]
    known = [columns] if columns else COLUMNS
    chosen = next((each for each in known if set(each) <= set(header)), None)
    if chosen is None or len(chosen) > 2:
        wanted = " or ".join(", ".join(each) for each in known)
        raise DistillationError(f"'{path}' has columns {', '.join(header)}; expected {wanted}, one or two")
    places = [header.index(name) for name in chosen]
    texts = []
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) <= max(places):
            raise DistillationError(f"'{path}', line {number}: {len(row)} columns, expected {len(header)}")
        texts.append(tuple(row[place] for place in places))
    return texts


@dataclass(frozen=True)
class _Subject:
    """A model of a folder, and how texts go in.

    Attributes:
        model: for one text.
        params: its weights.
        arrays: what `inputs` takes, for some texts.
        inputs: of a batch of these.
        quadratic: the model with quadratic GeLU; None if it has another activation.
        scope: of its layers.
        counted: which positions of examples count, given their arrays; None for all.
        frozen: weights that inputs are made with.
        loss, agreement: of what it gives.
        save: writes new weights, given a folder.
    """

    model: Callable[..., Any]
    params: Any
    arrays: Callable[[Sequence[Text]], list[NDArray[Any]]]
    inputs: Callable[..., Batch]
    quadratic: Callable[..., Any] | None
    scope: str
    counted: Callable[..., Any] | None
    frozen: str
    loss: str
    agreement: str
    save: Callable[[Path, Any], None]


def distill_folder(
    source: str | Path,
    texts: Sequence[Text],
    output: str | Path,
    *,
    policy: str | Path | Policy = "ditto-quad",
    length: int = 64,
    size: int = 32,
    held_out: float = 0.1,
    stages: Sequence[Stage] | None = None,
    seed: int = 0,
    **options: Any,
) -> Distilled:
    """Distills a model into a policy's functions and rings, and writes it as a folder like the one it is of.

    BERT with a classifier learns its logits, without one its sentence embeddings (mean of the tokens, of
    length 1); GPT-2 learns the logits of next tokens. Word embeddings stay as they are, for texts go in
    through them.

    Args:
        source: folder with config.json, tokenizer.json and safetensors.
        texts: as from `read_texts`.
        output: folder to write; ranges and history are beside the weights.
        policy: as for `ditto.distill`.
        length: tokens of a text, padded or cut.
        size: texts in a batch.
        held_out: part of the texts that is not trained on.
        stages, seed: as for `ditto.distill`; the seed also orders the texts.
        options: others of `ditto.distill`.

    Raises:
        DistillationError: texts or options do not fit. DittoError: the folder does not.
    """
    source, output = Path(source), Path(output)
    if output.exists() and any(output.iterdir() if output.is_dir() else [output]):
        raise DistillationError(f"'{output}' exists; write to a new folder")
    kind = read_checkpoint(source).config.get("model_type")
    if kind not in _SUBJECTS:
        known = ", ".join(_SUBJECTS)
        raise DistillationError(f"'{source}' is a model of type {kind!r}; those that are known: {known}")
    subject = _SUBJECTS[kind](source, read_tokenizer(source), length, max(map(len, texts), default=0))
    if not 0 < held_out < 1:
        raise DistillationError(f"held_out is a part of the texts, between 0 and 1, got {held_out}")
    order = np.random.default_rng(seed).permutation(len(texts))
    arrays = subject.arrays([texts[number] for number in order])
    count = max(1, round(held_out * len(arrays[0])))
    rest = len(arrays[0]) - count
    if not 1 <= size <= rest:
        raise DistillationError(
            f"{len(texts)} texts make {len(arrays[0])} examples, of which {count} are held out; "
            f"a batch must have from 1 to {rest}, not {size}"
        )
    batches = Batches(*(array[count:] for array in arrays), size=size, seed=seed)
    aside = [
        subject.inputs(*(array[:count][np.arange(start, start + size) % count] for array in arrays))
        for start in range(0, count, size)
    ]
    chosen = load_policy(policy)
    params = subject.params
    if subject.quadratic is not None and _has_quadratics(chosen, subject):
        first = [array[count : count + STARTING] for array in arrays]
        counted = None if subject.counted is None else subject.counted(*first)
        params = quadratic_start(
            subject.model,
            subject.quadratic,
            params,
            *subject.inputs(*first),
            post_norm=subject.counted is not None,
            counted=counted,
        )
    found = distill(
        subject.model,
        subject.model,
        params,
        lambda step: subject.inputs(*batches(step)),
        teacher_params=subject.params,
        policy=chosen,
        held_out=aside,
        stages=stages,
        frozen=subject.frozen,
        seed=seed,
        **{"loss": subject.loss, "agreement": subject.agreement, **options},
    )
    subject.save(output, found.params)
    found.ranges.save(output / RANGES)
    history = [dataclasses.asdict(each) for each in found.history]
    document = {"policy": found.policy.name, "length": length, "history": history}
    try:
        write_whole(output / HISTORY, json.dumps(document, indent=1).encode())
    except OSError as error:
        raise DittoError(f"cannot write '{output / HISTORY}': {error}") from None
    return found


def _has_quadratics(policy: Policy, subject: _Subject) -> bool:
    """Whether the policy has quadratic GeLU in every layer."""
    scopes = (
        f"{subject.scope}/layer{number}/mlp/activation" for number in range(len(subject.params["layers"]))
    )
    return all(form_of(policy.forms, "gelu", scope) == "quad" for scope in scopes)


def _bert(source: Path, tokenizer: Tokenizer, length: int, together: int) -> _Subject:
    config, params = load_bert(source)
    if not 2 <= length <= config.max_position_embeddings:
        raise DistillationError(
            f"length must be from 2 to the model's {config.max_position_embeddings} positions, got {length}"
        )
    word = np.asarray(params["embeddings"]["word"])
    classifies = "classifier" in params
    if together > 1 and not classifies:
        raise DistillationError(
            f"'{source}' has no classifier, so its texts are embedded one by one; name one column"
        )

    def arrays(texts: Sequence[Text]) -> list[NDArray[Any]]:
        tokenizer.enable_truncation(length)
        tokenizer.enable_padding(length=length)
        found = tokenizer.encode_batch([text if len(text) > 1 else text[0] for text in texts])
        parts = [[each.ids, each.attention_mask, each.type_ids] for each in found]
        return [np.array([part[place] for part in parts], np.int32) for place in range(3)]

    def inputs(ids: NDArray[Any], mask: NDArray[Any], types: NDArray[Any]) -> Batch:
        known = word[ids], mask.astype(np.float32)
        one_hot = np.eye(config.type_vocab_size, dtype=np.float32)
        return (*known, one_hot[types]) if classifies else known

    def classify(weights: Any, tokens: Any, mask: Any, types: Any, *, config: BertConfig) -> Any:
        return bert_classify(weights, config, tokens, mask, types)

    def embed(weights: Any, tokens: Any, mask: Any, *, config: BertConfig) -> Any:
        return sentence_embedding(weights, config, tokens, mask)

    model = classify if classifies else embed
    quadratic = partial(model, config=dataclasses.replace(config, hidden_act="quad"))
    return _Subject(
        partial(model, config=config),
        params,
        arrays,
        inputs,
        quadratic if config.hidden_act in GELUS else None,
        "encoder",
        lambda ids, mask, types: mask > 0,
        "embeddings/word",
        "divergence" if classifies else "squares",
        "top1" if classifies else "cosine",
        lambda folder, weights: save_bert(source, folder, config, weights),
    )


def _gpt2(source: Path, tokenizer: Tokenizer, length: int, together: int) -> _Subject:
    config, params = load_gpt2(source)
    if not 1 <= length <= config.max_position_embeddings:
        raise DistillationError(
            f"length must be from 1 to the model's {config.max_position_embeddings} positions, got {length}"
        )
    if together > 1:
        raise DistillationError("GPT-2 reads one text after the other; name one column")
    word = np.asarray(params["word"])

    def arrays(texts: Sequence[Text]) -> list[NDArray[Any]]:
        found = [each.ids for each in tokenizer.encode_batch([text for (text,) in texts])]
        # As one text that is cut up, so that nothing is padded: the model has no mask for that.
        stream = np.array([token for ids in found for token in ids], np.int32)
        rows = stream.size // length
        if rows < 2:
            raise DistillationError(f"the texts have {stream.size} tokens, too few for {length} a text")
        return [stream[: rows * length].reshape(rows, length)]

    def logits(weights: Any, tokens: Any, *, config: Gpt2Config) -> Any:
        return gpt2_logits(weights, config, tokens)

    quadratic = partial(logits, config=dataclasses.replace(config, hidden_act="quad"))
    return _Subject(
        partial(logits, config=config),
        params,
        arrays,
        lambda ids: (word[ids],),
        quadratic if config.hidden_act in GELUS else None,
        "decoder",
        None,
        "word",
        "divergence",
        "top1",
        lambda folder, weights: save_gpt2(source, folder, config, weights),
    )


_SUBJECTS: dict[str, Callable[[Path, Tokenizer, int, int], _Subject]] = {"bert": _bert, "gpt2": _gpt2}
"""By the model type in config.json."""
