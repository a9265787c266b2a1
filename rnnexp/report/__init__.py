"""Pages and figures about a run, a sweep or a comparison.

from rnnexp.report import write

write("outputs/sweeps/my-search")
"""

from rnnexp.report.pages import gather, write, write_figures

__all__ = ["gather", "write", "write_figures"]
