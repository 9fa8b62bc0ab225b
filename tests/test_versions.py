import ast

import pytest

from tests import ROOT
from tests.versions import VERSIONS


@pytest.mark.parametrize("entry", VERSIONS)
def test_what_depends_on_versions_exists(entry):
    path, _, test = entry.partition("::")
    assert (ROOT / path).exists()
    if test:
        names = {
            n.name for n in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))) if isinstance(n, ast.FunctionDef)
        }
        assert any(name.startswith(test.split("[")[0]) for name in names)
