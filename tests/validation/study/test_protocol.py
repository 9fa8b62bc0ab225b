"""The study file: what it refuses, where, and with which remedy."""

import json

import pytest

from tests import ROOT

yaml = pytest.importorskip("yaml")

from tests.validation.study.made import PLAN  # noqa: E402
from twinprob.validation.study import protocol  # noqa: E402


def said(tmp_path, old: str, new: str) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(PLAN.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^mine\.yaml, line") as error:
        protocol.read(file)
    return str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("horizon: 2 h", "horizont: 2 h", 8, "forecast.horizont: there is no such field; did you mean `horizon`"),
        ("seed: 3", "", 1, "seed: is missing; add it"),
        ("variant: charted", "variant: chartd", 7, "no variant 'chartd'; did you mean `charted`"),
        ("name: ICING,", "name: ICINGS,", 7, "no model 'ICINGS'; did you mean `ICING`"),
        ("fewest: 2", "fewest: two", 6, "inclusion.fewest"),
        ("horizon: 2 h", "horizon: 2 hh", 8, "'2 hh' must be a number with its unit"),
        ("glucose < 6 mmol/L", "glucose < 6", 9, "has no unit"),
        ("keep: [glucose]", "keep: [glucos]", 6, "no output 'glucos'"),
        ("seed: 3", "seed: 3\nseed: 4", 16, "seed: is there twice"),
        ("relative_to: persistence", "relative_to: persistance", 12, "is not among `baselines`"),
        ("at_least: 0.8, at_most: 1.0", "", 13, "needs `at_least`, `at_most` or `below`"),
        ("classes: [[0.4, 1.5]]", "classes: [[1.5, 0.4]]", 8, "each of `classes` must be"),
        ("fewest: 2}", "fewest: 2", 7, "YAML"),
    ],
)
def test_an_error_names_line_field_and_remedy(tmp_path, old, new, line, words):
    message = said(tmp_path, old, new)
    assert words in message
    assert f"line {line}," in message or f"line {line}:" in message


def test_every_study_that_ships_is_read_and_names_itself():
    names = protocol.shipped()
    assert {"glucose", "plateau", "pressure"} <= set(names)
    assert [protocol.read(name).name for name in names] == names
    assert all(protocol.read(name).context_of_use for name in names)


def test_a_name_that_does_not_ship_is_refused():
    with pytest.raises(FileNotFoundError, match="glucose, plateau, pressure"):
        protocol.read("glucos")


def test_the_published_schema_is_that_of_the_code():
    published = json.loads((ROOT / "datasets" / "studies" / "schema.json").read_text(encoding="utf-8"))
    assert published == protocol.schema()


def test_the_studies_that_ship_follow_the_published_schema():
    jsonschema = pytest.importorskip("jsonschema")
    for name in protocol.shipped():
        stated = yaml.safe_load((ROOT / "datasets" / "studies" / f"{name}.yaml").read_text(encoding="utf-8"))
        jsonschema.validate(stated, protocol.schema())


def test_another_seed_is_another_study(tmp_path):
    marks = []
    for seed in (3, 4, 3):
        (tmp_path / "s.yaml").write_text(PLAN.replace("seed: 3", f"seed: {seed}"), encoding="utf-8")
        marks.append(protocol.read(tmp_path / "s.yaml").mark())
    assert marks[0] == marks[2] != marks[1]
