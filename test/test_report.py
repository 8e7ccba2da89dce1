"""Reports: what they say, in each format, and that the page stands on its own."""

import html.parser
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from sketch import Sketch

import ditto
from ditto_compiler.cost.model import estimate
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.network import Network, NetworkError
from ditto_compiler.report import ReportError, make_report
from ditto_compiler.report.summary import split_scope
from ditto_compiler.showing import format_bytes, format_seconds
from ditto_tools.report_command import report_command

MIXED = ditto.Policy(
    "mixed",
    ditto.load_policy("uniform64").dtypes,
    (ditto.Rule("products in 32 bits", op=("stablehlo.dot*",), ring=32, frac=10),),
)


def two_layers(x, w, v):
    for i in range(2):
        with jax.named_scope(f"encoder/layer{i}"):
            with jax.named_scope("attention/softmax"):
                x = jax.nn.softmax(x @ w)
            with jax.named_scope("mlp"):
                x = jax.nn.relu(x @ v)
    with jax.named_scope("head"):
        return jnp.sum(x)


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, np.float32)


@pytest.fixture(scope="module")
def program():
    return ditto.compile(two_layers, f32(4, 8), f32(8, 8), f32(8, 8), policy=MIXED)


class Page(html.parser.HTMLParser):
    """Collects tags, and checks that they nest."""

    VOID = ("meta", "input", "!doctype", "br", "img", "link")

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.tags = []
        self.titles = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.titles += [value for name, value in attributes if name == "title"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_text_names_totals_scopes_rings_and_casts(program):
    text = program.report()
    total = estimate(program).total
    assert (
        f"two_layers under policy mixed: {format_bytes(total.bytes)} in {total.messages:.0f} messages" in text
    )
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "encoder/layer*" in lines
    # Two layers are one row: both rings, and casts of the product up and of the result down.
    softmax = lines["attention/softmax"]
    assert "32 64" in softmax and "32→64×2" in softmax
    assert "head" in lines
    assert "lan s" in text and "wan s" in text
    assert str(make_report(program).cost.machine) in text


def test_text_fits_the_width_that_is_asked_for(program):
    assert max(len(line) for line in make_report(program).text(118).splitlines()) <= 118


def test_json_adds_up(program):
    document = json.loads(program.report("json"))
    total = document["total"]
    assert total["bytes"] == estimate(program).total.bytes
    for part in ("scopes", "ops", "steps"):
        for key in ("bytes", "messages", "rounds"):
            assert sum(entry[key] for entry in document[part]) == pytest.approx(
                total[key], abs=len(document[part])
            )
    assert {"lan", "wan"} == set(document["networks"]) == set(total["seconds"])
    assert total["seconds"]["wan"] > total["seconds"]["lan"] > 0
    assert document["unknown"] == []
    groups = [scope["group"] for scope in document["scopes"]]
    assert list(dict.fromkeys(groups)) == ["encoder/layer0", "encoder/layer1", "head"]


def test_other_networks_can_be_asked_for(program):
    slow = Network("dial-up", 56e3, 0.2)
    document = json.loads(program.report("json", [slow, "10gbit,100us"]))
    assert list(document["total"]["seconds"]) == ["dial-up", "10gbit,100us"]
    assert document["total"]["seconds"]["dial-up"] > document["total"]["bytes"] * 8 / 3 / 56e3


def test_page_stands_on_its_own(program):
    text = program.report("html")
    page = Page(text)
    assert page.open == []
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe"} & set(tags)
    for _, attributes in page.tags:
        assert not {"src", "href"} & set(attributes)
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert "prefers-color-scheme: dark" in text


def test_page_shows_each_layer_and_marks_casts(program):
    page = Page(program.report("html"))
    classes = [attributes.get("class", "") for _, attributes in page.tags]
    charts = [attributes for _, attributes in page.tags if attributes.get("class") == "chart"]
    assert len(charts) == 4  # bytes, rounds, time on two networks
    # In each chart, one piece per scope, ring and layer, and one for the casts.
    assert classes.count("cast") >= 4 * 2
    assert any("attention/softmax" in title and "ring 64" in title for title in page.titles)
    assert any("upcast 32→64" in title for title in page.titles)


def test_names_from_the_program_are_escaped():
    def f(x):
        with jax.named_scope("<b>&layer"):
            return x * x

    program = ditto.compile(f, f32(4), policy="uniform64").replace(name="<script>alert(1)</script>")
    text = program.report("html")
    assert "<script>" not in text and "<b>" not in text.replace("<b>uniform64</b>", "")
    assert "&lt;b&gt;&amp;layer" in text


def test_program_without_scopes_or_costs():
    program = ditto.compile(lambda x: x + 1, f32(4), policy="uniform64")
    assert "0 B in 0 messages, 0 rounds" in program.report()
    assert Page(program.report("html")).open == []


def test_scopes_are_grouped_by_layer():
    assert split_scope("encoder/layer0/attention/qkv") == ("encoder/layer0", "attention/qkv")
    assert split_scope("embeddings/norm") == ("embeddings", "norm")
    assert split_scope("h.11/mlp") == ("h.11", "mlp")
    assert split_scope("pooling") == ("pooling", "")
    assert split_scope("") == ("(no scope)", "")


def test_numbers_have_units():
    assert [format_bytes(x) for x in (0, 999, 1500, 59_468_756, 374e6, 1.5e9)] == [
        *("0 B", "999 B", "1.5 kB", "59.5 MB", "374 MB", "1.5 GB")
    ]
    assert [format_seconds(x) for x in (0, 0.00012, 0.0456, 0.9, 12.345)] == [
        *("0 ms", "0.12 ms", "46 ms", "900 ms", "12.35 s")
    ]


def test_unknown_format_and_network_are_errors(program):
    with pytest.raises(ReportError, match="no report format 'pdf'; there are text, json, html"):
        program.report("pdf")
    with pytest.raises(NetworkError, match="did you mean 'wan'"):
        program.report(networks=["wam"])


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_command_prints_and_writes(program, tmp_path, form):
    file = tmp_path / "p.ditto"
    program.save(file)
    loaded = ditto.Program.load(file)
    runner = CliRunner()
    printed = runner.invoke(report_command, [str(file), "--format", form], catch_exceptions=False)
    assert printed.exit_code == 0
    output = tmp_path / "report"
    arguments = [str(file), "--format", form, "-o", str(output), "--network", "wan"]
    assert runner.invoke(report_command, arguments, catch_exceptions=False).exit_code == 0
    assert output.read_text() == loaded.report(form, ["wan"])
    if form != "text":
        assert printed.output == loaded.report(form)


@pytest.fixture(scope="module")
def beside():
    """A program beside the engine: a comparison of a product, which is widened as well."""
    s = Sketch()
    x, y = s.number(500, ring=32, frac=10), s.number(500, ring=32, frac=10)
    product = s.add("multiply", (x, y), (500,), Fxp(22, 10))
    low = s.add("less", (product,), (500,), Int(32), is_bit=True, thresholds=(0,))
    zeros = s.add("subtract", (product, product), (500,))
    s.add("select", (low, zeros, product), (500,), Fxp(22, 10))
    s.add("cast", (product,), (500,), Fxp(32, 10))
    return s.program()


def test_text_splits_what_runs_beside_the_engine(beside):
    text = beside.report()
    assert {"beside: products", "beside: comparisons", "beside: selections", "beside: widening"} <= {
        " ".join(line.split()[:2]) for line in text.splitlines()
    }
    assert "beside: local" in text
    rings = text.partition("Rings beside the engine")[2].splitlines()
    counted = [line.split()[:-1] for line in rings if line.startswith((" 22 bits", " 32 bits", " booleans"))]
    assert counted == [["booleans", "500"], ["22", "bits", "1,500"], ["32", "bits", "500"]]
    (scope,) = (line for line in text.splitlines() if line.startswith(" scope  ") and "22-32" in line)
    # Rounds of the scope are those of its longest chain.
    assert f" {round(estimate(beside).total.rounds)} " in scope


def test_json_adds_up_beside_the_engine(beside):
    document = json.loads(beside.report("json"))
    for part in ("scopes", "ops", "steps"):
        for key in ("bytes", "messages", "rounds"):
            whole = document["total"][key]
            assert sum(entry[key] for entry in document[part]) == pytest.approx(
                whole, abs=len(document[part])
            )
    assert document["beside_rings"] == {"1": 500, "22": 1500, "32": 500}
    assert [scope["rings"] for scope in document["scopes"]] == [[22, 32]]


def test_reports_of_the_engine_alone_do_not_speak_of_what_runs_beside_it(program):
    for form in ("text", "json"):
        assert "beside" not in program.report(form).lower()
    assert "beside" not in program.report("html").partition("</style>")[2].lower()


def test_page_shows_what_runs_beside_the_engine(beside):
    page = Page(beside.report("html"))
    assert page.open == []
    classes = {attributes.get("class") for _, attributes in page.tags}
    assert {"products", "comparisons", "selections", "widening", "beside"} <= classes
    assert any("beside, products: multiply" in title for title in page.titles)
