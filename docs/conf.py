"""Settings of Sphinx for the documentation site; `scripts/site` builds it."""

import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "src")]

from echocast._version import __version__  # noqa: E402  # found by the path above

project = "echocast"
copyright = "The echocast developers. BSD-3-Clause"  # noqa: A001 (Sphinx's name)
release = version = __version__

extensions = ["extension", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
exclude_patterns = ["examples"]
source_suffix = {".md": "markdown"}
language = "en_GB"
smartquotes = False  # code and settings are quoted in prose too
default_role = "code"  # docstrings put code between single backticks

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
_documented = "|".join(
    re.escape(name)
    for page in sorted((Path(__file__).parent / "reference" / "python").glob("*.md"))
    for name in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))
)
# What has a page must be found. Types of other packages are documented elsewhere, and no index of theirs is fetched.
nitpick_ignore_regex = [(r"py:.*", rf"(?!(?:{_documented})\.\w+$).*"), (r"py:.*", r".*\.T$")]

man_pages = [("reference/commands", "echocast", "nowcasting of fields that move", "The echocast developers", 1)]

# What `scripts/site --links` asks: a server that is slow or wants no robots is no broken link.
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1)", r"https://echocast\.readthedocs\.io"]
linkcheck_allowed_redirects = {r"https://doi\.org/.*": r".*", r"https?://.*": r"https?://.*"}
linkcheck_anchors = False
linkcheck_retries, linkcheck_timeout, linkcheck_workers = 3, 30, 4
linkcheck_report_timeouts_as_broken = False

html_theme = "pydata_sphinx_theme"
html_title = "echocast"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": []}
html_theme_options = {
    "logo": {"text": "echocast"},
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
