"""The charts of docs/performance.md, from figures of bench/run: SVG files that are the same for the same figures."""

from __future__ import annotations

import matplotlib

from figures import BY_KEYS, DOCS, KEYS, LEVELS, PEERS, number, value

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

# Pages are light or dark, and a chart is part of both: so it has no background, and colours that are seen on either.
TEXT, OURS, OTHERS = "#767676", "#2f81f7", "#a0714f"
matplotlib.rcParams.update({
    "svg.hashsalt": "luat_kv",
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "grid.color": TEXT,
    "grid.alpha": 0.3,
    "savefig.transparent": True,
})

Row = tuple[str, float | None]


def save(figure: pyplot.Figure, name: str) -> None:
    (DOCS / "charts").mkdir(exist_ok=True)
    figure.savefig(DOCS / f"charts/{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)


def points(axes: pyplot.Axes, title: str, groups: list[tuple[str, list[Row]]]) -> None:
    """A row for each figure, under the headings of the groups. The axis is logarithmic."""
    at, ticks, labels, lines = 0, [], [], []
    for heading, rows in groups:
        ticks.append(at)
        labels.append(heading)
        at += 1
        for name, us in rows:
            ticks.append(at)
            labels.append(name)
            if us:
                colour = OURS if name.startswith("luat_kv") else OTHERS
                axes.plot([us], [at], "o", color=colour, markersize=6)
                lines.append((at, us, colour))
                axes.annotate(number(us), (us, at), xytext=(7, -3), textcoords="offset points", fontsize=8)
            at += 1
    axes.set_yticks(ticks, labels)
    headings = {heading for heading, _ in groups}
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in headings else "normal")
    axes.set_ylim(at - 0.4, -0.6)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 2.5)  # room for the last number
    for at, us, colour in lines:
        axes.hlines(at, low, us, color=colour, linewidth=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("µs, less is better")
    axes.grid(axis="x", linewidth=0.6)
    axes.tick_params(length=0)
    axes.minorticks_off()
    axes.set_frame_on(False)


def peers() -> None:
    figure, panels = pyplot.subplots(1, 2, figsize=(8.6, 5.2), sharey=True)
    languages = list(dict.fromkeys(peer.language for peer in PEERS))
    for axes, title in zip(panels, ["get", "put"]):
        groups = [(language, [(peer.name, getattr(peer, title)) for peer in PEERS if peer.language == language])
                  for language in languages]
        points(axes, title, groups)
    figure.subplots_adjust(wspace=0.06)
    save(figure, "peers")


def durability() -> None:
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2))
    points(axes, "put, by what survives a power failure",
           [(level, [(name, value("peers", "put", name)) for name in names]) for level, names in LEVELS])
    save(figure, "durability")


def keys() -> None:
    figure, axes = pyplot.subplots(figsize=(5.2, 3.4))
    counts = [int(count.split()[0]) for count in KEYS]
    lines = [(operation, [value("sizes", operation, count) or 1 for count in KEYS]) for operation in BY_KEYS]
    lowest = 0.0  # place of a name, so that none covers another
    for operation, times in sorted(lines, key=lambda line: line[1][-1]):
        colour = f"C{BY_KEYS.index(operation)}"
        axes.plot(counts, times, "o-", color=colour, linewidth=1.2, markersize=4)
        lowest = max(times[-1], lowest * 1.9)
        axes.annotate(operation, (counts[-1], lowest), xytext=(8, -3), textcoords="offset points", color=colour)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, name in [(axes.xaxis, "keys in the file"), (axes.yaxis, "µs, less is better")]:
        axis.set_major_formatter(lambda x, _: f"{x:,g}".replace(",", " ") if x < 1e6 else f"{x / 1e6:g} million")
        axis.set_label_text(name)
    axes.grid(linewidth=0.6)
    axes.minorticks_off()
    axes.set_frame_on(False)
    save(figure, "keys")


def draw() -> None:
    peers()
    durability()
    keys()
