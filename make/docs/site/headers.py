"""The pages that Doxygen has made of the C and the C++ header, in `headers/` of the site: the search finds them too."""

from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils import new_document


def section(title, anchor, text):
    found = nodes.section(ids=[anchor])
    found += nodes.title("", title)
    found += nodes.paragraph("", text)
    return found


def text(element):
    return " ".join(element.get_text(" ").split())


def mend(pages):
    """Removes Doxygen's links to descriptions that a page does not have, since all of it is said where the link is."""
    for name, soup in pages.items():
        for link in soup.find_all("a", href=lambda url: url and url.endswith("#details")):
            target = link["href"].removesuffix("#details") or name
            if not pages[target].find(id="details"):
                link.decompose()


def feed(app, failure):
    """Tells the index of each page: of its text, and of its functions and types as sections with a link of their own."""
    if failure:
        return
    index = app.builder.indexer
    files = sorted((app.outdir / "headers").glob("*.html"))
    pages = {file.name: BeautifulSoup(file.read_text(), "html.parser") for file in files}
    mend(pages)
    for file in files:
        soup = pages[file.name]
        contents = soup.find("div", class_="contents")
        # The script of the search takes the summary of a result from this element.
        contents["role"] = "main"
        file.write_text(str(soup))
        titles = contents.find_all("h2", class_="memtitle")
        # The others are lists of names.
        if not titles and file.stem != "index":
            continue
        document = new_document(file.name)
        for title in titles:
            item = title.find_next("div", class_="memitem")
            title.span.decompose()
            document += section(text(title), title.find_previous("a", id=True)["id"], text(item))
            item.decompose()
            title.decompose()
        document += nodes.paragraph("", text(contents))
        name = soup.title.string.removeprefix("luat_kv: ")
        index.feed(f"headers/{file.stem}", f"headers/{file.name}", name, document)
    # Sphinx has written the index already, without what is no page of its own.
    with (app.outdir / app.builder.searchindex_filename).open("w") as stream:
        index.dump(stream, app.builder.indexer_format)


def setup(app):
    app.connect("build-finished", feed)
