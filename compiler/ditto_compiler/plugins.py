"""Packages that add to Ditto: passes, ops, functions and their forms, policies, formats of reports.

    def register(registry: Registry) -> None:
        registry.passes(FoldTwice)
        registry.policy("example", TEXT)

    plugin = Plugin(api=1, register=register)

A package names `module:plugin` as an entry point of the group `ditto.plugins`, and is a plugin wherever it is
installed; `ditto-opt --load-pass-plugin=module` and `using` take it by that name, too. What is installed
changes no program that does not ask for it by name.

Programs that are compiled with a plugin are programs like others: parties need no plugin to run them, and
never load one. Nor does a program file name any.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ditto_compiler.encoding import RINGS
from ditto_compiler.errors import DittoError
from ditto_compiler.extensions import ACTIVE, GROUP, NONE, ONLY, Additions, PluginError, Table, active
from ditto_compiler.forms.table import EXACT, FORMS, Form
from ditto_compiler.ops import OPS, Kind, Op
from ditto_compiler.options import check_options
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import is_mlir_pass
from ditto_compiler.policy import POLICIES
from ditto_compiler.recognizers import Finder
from ditto_compiler.registry import PASSES

if TYPE_CHECKING:
    from ditto_compiler.report.summary import Report

API = 1
"""Version of this interface. It grows when a plugin that worked would not any more."""

ATTRIBUTE = "plugin"
"""Where a plugin stands in a module that is named without an attribute."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OP_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z_][a-z0-9_$]*)+")

_OURS = ("ditto", "pphlo", "func", "builtin")
"""Dialects that are no plugin's to add to."""


@dataclass(frozen=True)
class Plugin:
    """What a package adds.

    Attributes:
        api: the version of this interface that it is written for: `API` of the Ditto that it was tested with.
        register: adds it to a registry. Called once in a process for the plugins that are installed, and
            once by each `using`.
    """

    api: int
    register: Callable[[Registry], None]


@dataclass
class Registry:
    """Takes what one plugin adds.

    Every method refuses, by a `PluginError` that names the package, what is not whole, and names that are
    taken.

    Attributes:
        package: name and version, for errors.
    """

    package: str
    _tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    _packages: dict[tuple[str, str], str] = field(default_factory=dict)

    def passes(self, *classes: type[Pass]) -> None:
        """Passes, by their names, as flags of `ditto-opt`, in pipelines, and for `ditto.compile`."""
        for cls in classes:
            if not (isinstance(cls, type) and issubclass(cls, Pass)):
                raise self._error(f"{cls!r} is no subclass of ditto_compiler.pass_base.Pass")
            name = getattr(cls, "name", None)
            self._check_name("pass", name)
            if not cls.__doc__ or "run" in cls.__abstractmethods__:
                raise self._error(
                    f"pass '{name}' needs a docstring, which is its reference, and a method run"
                )
            if not dataclasses.is_dataclass(cls) or cls.__hash__ is None:
                raise self._error(
                    f"pass '{name}' must be a @dataclass(frozen=True); its fields are its options"
                )
            try:
                check_options(cls.name, cls)
            except DittoError as error:
                raise self._error(str(error)) from None
            if is_mlir_pass(cls.name):
                raise self._error(f"pass '{name}' has the name of one of MLIR's")
            self._add("pass", PASSES, cls.name, cls)

    def op(self, op: Op, *, exact: Callable[..., Any], fast: Callable[..., Any]) -> None:
        """An op that the engine can be given: of StableHLO or CHLO, or of a dialect of the package's own.

        Args:
            op: kind, rings, scale, range, share and emitter, see `ditto_compiler.ops.base.Op`.
            exact: computes it on ring elements, see `ditto.simulator.ops`; the oracle of its tests.
            fast: computes it on real numbers in JAX.
        """
        if not isinstance(op, Op):
            raise self._error(f"{op!r} is no ditto_compiler.ops.Op")
        if not isinstance(op.name, str) or not _OP_NAME.fullmatch(op.name):
            raise self._error(f"op name {op.name!r} must be a dialect and a name, such as 'example.cube'")
        if op.name.partition(".")[0] in _OURS:
            raise self._error(f"op '{op.name}' must not be of one of the dialects {', '.join(_OURS)}")
        facets = {
            "an emitter (emit)": op.emit,
            "a rule for fraction bits (scale)": op.scale,
            "a rule for ranges (range)": op.range,
            "an exact rule of the simulator (exact)": exact,
            "a fast rule of the simulator (fast)": fast,
        }
        lacking = [what for what, facet in facets.items() if not callable(facet)]
        if lacking:
            raise self._error(f"op '{op.name}' lacks {', '.join(lacking)}")
        if not isinstance(op.kind, Kind) or op.kind is Kind.TERMINATOR:
            raise self._error(f"op '{op.name}' must have a Kind other than TERMINATOR, got {op.kind!r}")
        if not op.rings or not set(op.rings) <= set(RINGS):
            raise self._error(f"op '{op.name}': rings must be some of {RINGS}, got {op.rings!r}")
        self._add("op", OPS, op.name, op)
        self._tables.setdefault("exact rule", {})[op.name] = exact
        self._tables.setdefault("fast rule", {})[op.name] = fast

    def function(self, recognizer: Finder, *forms: Form) -> None:
        """A function that programs compute, how to find it, and what to compute instead.

        It is replaced where a policy chooses one of its forms. A form's `build` is given a `Tensor` for each
        variable of the recogniser's patterns, by name.
        """
        name = getattr(recognizer, "function", None)
        if not isinstance(name, str) or not callable(getattr(recognizer, "find", None)):
            raise self._error(f"{recognizer!r} is no recogniser: it needs a function and a method find")
        if not name.isidentifier() or name == "exp":
            raise self._error(f"function {name!r} must have a name of letters, digits and underscores")
        if not forms:
            raise self._error(f"function '{name}' needs a form")
        self._add("recognizer", FORMS, name, recognizer)
        self._forms(name, forms)

    def forms(self, function: str, *forms: Form) -> None:
        """More forms of one of Ditto's own functions."""
        if function not in FORMS.own:
            raise self._error(
                f"forms of '{function}': Ditto has no such function, but {', '.join(FORMS.own)}; one of the "
                "package's own comes by `function`, with a recogniser"
            )
        self._forms(function, forms)

    def _forms(self, function: str, forms: Sequence[Form]) -> None:
        taken = (EXACT, *FORMS.own.get(function, ()))
        for form in forms:
            if not isinstance(form, Form) or not callable(form.build):
                raise self._error(f"{form!r} of function '{function}' is no ditto_compiler.forms.table.Form")
            if not (form.name and form.formula and form.source and form.valid):
                raise self._error(f"form '{form.name}' of {function} must say its formula, source and domain")
            if form.engine is not None and form.engine not in (*taken, *(one.name for one in forms)):
                raise self._error(
                    f"form '{form.name}' of {function} stands in for '{form.engine}', which is none"
                )
            own = Table("form", dict.fromkeys((f"{function} {name}" for name in taken), form))
            self._add("form", own, f"{function} {form.name}", form)

    def policy(self, name: str, text: str) -> None:
        """A policy: the text of a TOML file, whose `base` may be a preset or a plugin's policy."""
        self._check_name("policy", name)
        if not isinstance(text, str):
            raise self._error(f"policy '{name}' must be the text of a TOML file, got {text!r}")
        self._add("policy", POLICIES, name, text)

    def report(self, name: str, write: Callable[[Report], str]) -> None:
        """A format of reports: for `Program.report` and `ditto report`."""
        from ditto_compiler.report import FORMATS  # with a library for tables, which ditto-opt does without

        self._check_name("report format", name)
        if not callable(write):
            raise self._error(f"report format '{name}' must be a function of a Report, got {write!r}")
        self._add("report format", FORMATS, name, write)

    def _check_name(self, kind: str, name: object) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self._error(f"{kind} {name!r} must have a name in kebab case, such as 'fold-twice'")
        if name.startswith(("ditto-", "mlir-")):
            raise self._error(f"{kind} '{name}' must not start with 'ditto-' or 'mlir-'")

    def _add(self, kind: str, table: Table[Any], name: str, entry: object) -> None:
        other = "Ditto" if name in table.own else self._packages.get((kind, name))
        if other is not None:
            both = (
                f"package '{self.package}' twice"
                if other == self.package
                else f"'{self.package}' and '{other}'"
            )
            raise PluginError(
                f"{kind} '{name}' is added by {both}; rename it, or leave a package out: uninstall it, or "
                f"set {ONLY} to the plugins to load"
            )
        self._tables.setdefault(kind, {})[name] = entry
        self._packages[kind, name] = self.package

    def _error(self, message: str) -> PluginError:
        return PluginError(f"package '{self.package}': {message}")

    def _additions(self, loaded: Sequence[str], specs: Sequence[str]) -> Additions:
        tables: dict[str, dict[str, Any]] = {**self._tables, "form": {}}
        for name, form in self._tables.get("form", {}).items():
            tables["form"].setdefault(name.split(" ")[0], {})[form.name] = form
        return Additions(tables, self._packages, tuple(loaded), tuple(specs))


def additions_of(plugins: Sequence[Plugin | str | metadata.EntryPoint]) -> Additions:
    """What plugins add together.

    Args:
        plugins: themselves, or where they are: `module`, `module:attribute`, or entry points.

    Raises:
        PluginError: one cannot be imported, is none, is of another version of the interface, registers what
            is not whole, or two give one name to two things; names the packages.
    """
    # While they are loaded there are none: who loads them first may be one of them.
    token = ACTIVE.set(NONE)
    try:
        return _loaded(plugins)
    finally:
        ACTIVE.reset(token)


def _loaded(plugins: Sequence[Plugin | str | metadata.EntryPoint]) -> Additions:
    registry = Registry("")
    loaded: list[str] = []
    specs: list[str] = []
    for given in plugins:
        plugin, registry.package, spec = _found(given)
        if spec and spec in specs:
            continue  # installed, and named besides
        if plugin.api != API:
            raise PluginError(
                f"package '{registry.package}' is written for version {plugin.api!r} of Ditto's plugin "
                f"interface, and this Ditto has version {API}; install the one that fits the other, or leave "
                f"it out by {ONLY}"
            )
        try:
            plugin.register(registry)
        except PluginError:
            raise
        except Exception as error:  # it is somebody else's code, which may raise anything
            raise PluginError(
                f"package '{registry.package}': its plugin fails to register: {type(error).__name__}: {error}"
            ) from error
        loaded.append(registry.package)
        specs += [spec] if spec else []
    return registry._additions(loaded, specs)


def _found(given: Plugin | str | metadata.EntryPoint) -> tuple[Plugin, str, str]:
    """A plugin, its package, and where another process finds it; empty if that is unknown."""
    if isinstance(given, Plugin):
        module = getattr(given.register, "__module__", "") or "a plugin"
        names = vars(sys.modules.get(module, object)).items()
        attribute = next((name for name, value in names if value is given), None)
        return given, module, f"{module}:{attribute}" if attribute and module != "__main__" else ""
    if isinstance(given, str):
        spec = given if ":" in given else f"{given}:{ATTRIBUTE}"
        alone = metadata.EntryPoint(given.partition(":")[0], spec, GROUP)
        point = next((one for one in metadata.entry_points(group=GROUP) if one.value == spec), alone)
    else:
        point, spec = given, given.value
    package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.name
    try:
        plugin = point.load()
    except Exception as error:  # it is somebody else's code, which may raise anything
        raise PluginError(
            f"package '{package}': its plugin '{spec}' cannot be imported: {type(error).__name__}: {error}; "
            f"mend or uninstall it, or leave it out by {ONLY}"
        ) from error
    if not isinstance(plugin, Plugin):
        raise PluginError(
            f"package '{package}': '{spec}' must be a ditto_compiler.plugins.Plugin, got {plugin!r}"
        )
    return plugin, package, spec


def installed() -> tuple[str, ...]:
    """Where the plugins of this context are, for `using` and `--load-pass-plugin`: `module:attribute`."""
    return active().specs


@contextmanager
def using(*plugins: Plugin | str) -> Iterator[Additions]:
    """These plugins and no others, in this thread or coroutine, until the block ends.

        with using(*installed(), "my_package:plugin"):
            program = ditto.compile(f, x, policy="mine")

    Args:
        plugins: themselves, or where they are: `module` or `module:attribute`. None for Ditto as it comes.

    Raises:
        PluginError: see `additions_of`.
    """
    found = additions_of(plugins)
    token = ACTIVE.set(found)
    try:
        yield found
    finally:
        ACTIVE.reset(token)
