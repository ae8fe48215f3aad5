"""Sphinx configuration: Markdown pages, generated tables, API from docstrings; nothing is fetched."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import tlzoo

project = "tlzoo"
author = "The tlzoo developers"
copyright = author
version = release = tlzoo.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
extensions += ["generated_part", "mathml"]  # beside this file
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
suppress_warnings: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes as fields: dataclass fields are not described twice
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"tlzoo {release}"
html_copy_source = False
html_show_sphinx = False


def skip_metadata_requests(_app, _what, name, *_):
    """Leave out what scikit-learn adds to every estimator: its text links to scikit-learn's own pages."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app):
    app.connect("autodoc-skip-member", skip_metadata_requests)
