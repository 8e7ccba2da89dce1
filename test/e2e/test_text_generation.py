"""`ditto generate`: text from folders as Hugging Face saves them, written here with random weights."""

import json
import os
import random
import re
import shutil

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file
from test.support.servers import Servers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import FlaxGPT2LMHeadModel, FlaxLlamaForCausalLM, GPT2Config, LlamaConfig

import ditto
from ditto.generation import stream
from ditto.sampling import Sampling
from ditto.text_generation import SAMPLES, _windows, load_text_model, stream_text
from ditto_tools.generate_command import generate_command

TEXT = "über the ferry, the captain waves at every boat"


def save_tokenizer(folder, template=None):
    """A byte-level tokenizer of 300 tokens; returns how many, with `<end>` and `<start>` the last two."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=298, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(SAMPLES, trainer)
    made.add_special_tokens(["<end>", "<start>"])
    if template:
        start = made.token_to_id("<start>")
        made.post_processor = processors.TemplateProcessing("<start> $A", None, [("<start>", start)])
    made.save(str(folder / "tokenizer.json"))
    return made


def flat(params, prefix=()):
    for name, value in params.items():
        yield from flat(value, (*prefix, name)) if isinstance(value, dict) else [((*prefix, name), value)]


def save_flax(folder, model, transposed):
    """A Flax model's weights under PyTorch's names."""
    names = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
    tensors = {}
    for path, value in flat(model.params):
        value = np.array(value)
        name = ".".join((*path[:-1], names.get(path[-1], path[-1])))
        tensors[name] = np.ascontiguousarray(value.T if path[-1] == "kernel" and transposed else value)
    save_file(tensors, folder / "model.safetensors")
    folder.joinpath("config.json").write_text(json.dumps(model.config.to_dict()))


def random_weights(model, scale):
    """Weights so large that choices are clear."""
    leaves, structure = jax.tree.flatten(model.params)
    keys = jax.random.split(jax.random.key(3), len(leaves))
    drawn = [
        x + scale * jax.random.normal(k, x.shape) * (x.ndim > 1) for x, k in zip(leaves, keys, strict=True)
    ]
    model.params = jax.tree.unflatten(structure, drawn)
    return model


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    vocabulary = save_tokenizer(folder).get_vocab_size()
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=48,
        n_embd=32,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=None,
    )
    # GPT-2's own linear layers are [in, out], as Flax has them transposed.
    model = random_weights(FlaxGPT2LMHeadModel(config, seed=0), 0.15)
    save_flax(folder, model, transposed=True)
    return folder, model


def greedy(model, ids, count, margin=0.05):
    """What transformers' own model writes, in plain, and by how much its choices won."""
    read, margins = list(ids), []
    for _ in range(count):
        logits = np.asarray(model(np.array([read], np.int32)).logits)[0, -1]
        margins.append(np.diff(np.sort(logits)[-2:])[0])
        read.append(int(logits.argmax()))
    assert min(margins) > margin
    return read[len(ids) :]


def test_gpt2_writes_what_transformers_writes(cluster, gpt2):
    folder, plain = gpt2
    model = load_text_model(folder)
    ids = model.ids(TEXT)
    assert len(ids) + 3 <= 48
    expected = greedy(plain, ids, 3)
    seen = []
    pieces = list(stream_text(cluster, model, TEXT, 3, on_token=lambda token, _: seen.append(token)))
    assert seen == expected
    assert TEXT + "".join(pieces) == model.tokenizer.decode(ids + expected)
    assert all(pieces)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    vocabulary = save_tokenizer(folder, template=True).get_vocab_size()
    config = LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=48,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    model = random_weights(FlaxLlamaForCausalLM(config, seed=0), 0.15)
    save_flax(folder, model, transposed=True)
    return folder, model


SAMPLING = Sampling(temperature=1.5, top_k=20, seed=7)


def test_llama_draws_tokens_as_plaintext_would_and_ends_where_it_ends(cluster, llama, tmp_path):
    folder, plain = llama
    model = load_text_model(folder)
    ids = model.ids("the ferry")
    assert ids[0] == model.tokenizer.token_to_id("<start>")
    source, expected = random.Random(7), []
    for _ in range(4):
        logits = np.asarray(plain(np.array([ids + expected], np.int32)).logits)[0, -1]
        draw = source.random()
        # As the parties' logits differ a little, so that no token is drawn by a hair.
        near = {SAMPLING.chosen(logits, float(np.clip(draw + d, 0, 1))) for d in (-0.005, 0, 0.005)}
        assert len(near) == 1
        expected += near
    # The likeliest would have been others.
    assert expected != greedy(plain, ids, 4, margin=0)
    ending = tmp_path / "ending"
    shutil.copytree(folder, ending)
    # What generation_config.json says counts; config.json has another.
    ending.joinpath("generation_config.json").write_text(json.dumps({"eos_token_id": [299, expected[3]]}))
    assert expected[3] not in expected[:3]
    found = stream_text(cluster, load_text_model(ending), "the ferry", 9, sampling=SAMPLING)
    assert model.tokenizer.decode(ids) + "".join(found) == model.tokenizer.decode(ids + expected[:3])


def test_command(gpt2, tmp_path):
    folder, plain = gpt2
    file = tmp_path / "texts.txt"
    file.write_text(" ".join(SAMPLES))
    arguments = [str(folder), "--prompt", "the boat", "--tokens", "2", "--calibrate", str(file)]
    done = CliRunner().invoke(generate_command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    model = load_text_model(folder)
    ids = model.ids("the boat")
    assert done.stdout == model.tokenizer.decode(ids + greedy(plain, ids, 2)) + "\n"
    assert re.fullmatch(r"2 tokens, .* sent by the parties, .* s\n", done.stderr)


def test_command_on_hosts(gpt2, tmp_path):
    folder, plain = gpt2
    servers = Servers(tmp_path)
    try:
        arguments = [str(folder), "--prompt", "the boat", "--tokens", "2", "--hosts", str(servers.hosts)]
        done = CliRunner().invoke(generate_command, arguments, catch_exceptions=False)
    finally:
        assert servers.close() == [0, 0, 0]
    assert done.exit_code == 0
    model = load_text_model(folder)
    ids = model.ids("the boat")
    assert done.stdout == model.tokenizer.decode(ids + greedy(plain, ids, 2)) + "\n"
    for rank in range(3):
        assert "the boat" not in servers.log(rank)


def spoilt(change):
    def at(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    return at


@pytest.mark.parametrize(
    ("change", "arguments", "told"),
    [
        (shutil.rmtree, [], "checkpoint folder .* does not exist"),
        (lambda f: (f / "config.json").unlink(), [], "config.json does not exist"),
        (lambda f: (f / "config.json").write_text("[1]"), [], "holds a JSON list, expected an object"),
        (lambda f: (f / "model.safetensors").unlink(), [], "has neither model.safetensors nor"),
        (
            lambda f: (f / "tokenizer.json").unlink(),
            [],
            "tokenizer.json' does not exist; save the model with",
        ),
        (lambda f: (f / "tokenizer.json").write_text("{}"), [], "cannot read '.*tokenizer.json'"),
        (
            spoilt({"model_type": "t5"}),
            [],
            "is a model of type 't5', which is not one that can .*: gpt2, llama",
        ),
        (spoilt({"model_type": ["gpt2"]}), [], r"type '\['gpt2'\]'"),
        (spoilt({"vocab_size": 10}), [], "wte.weight' has shape"),
        (
            spoilt({"eos_token_id": "no"}),
            [],
            "eos_token_id of .* must be a token's id, or a list of them, got 'no'",
        ),
        (
            lambda f: (f / "generation_config.json").write_text("{"),
            [],
            "generation_config.json is not valid JSON",
        ),
        (None, ["--prompt", ""], "the prompt is empty; write at least one word"),
        (
            None,
            ["--prompt", "a b c d " * 20],
            r"the prompt has \d+ tokens, and 2 more make \d+; .* has 48 positions",
        ),
        (None, ["--tokens", "48"], "shorten the prompt, or ask for fewer tokens"),
        (None, ["--tokens", "0"], "at least one to generate"),
        (
            None,
            ["--temperature", "0"],
            "temperature must be a number above 0, got 0.0; for the likeliest token",
        ),
        (None, ["--temperature", "nan"], "temperature must be a number above 0"),
        (None, ["--top-k", "0"], "top_k must be at least 1, got 0"),
        (None, ["--seed", "1"], "a seed is of draws"),
        (None, ["--hosts", "/nowhere"], "'/nowhere'"),
        (None, ["--calibrate", "/nowhere"], "cannot read '/nowhere'"),
        (None, ["--calibrate", os.devnull], "the samples to calibrate on have no tokens"),
    ],
)
def test_what_is_wrong_is_said(gpt2, tmp_path, change, arguments, told):
    folder = tmp_path / "model"
    shutil.copytree(gpt2[0], folder)
    if change is not None:
        change(folder)
    with pytest.raises(ditto.DittoError, match=told):
        CliRunner().invoke(
            generate_command,
            [str(folder), "--prompt", "the", "--tokens", "2", *arguments],
            catch_exceptions=False,
        )


def test_a_tokenizer_of_another_model(gpt2, tmp_path):
    model = load_text_model(gpt2[0])
    model.tokenizer.add_tokens(["<new>"])
    with pytest.raises(ditto.DittoError, match="knows token 300, the model only those below 300"):
        model.ids("a <new>")


def test_pieces_are_whole_characters(gpt2):
    model = load_text_model(gpt2[0])
    text = "über → 日本 €"
    (first, *rest) = model.ids(text)
    pieces = list(model.pieces([first], iter(rest)))
    assert model.tokenizer.decode([first]) == "\ufffd"
    assert "".join(pieces) == text[1:] and not any("\ufffd" in piece for piece in pieces)
    # What is cut off within a character shows that.
    assert "".join(model.pieces(model.ids("a"), iter(model.ids("€")[:1]))) == "\ufffd"


def test_a_text_that_is_dropped_leaves_nothing_with_the_parties(cluster, gpt2):
    model = load_text_model(gpt2[0])
    forgotten, forget = [], cluster.forget
    cluster.forget = lambda held: (forgotten.append(held), forget(held))
    try:
        tokens = stream(cluster, model.model, model.params, model.ids("a"), 1)
        next(tokens)
        assert not forgotten
        tokens.close()
        (held,) = forgotten
    finally:
        del cluster.forget
    # Weights, and the cache: keys and values of a layer.
    handles = jax.tree.leaves(held, is_leaf=lambda x: isinstance(x, ditto.SharedArray))
    assert len(handles) == 2 + len(jax.tree.leaves(model.params))


def test_samples_are_windows_all_over_the_texts(llama):
    model = load_text_model(llama[0])
    windows = _windows(model, SAMPLES, 30)
    assert {len(window) for window in windows} == {30} and len({tuple(window) for window in windows}) == 8
    start, *text = windows[0]
    assert start == model.tokenizer.token_to_id("<start>") and start not in text
    assert SAMPLES[0].startswith(model.tokenizer.decode(text))
    # A text that is too short is gone through again.
    assert model.tokenizer.decode(_windows(model, ["ab"], 9)[0][1:]) == "abababab"[:8]
    assert _windows(model, [], 9) == []
