"""How Sphinx builds the site: `make docs`, then open docs/_build/html/index.html. Reading it needs no network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import accessible
import api_pages
import copies
import pictures

from overunlearn_jax import __version__

HERE = Path(__file__).parent

project = "overunlearn_jax"
author = "The overunlearn_jax authors"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_design"]
exclude_patterns = ["_build", "executed"]
nb_execution_mode = "off"  # what notebooks show was made by `make notebooks`
nb_merge_streams = True  # what a cell prints is one block
myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = [
    "ref.python",  # a name that two rooms have
    "misc.highlighting_failure",  # a shell command within a notebook's Python
]
default_role = "code"  # docstrings put names between single backquotes
smartquotes = False  # two dashes of a flag stay two

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
autodoc_mock_imports = ["torch", "torchvision", "lpips", "equinox"]
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "overunlearn_jax"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

made = HERE / "made"  # not in git: all of it is made from the package, the rows and the notebooks
pictures.make(made / "pictures")
api_pages.make(made / "api")
copies.copy_notebooks(HERE.parent / "notebooks", made / "notebooks")
copies.copy_schema(HERE.parent / "overunlearn_jax/services/http/schema.md", made / "schema")
copies.copy_results(HERE.parent / "experiments" / "results", made / "results")


def setup(app):
    """Fields of NamedTuples and dataclasses are documented by the comments behind them."""
    app.connect("autodoc-process-docstring", api_pages.add_fields)
    app.connect("autodoc-process-docstring", api_pages.set_code)
    app.connect("autodoc-skip-member", api_pages.skip_fields)
    app.connect("html-page-context", accessible.mend, priority=900)
