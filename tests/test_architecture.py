import ast
import importlib
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from tests import ROOT, project_files

PACKAGE = ROOT / "twinprob"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

# Top to bottom; a file imports only from wings that stand before its own, and from its own wing without a circle.
WINGS = (
    "labels.py", "display.py", "storage.py",
    "patient/", "modeling/", "readers/", "models/", "dynamics/", "inference/", "breaths/", "forecasting/",
    "diagnostics/", "design/", "validation/", "decisions/", "presentation/",
    "cli/", "__init__.py",
)  # fmt: skip
FOLDERS = [listed for listed in WINGS if listed.endswith("/")]

HOMES = {
    "pint": "patient/units.py",
    "matplotlib": "presentation/plots/",
    "arviz_plots": "presentation/plots/",
    "jinja2": "presentation/",
    "starlette": "presentation/page/server.py",
    "uvicorn": "presentation/page/server.py",
    "typer": "cli/__init__.py",
    "rich": "cli/terminal.py",
    "dask": "inference/cohort.py",
    "distributed": "inference/cohort.py",
    "blackjax": "inference/methods/smc.py",
    "SALib": "diagnostics/sensitivity.py",
    "scoringrules": "validation/score.py",
    "pyarrow": "readers/meds.py",
    "fhir": "presentation/export.py",
    "pydantic": "validation/study/protocol.py",
    "yaml": "validation/study/protocol.py",
    "zarr": "validation/study/store.py",
}

FORBIDDEN = {"utils", "helpers", "common", "misc", "core", "base", "manager", "engine", "interface", "types"}
TOP_LEVEL = {
    "pyproject.toml", "README.md", "LICENSE", "Makefile", "twinprob", "notebooks", "tests", "docs", "datasets",
}  # fmt: skip


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def wing(name: str) -> int:
    """Return the place of a file, named relative to the package, in the order of wings."""
    for place, listed in enumerate(WINGS):
        if name == listed or (listed.endswith("/") and name.startswith(listed)):
            return place
    raise LookupError(f"twinprob/{name} stands in no wing: add it to WINGS and to docs/architecture.md")


def module_file(module: str) -> str | None:
    """Return the file behind a dotted name inside the package, relative to the package."""
    parts = module.split(".")[1:]
    candidates = [PurePosixPath(*parts, "__init__.py")]
    if parts:
        candidates.append(PurePosixPath(*parts).with_suffix(".py"))
    return next((str(file) for file in candidates if (PACKAGE / file).is_file()), None)


def imported_modules(path: Path) -> set[str]:
    """Return the absolute dotted names that a file imports, at any depth of its code."""
    package = ["twinprob", *path.relative_to(PACKAGE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*parent, *([node.module] if node.module else [])])
            for alias in node.names:
                member = f"{origin}.{alias.name}"
                inside = origin.split(".")[0] == "twinprob"
                found.add(member if inside and module_file(member) else origin)
    return found


def neighbors(name: str) -> set[str]:
    """Return the files of the package that a file of the package imports."""
    inside = {module for module in imported_modules(PACKAGE / name) if module.split(".")[0] == "twinprob"}
    files = {module: module_file(module) for module in inside}
    missing = sorted(module for module, file in files.items() if file is None)
    assert not missing, f"twinprob/{name} imports {missing}, which the package does not hold"
    return {file for file in files.values() if file is not None}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        assert docstring.end_lineno is not None
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def pointing_up(name: str) -> set[str]:
    """Return the files that a file imports and that do not stand above it."""
    here = wing(name)
    below = here + 1 if WINGS[here].endswith("/") else here
    return {file for file in neighbors(name) if wing(file) >= below}


def circle(folder: str) -> list[str]:
    """Return the files of a wing that import each other in a circle, or nothing."""
    graph = {
        name: {file for file in neighbors(name) if file.startswith(folder)} - {name}
        for name in NAMES
        if name.startswith(folder) and not name.endswith("__init__.py")
    }
    while free := {name for name, needs in graph.items() if not needs & graph.keys()}:
        graph = {name: needs for name, needs in graph.items() if name not in free}
    return sorted(graph)


def length(name: str) -> int:
    """Return the number of lines of a file."""
    return len((PACKAGE / name).read_text(encoding="utf-8").splitlines())


def function_lengths(name: str) -> dict[str, int]:
    """Return the lines of each function of a file; of two of one name, those of the longer."""
    functions = [n for n in ast.walk(parse(PACKAGE / name)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f.name: code_lines(f) for f in sorted(functions, key=code_lines)}


def test_the_package_was_found():
    assert {"modeling/model.py", "patient/record.py", "dynamics/simulate.py", "__init__.py"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_stands_in_a_wing(name):
    assert WINGS[wing(name)]


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_to_wings_above(name):
    wrong = pointing_up(name)
    assert not wrong, f"twinprob/{name} imports {sorted(wrong)}, which do not stand above it in WINGS"


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_of_one_wing_do_not_import_in_a_circle(folder):
    assert circle(folder) == []


def test_the_package_shows_at_most_18_entries():
    assert len({PurePosixPath(name).parts[0] for name in NAMES}) <= 18


def test_the_page_states_the_same_order_of_wings():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("## Wings")[1].split("##")[0]
    stated = re.findall(r"^\| `([a-z_]+/?(?:\.py)?)`", table, re.MULTILINE)
    assert stated == [listed for listed in WINGS if listed != "__init__.py"]


@pytest.mark.parametrize("folder", [listed for listed in FOLDERS if (PACKAGE / listed).exists()])
def test_a_wing_says_in_two_sentences_what_is_in_it(folder):
    said = ast.get_docstring(parse(PACKAGE / folder / "__init__.py")) or ""
    assert len(re.findall(r"[.](?=\s|$)", said)) == 2


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_large_library_has_one_home(library):
    users = {name for name in NAMES if library in {module.split(".")[0] for module in imported_modules(PACKAGE / name)}}
    home = HOMES[library]
    assert {name for name in users if name != home and not (home.endswith("/") and name.startswith(home))} == set()


def test_only_the_segment_and_simulation_files_integrate():
    users = {name for name in NAMES if "diffrax" in {m.split(".")[0] for m in imported_modules(PACKAGE / name)}}
    assert users <= {"dynamics/integrators.py", "dynamics/solvers.py"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_at_most_400_lines(name):
    assert length(name) <= 400


@pytest.mark.parametrize("name", NAMES)
def test_a_function_has_at_most_60_lines(name):
    assert {what: size for what, size in function_lengths(name).items() if size > 60} == {}


@pytest.mark.parametrize("name", NAMES)
def test_no_file_has_a_name_that_says_nothing(name):
    parts = {part.removesuffix(".py").strip("_") for part in PurePosixPath(name).parts}
    assert not parts & FORBIDDEN


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_documented(name):
    if not any(part.startswith("_") and part != "__init__.py" for part in PurePosixPath(name).parts):
        assert undocumented(parse(PACKAGE / name).body, name) == []


def undocumented(body: list[ast.stmt], inside: str) -> list[str]:
    """Return the public functions and classes without a docstring; a method may inherit its own."""
    found = []
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_") or overloads(node):
            continue
        place = f"{inside}:{node.name}"
        if ast.get_docstring(node) is None and not implements_an_interface(node, inside):
            found.append(place)
        if isinstance(node, ast.ClassDef):
            found += undocumented(node.body, place)
    return found


def overloads(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether a function only declares types for the one of its name that follows."""
    return any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list)


def implements_an_interface(node: ast.stmt, inside: str) -> bool:
    """Tell whether a method inherits its text: interfaces are documented once, on the abstract method."""
    if ":" not in inside or not isinstance(node, ast.FunctionDef):
        return False
    path, class_name = inside.split(":")[0], inside.split(":")[1]
    module = importlib.import_module("twinprob." + path.removesuffix(".py").replace("/", "."))
    return bool(inspect.getdoc(getattr(getattr(module, class_name), node.name)))


@pytest.mark.parametrize("name", NAMES)
def test_documented_parameters_are_those_of_the_signature(name):
    wrong = {}
    for node in ast.walk(parse(PACKAGE / name)):
        if isinstance(node, ast.FunctionDef):
            documented = documented_parameters(ast.get_docstring(node) or "")
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            signature = {argument.arg for argument in every} - {"self", "cls"}
            signature |= {extra.arg for extra in (arguments.vararg, arguments.kwarg) if extra}
            if documented and documented != signature:
                wrong[node.name] = (documented ^ signature, "documented or declared, not both")
    assert wrong == {}


def documented_parameters(docstring: str) -> set[str]:
    """Return the names under `Parameters` of a NumPy docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", docstring, re.MULTILINE | re.DOTALL)
    if section is None:
        return set()
    heads = re.findall(r"^(\S[^:\n]*?)\s*(?::|$)", section.group(1), re.MULTILINE)
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def test_the_top_level_is_as_agreed():
    assert {path.parts[0] for path in project_files() if not path.parts[0].startswith(".")} == TOP_LEVEL


IMPORT_PROBE = """
import sys
import jax
before = jax.config.jax_enable_x64
import twinprob
from jax._src import xla_bridge
print("backends", sorted(xla_bridge._backends))
print("flag changed", jax.config.jax_enable_x64 != before)
heavy = {"matplotlib", "pint", "arviz_plots", "jinja2", "typer", "dask", "blackjax", "SALib", "sympy"}
heavy |= {"pydantic", "yaml", "zarr"}
print("pulled in", sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("line", ["backends []", "flag changed False", "pulled in []"])
def test_importing_the_package_leaves_the_process_alone(line, import_report):
    assert line in import_report


@pytest.fixture(scope="module")
def import_report():
    """What a fresh process finds changed after `import twinprob`."""
    command = [sys.executable, "-W", "error", "-c", IMPORT_PROBE]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|tmp|root|home|Users|farm|mnt|media)/\w|\b[A-Z]:\\\w")
IDENTIFIER = re.compile(r"(?i)\b(?:subject|hadm|icustay|stay|patient)_?id\b\W{1,4}\d{4,}")
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}")


@pytest.mark.parametrize("pattern", [MACHINE_PATH, IDENTIFIER, ADDRESS], ids=["machine path", "identifier", "address"])
def test_no_file_names_a_machine_or_a_person(pattern):
    found = []
    for path in project_files():
        if path.suffix not in {".png", ".nc", ".gz", ".zip", ".svg"} and path.name != "LICENSE":
            text = (ROOT / path).read_text(encoding="utf-8")
            found += [f"{path}:{number}" for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)]
    assert found == []


BRITISH = re.compile(
    r"(?i)\b(?:haemo\w+|oedema|initialis\w+|normalis\w+|optimis(?:e|ed|es|ing|ation)\b|personalis\w+"
    r"|parametris\w+|summaris\w+|vectoris\w+|colour\w*|behaviour\w*|centred?|centring|modell(?:ing|ed|er)\w*"
    r"|licence\w*|learnt|neighbour\w*|favour\w*|analys(?:e|ed|ing)\b)\b"
)


def test_words_are_spelled_as_in_the_united_states():
    found = []
    for path in project_files():
        if path.suffix in {".py", ".md", ".ipynb"} and path.name != "test_architecture.py":
            found += [f"{path}: {word}" for word in BRITISH.findall((ROOT / path).read_text(encoding="utf-8"))]
    assert found == []
