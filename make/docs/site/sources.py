"""Links that lead to files of the repository, such as `src/lib.rs`: each such file becomes a page of the site, with its
code in colours, and so do the files of a folder that a link leads to."""

import html
import os
from pathlib import PurePosixPath

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes

# These are pages already: see headers.py.
known = {"include/luat_kv.h": "headers/index", "include/luat_kv.hpp": "headers/luat__kv_8hpp"}
wanted = set()  # paths in the repository


def find(app, doctree):
    """Replaces each link to a file or a folder that is no page by one to the page that it becomes."""
    name = app.env.docname
    for node in list(doctree.findall(lambda n: isinstance(n, (addnodes.download_reference, addnodes.pending_xref)))):
        target = node.get("reftarget", "")
        path = os.path.normpath(os.path.join(os.path.dirname(name), target))
        file = app.srcdir / path
        if not target or "#" in target or not file.exists() or path.removesuffix(".md") in app.env.found_docs:
            continue
        if path not in known:
            wanted.add(path)
        page = known.get(path) or (f"{path}/index" if file.is_dir() else path)
        uri = os.path.relpath(page, os.path.dirname(name) or ".") + ".html"
        node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))


def page(app, path):
    code = (app.srcdir / path).read_text()
    try:
        lexer = get_lexer_for_filename(path, code).aliases[0]
    except ClassNotFound:
        lexer = "text"
    body = app.builder.highlighter.highlight_block(code, lexer, linenos="table" if code.count("\n") > 40 else False)
    return path, {"title": path, "body": f"<h1><code>{html.escape(path)}</code></h1>\n{body}"}, "page.html"


def pages(app):
    for path in sorted(wanted):
        if not (app.srcdir / path).is_dir():
            yield page(app, path)
            continue
        files = sorted(file.name for file in (app.srcdir / path).iterdir() if file.is_file() and file.suffix != ".md")
        items = "".join(f'<li><a href="{name}.html"><code>{name}</code></a></li>' for name in map(html.escape, files))
        body = f"<h1><code>{html.escape(path)}</code></h1>\n<ul>{items}</ul>"
        yield f"{path}/index", {"title": path, "body": body}, "page.html"
        for name in files:
            if f"{path}/{name}" not in wanted:
                yield page(app, str(PurePosixPath(path, name)))


def setup(app):
    # Before Sphinx collects downloads, which these links would become.
    app.connect("doctree-read", find, priority=100)
    app.connect("html-collect-pages", pages)
