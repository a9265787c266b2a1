"""The documentation site, as Sphinx builds it: `make docs`. Tutorials run as they are built."""

import os
import re
import sys
from functools import partial
from pathlib import Path

import jupyter_cache.executors.utils as executor
from docutils import nodes

sys.path.insert(0, str(Path(__file__).parent))

from generated import expanded, made_from

from rnnexp import __version__

project, author, release = "rnnexp", "the rnnexp maintainers", __version__
copyright = "2026, the rnnexp maintainers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]
highlight_language = "none"
default_role = "code"  # `x` of a docstring
suppress_warnings = ["config.cache"]

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_excludepatterns = ["*.ipynb"]  # stored with their output, and run by tests
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # of a cell, on a busy machine
executor.executenb = partial(
    executor.executenb, coalesce_streams=True
)  # a command's output is one text, not the pieces it came in
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # rnnexp, as tutorials type it
os.environ["COLUMNS"] = "96"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"rnnexp {release}"
html_extra_path = ["llms.txt"]
html_static_path = ["_static"]
html_css_files = ["rnnexp.css"]


def setup(app):
    app.connect("source-read", read)
    app.connect("doctree-read", lambda _, doctree: tidy(doctree))


def read(app, docname, source):
    """Puts into a page what it asks for, and has it built again when that changes."""
    for path in made_from(source[0], docname):
        app.env.note_dependency(path.resolve(), docname=docname)
    source[0] = expanded(source[0], docname)


def tidy(doctree):
    """Shows cells as what they hold, without IPython's magic, and no name of the folder that a tutorial has run in."""
    for block in doctree.findall(nodes.literal_block):
        text = block.astext()
        if text.startswith("%%bash\n"):
            block["language"] = "sh"
        clean = re.sub(r"^%%writefile ", "# ", text.removeprefix("%%bash\n"))
        clean = re.sub(r"/tmp/tmp\w+", "/home/you/rnnexp", clean)
        if clean != text:
            block.rawsource = clean
            block.children = []
            block += nodes.Text(clean)
