"""The table of contents, which stands beside every page. A page that is in no part of it is an error.

The Markdown has no directives, since code hosts show it too: the table is added to the first page when that is read.
"""

from fnmatch import fnmatchcase

# A part is a heading and its pages. A page is its name, or a shorter title and its name. `self` is the first page, and one
# with * stands for all that are left.
parts = {
    "Start here": ["Overview <self>", "docs/comparison"],
    "Languages": [
        "Lua <docs/lua>",
        "LuaJIT's FFI <docs/luajit-ffi>",
        "C and C++ <docs/c>",
        "Python <bindings/python/README>",
        "Node <bindings/node/README>",
        "Go <bindings/go/README>",
        "WebAssembly <web/README>",
        "docs/cli",
    ],
    "Hosts": ["Overview <docs/hosts/README>", "docs/hosts/*"],
    "For all languages": ["docs/storage", "docs/embedding", "docs/watch", "docs/postgres", "docs/troubleshooting"],
    "Background": ["docs/platforms", "docs/performance", "docs/design", "docs/browser-store"],
    "More": ["*"],
    "The project": ["CHANGELOG", "CONTRIBUTING", "SECURITY"],
}


def tables(found):
    """The Markdown of a hidden table of contents for each part, of the pages that are there."""
    left = sorted(found - {"README"})
    named = {entry.rpartition("<")[2].rstrip(">") for pages in parts.values() for entry in pages}
    for caption, pages in parts.items():
        entries = []
        for entry in pages:
            name = entry.rpartition("<")[2].rstrip(">")
            if "*" in name:
                taken = [page for page in left if fnmatchcase(page, name) and page not in named]
                entries += taken
                left = [page for page in left if page not in taken]
            elif name in left or name == "self":
                entries.append(entry)
                left = [page for page in left if page != name]
        if entries:
            yield "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""])


def add(app, name, source):
    if name == "README":
        source[0] += "".join(tables(set(app.env.found_docs)))


def setup(app):
    app.connect("source-read", add)
