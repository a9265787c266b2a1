"""The documentation site, as Sphinx builds it: `make docs`. Tutorials run as they are built."""

import os
import re
import sys
from pathlib import Path

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent))

from generated import expanded

from rnnexp import __version__

project, author, release = "rnnexp", "the rnnexp maintainers", __version__
copyright = "2026, the rnnexp maintainers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]
highlight_language = "none"
suppress_warnings = ["config.cache"]

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_excludepatterns = ["*.ipynb"]  # stored with their output, and run by tests
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # of a cell, on a busy machine
nb_merge_streams = True
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # rnnexp, as tutorials type it
os.environ["COLUMNS"] = "96"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"rnnexp {release}"
html_extra_path = ["llms.txt"]
html_static_path = ["_static"]
html_css_files = ["rnnexp.css"]
html_copy_source = True


def setup(app):
    app.connect("source-read", lambda _, docname, source: source.__setitem__(0, expanded(source[0], docname)))
    app.connect("doctree-read", lambda _, doctree: tidy(doctree))


def tidy(doctree):
    """Shows cells of shell commands as such, and no name of the folder that a tutorial has run in."""
    for block in doctree.findall(nodes.literal_block):
        text = block.astext()
        if text.startswith("%%bash\n"):
            block["language"] = "sh"
        clean = re.sub(r"/tmp/tmp\w+", "/home/you/rnnexp", text.removeprefix("%%bash\n"))
        if clean != text:
            block.rawsource = clean
            block.children = []
            block += nodes.Text(clean)
