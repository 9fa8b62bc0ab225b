import importlib.metadata
import shutil
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent

project = "twinprob"
release = version = importlib.metadata.version("twinprob")
author = copyright = "the twinprob authors"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = "twinprob"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
# A notebook that carries its outputs is shown as it is; tests/test_notebooks.py executes all of them.
nb_execution_mode = "auto"
nb_execution_timeout = 600
nb_execution_raise_on_error = True

suppress_warnings = ["ref.python"]  # two classes may have an attribute of one name, such as `unit`
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def copy_notebooks(app: Sphinx) -> None:
    """Bring the notebooks into the source folder, where Sphinx looks for pages."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    kept = {path.name for path in (HERE.parent / "notebooks").glob("*.ipynb")}
    for stale in target.glob("*.ipynb"):
        if stale.name not in kept:
            stale.unlink()
    for name in kept:
        shutil.copyfile(HERE.parent / "notebooks" / name, target / name)


def setup(app: Sphinx) -> None:
    """Register what this documentation adds to Sphinx."""
    app.connect("config-inited", lambda app, config: copy_notebooks(app))
