"""Configuration of the documentation site; `make docs` builds it."""

import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from instrec.reporting import inputs  # noqa: E402

project = "instRecCnn"
author = "Juan Sebastián Gómez Cañón and the instRecCnn developers"
project_copyright = f"2018–2026, {author}"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
smartquotes = False  # options keep their two hyphens

nb_execution_mode = "force"  # the notebook runs whenever the site is built
nb_execution_timeout = 300  # s
nb_execution_raise_on_error = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # of what stands in backquotes in a docstring
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more: shapes and units
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["accessible.js"]
html_show_sourcelink = False
html_copy_source = False
highlight_language = "none"  # of what is not marked: commands
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

latex_engine = "xelatex"
latex_use_xindy = False  # LaTeX may come without it
latex_documents = [("index", "instreccnn.tex", "instRecCnn documentation", author, "manual")]
# The tables of the report have up to 14 columns.
latex_elements = {
    "extraclassoptions": "openany,oneside",
    "preamble": r"""
\usepackage{etoolbox}
\AtBeginEnvironment{tabulary}{\scriptsize\setlength{\tabcolsep}{2pt}}
\AtBeginEnvironment{longtable}{\scriptsize\setlength{\tabcolsep}{2pt}}
""",
}


def dash_after_parameters(_app: Sphinx, document: nodes.document, _name: str) -> None:
    """Put a dash where Sphinx puts two hyphens before the description of a parameter."""
    for text in list(document.findall(nodes.Text)):
        if text.startswith(" -- "):
            text.parent.replace(text, nodes.Text(text.replace(" -- ", " – ", 1)))


def banner_on_old_report(_app: Sphinx, name: str, source: list[str]) -> None:
    """Say above the report if what it was made by has changed since."""
    if name == "report/report":
        source[0] = inputs.with_banner(source[0])


def setup(app: Sphinx) -> None:
    """Register what is above."""
    app.connect("source-read", banner_on_old_report)
    app.connect("doctree-resolved", dash_after_parameters)
