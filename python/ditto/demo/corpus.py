"""Sentences and queries for the private semantic search demo.

Each query means the same as one of the sentences and shares hardly a word with it, so that only
a model of meaning, not a word index, finds the answer. All fit in 16 tokens.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SENTENCES: Final[tuple[str, ...]] = (
    "The patient was prescribed antibiotics for a lung infection.",
    "Shares of the chip maker fell nine percent after weak earnings.",
    "Bake the loaf at 220 degrees until the crust turns brown.",
    "Tenants must give two months' notice before moving out.",
    "The spacecraft entered orbit around Mars on Tuesday.",
    "Reset your password from the link in the account settings.",
    "Heavy rain flooded the subway and closed three stations.",
    "She practises the violin for two hours every evening.",
    "The goalkeeper saved a penalty in the last minute of the match.",
    "Wolves returned to the valley after eighty years.",
    "The museum opens at ten and is closed on Mondays.",
    "Solar panels now supply half of the village's electricity.",
)
"""The corpus that is searched."""


class Query(NamedTuple):
    """A question to the corpus."""

    text: str
    answer: int
    """Index in `SENTENCES` of the best match."""


QUERIES: Final[tuple[Query, ...]] = (
    Query("How do I recover access when I forgot my login?", 5),
    Query("medicine for pneumonia", 0),
    Query("Which company lost value on the stock market?", 1),
    Query("renewable energy in small towns", 11),
    Query("a probe arriving at another planet", 4),
    Query("bad weather disrupted public transport", 6),
)
"""Queries, each with a clear best match."""
