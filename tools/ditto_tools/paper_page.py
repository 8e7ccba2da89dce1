"""docs/reference/paper.md: the tables of `ditto bench paper`, from the numbers that were committed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ditto.bench.paper import TABLES, cells
from ditto_compiler.network import PRESETS as NETWORKS

HEADER = """\
<!-- Written by `python -m ditto_tools.docs` from the files of numbers in paper/; measure those anew. -->

# The papers' tables

PUMA (Dong et al., 2023) and Ditto (Wu et al., ICML 2024) report BERT and GPT-2, PUMA also LLaMA-7B. These
are our numbers for the same models, each table by one command, over the networks of Ditto's code: `lan`
has 5 Gbit/s and 0.4 ms, `wan` 400 Mbit/s and 40 ms. The numbering of the tables is ours. Weights are
random: bytes and rounds do not depend on them, but for the ranges that `ditto-engine`, `ditto` and
`ditto-quad` calibrate, on two random texts.

How each number is known:

- **counted** (no mark): by the cost model from the whole program, with embedding, all layers and head.
  Bytes, messages and rounds are sums over the three parties. They are exact without a run; tables 4
  and 5 are errors if a run sends anything else.
- **projected** (p): seconds from the cost model, for three hosts with one processor each, over the
  network. Of models of more than 12 layers also bytes, messages and rounds: counted for one layer and for
  two, of which each further layer costs what the second adds.
- **measured** (m): a run among three real parties on the machine that stands below the table, over the
  imitated network. All three parties share its processors.

Errors are the largest absolute differences to JAX's exact functions. Those of `mpcformer` and `ditto-quad`
are the quadratics that stand for GeLU, and in `mpcformer` for softmax: a model is distilled for them first.
Under the policies of the engine, a layer of LLaMA-7B takes more memory than the machine below has.

A row that says *cannot* is a preset under which the model does not compile, with the reason. A table may be
in parts, each with the command that made it; what is not here has not been run for this page.
"""

REPORTED = """\
## What PUMA reports

From its tables (arXiv 2307.12533): ring 64, three machines with 32 virtual processors each, 5 Gbit/s and
about 1 ms; for LLaMA-7B 128 threads, 20 GB/s and 0.1 ms. Bytes are sums over the parties, with the
engine of 2023, whose truncation sends more than twice what that of SPU 0.9.5 does: so compare its bytes
with those of `puma` above to see what the engine gained, and those of `puma` with `ditto` to see what
Ditto gains. On LLaMA-7B `puma` sends more than PUMA reports: the preset has no form of SiLU, which the
engine then computes exactly. MPCFormer was run by PUMA's authors on the same machines.

| model | tokens | MPCFormer GB | MPCFormer s | PUMA GB | PUMA s |
|---|---|---|---|---|---|
| BERT-base | 64 | 5.707 | 36.4 | 4.881 | 21.1 |
| BERT-base | 128 | 12.089 | 55.3 | 10.773 | 33.9 |
| BERT-base | 256 | 29.927 | 112.5 | 26.004 | 61.2 |
| BERT-large | 128 | 32.577 | 141.2 | 27.246 | 73.7 |
| GPT2-base | 32, 1 generated | 4.999 | 34.9 | 3.774 | 15.5 |
| GPT2-medium | 32, 1 generated | 11.766 | 73.1 | 7.059 | 30.3 |
| LLaMA-7B | 4, 1 generated | | | 0.907 | 122.0 |
| LLaMA-7B | 8, 1 generated | | | 1.794 | 200.5 |

Ditto's abstract reports 1.44 to 2.35 times PUMA's speed, and 3.14 to 4.40 times MPCFormer's.
"""

_HEAD = ("model", "tokens", "policy", "MB", "messages", "rounds", *(f"{name}, s" for name in NETWORKS))


def paper_page(folder: Path) -> str:
    """The text of docs/reference/paper.md, of the files `ditto bench paper --json` that `folder` has."""
    documents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    sections = [HEADER]
    for number, about in TABLES.items():
        found = [document for document in documents if document["table"] == number]
        if found:
            sections.append(f"## Table {number}: {about.title}\n")
            sections += map(_table, found)
    return "\n".join([*sections, REPORTED])


def _table(document: Mapping[str, Any]) -> str:
    rows = document["rows"]
    errors = any("error" in row for row in rows)
    head = [*_HEAD, "error"] if errors else list(_HEAD)
    lines = [f"    {document['command']}", "", _line(head), _line(["---"] * len(head))]
    for row in rows:
        about = [row["model"], str(row["tokens"]), f"`{row['policy']}`"]
        numbers = ["*cannot*"] if "cannot" in row else cells(row)
        lines.append(_line((about + numbers + [""] * len(head))[: len(head)]))
    lines.append("")
    reasons = dict.fromkeys((row["policy"], row["cannot"]) for row in rows if "cannot" in row)
    for policy, reason in reasons:
        lines += [f"`{policy}` cannot: {reason}.", ""]
    return "\n".join([*lines, _machine(document), ""])


def _line(values: list[str]) -> str:
    return f"| {' | '.join(values)} |"


def _machine(document: Mapping[str, Any]) -> str:
    about = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    text = (
        f"{document['date']}: {about['cpu']}, {about['cores']} processors, {about['memory_gb']} GB, "
        f"a load of {about['load']} when it began; {versions}."
    )
    measured = any(
        known["how"] == "measured" for row in document["rows"] for known in row.get("seconds", {}).values()
    )
    if measured and about["load"] > about["cores"]:
        text += (
            " **The machine was busy with other work, so these seconds are many times too long**; bytes, "
            "messages and errors are not affected. [Measurements](measurements.md) has some of a quiet one."
        )
    return text
