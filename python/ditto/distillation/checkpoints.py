"""Where a training stands, as a file that it can be resumed from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ditto.distillation.examples import DistillationError
from ditto_compiler.files import write_whole

FORMAT = "ditto-distillation-1"


class State(NamedTuple):
    """Where a training stands.

    Attributes:
        settings: that must be the same when it is resumed, by name.
        progress: plain data: stage, step and the like.
        arrays: lists of arrays by name, such as weights and the optimizer's.
    """

    settings: Mapping[str, Any]
    progress: Mapping[str, Any]
    arrays: Mapping[str, Sequence[NDArray[Any]]]


def save_state(path: Path, state: State) -> None:
    """Writes a state, whole or not at all.

    Raises:
        DistillationError: it cannot be written.
    """
    tensors = {
        f"{name}.{number}": np.array(array, order="C")
        for name, arrays in state.arrays.items()
        for number, array in enumerate(arrays)
    }
    counts = {name: len(arrays) for name, arrays in state.arrays.items()}
    document = {"settings": state.settings, "progress": state.progress, "counts": counts}
    content = save(tensors, {"format": FORMAT, "state": json.dumps(document)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise DistillationError(f"cannot write the checkpoint '{path}': {error}") from None


def load_state(path: Path, settings: Mapping[str, Any]) -> State | None:
    """What was saved, or None if there is nothing.

    Raises:
        DistillationError: the file is no checkpoint, or of a training with other settings.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DistillationError(f"'{path}' is not a checkpoint of a distillation")
            document = json.loads(metadata["state"])
            arrays = {
                name: [file.get_tensor(f"{name}.{number}") for number in range(count)]
                for name, count in document["counts"].items()
            }
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DistillationError(f"cannot read the checkpoint '{path}': {error}") from None
    before = document["settings"]
    for name, value in json.loads(json.dumps(settings)).items():
        if before.get(name) != value:
            raise DistillationError(
                f"'{path}' is of a training with other {name}: {_short(before.get(name))} instead of "
                f"{_short(value)}; resume with the same, or remove the file to start anew"
            )
    return State(before, document["progress"], arrays)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
