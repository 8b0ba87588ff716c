"""The site that `make docs` builds with Sphinx: what there is to read, as it lies in the repository, with the same links.

MyST reads Markdown as code hosts do, the theme furo has pages for wide and narrow, light and dark screens, and Sphinx's
search is a script that needs no server. Nothing in the output is loaded from the network.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "luat_kv"
extensions = ["myst_parser", "navigation", "sources", "headers"]
root_doc = "README"
include_patterns = ["**.md"]
exclude_patterns = ["target", "dist", "fuzz", "tests", "**/node_modules", "**/.*", "**/build"]
templates_path = ["templates"]

# Code that Pygments cannot colour is shown without colours, as nginx.conf with Lua in it.
suppress_warnings = ["misc.highlighting_failure"]

# The anchors of headings are those of code hosts.
myst_heading_anchors = 4

html_theme = "furo"
html_static_path = ["static"]
html_extra_path = ["extra"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_use_index = False
html_sidebars = {
    "**": [f"sidebar/{part}.html" for part in ("brand", "search", "scroll-start", "navigation", "headers", "scroll-end")]
}
