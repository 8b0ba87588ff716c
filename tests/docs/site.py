"""Reads a site of HTML files, and prints "ok: " before the name of each check that it passes. Called by `site`."""

import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

root = Path(sys.argv[1]).resolve()
soups = {file: BeautifulSoup(file.read_text(), "html.parser") for file in sorted(root.rglob("*.html"))}
# What a page loads by itself. Links of <a> are for people, and may lead anywhere.
loads = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "object": "data",
         "embed": "src", "link": "href", "use": "href"}


@cache
def anchors(file):
    return {tag.get("id") for tag in soups[file].find_all(id=True)} | {tag["name"] for tag in soups[file].find_all("a", attrs={"name": True})}


def links(file):
    """(URL, file, anchor) of each link within the site."""
    for tag in soups[file].find_all("a", href=True):
        url = urlsplit(tag["href"])
        if not url.scheme and not url.netloc:
            yield tag["href"], (file.parent / unquote(url.path)).resolve() if url.path else file, unquote(url.fragment)


def broken_links():
    for file in soups:
        for url, target, anchor in links(file):
            if not target.is_file() or (target.suffix == ".html" and anchor and anchor not in anchors(target)):
                yield f"{file.relative_to(root)}: {url}"


def from_elsewhere():
    for file, soup in soups.items():
        for tag in soup.find_all(loads.keys()):
            url = tag.get(loads[tag.name], "")
            if urlsplit(url).scheme not in ("", "data") or url.startswith("//"):
                yield f"{file.relative_to(root)}: {url}"
            elif url and not urlsplit(url).scheme and not (file.parent / unquote(urlsplit(url).path)).exists():
                yield f"{file.relative_to(root)}: {url} is missing"
    for style in [*root.rglob("*.css"), *soups]:
        for url in re.findall(r"""(?:url\(|@import)\s*["']?((?:[a-z]+:)?//[^"')]*)""", style.read_text()):
            yield f"{style.relative_to(root)}: {url}"


def not_in_contents():
    """Pages of Markdown, which have a sidebar: each has all of them in it."""
    pages = {file for file in soups if soups[file].find(class_="sidebar-tree") and file.name != "search.html"}
    written = {file for file in pages if soups[file].find("section", id=True)}
    for file in pages:
        sidebar = soups[file].find(class_="sidebar-drawer")
        named = {(file.parent / unquote(urlsplit(tag["href"]).path)).resolve() if not tag["href"].startswith("#") else file
                 for tag in sidebar.find_all("a", href=True)}
        for missing in sorted((written | {root / "headers/index.html"}) - named):
            yield f"{file.relative_to(root)} does not lead to {missing.relative_to(root)}"


def not_reached():
    seen, left = set(), [root / "index.html"]
    while left:
        file = left.pop()
        if file in seen or file not in soups:
            continue
        seen.add(file)
        left += [target for _, target, _ in links(file)]
        # Doxygen's menu is made by a script.
        if file.parent.name == "headers":
            data = (file.parent / "menudata.js").read_text()
            left += [(file.parent / url).resolve() for url in re.findall(r'url:"([^"#]*)', data)]
    for file in sorted(set(soups) - seen - {root / "search.html"}):
        yield str(file.relative_to(root))


for name, faults in {
    "every link leads to a page and an anchor": broken_links(),
    "nothing is loaded from elsewhere": from_elsewhere(),
    "every page is in the table of contents of every other": not_in_contents(),
    "every file can be reached from the first page": not_reached(),
}.items():
    faults = list(faults)
    print(f"not ok: {name}" if faults else f"ok: {name}", *faults[:20], sep="\n")
print(len(soups), "files")
