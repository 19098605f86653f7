"""SVG text: the few elements that the pictures are made of, and their colours in both themes.

Elements carry classes, and the style says what a class looks like, so that the theme of a picture
is changed by changing its style alone. No variables are used, as some viewers know none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal
from xml.sax.saxutils import escape

Theme = Literal["auto", "light", "dark"]
Anchor = Literal["start", "middle", "end"]

WIDTH = 560
"""Of most pictures; text of 13 pixels is readable when it is shown 480 pixels wide."""
MARGIN = 20
FONT = 'system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif'
CHARACTER = 0.6
"""About the width of a character in units of the font's size; few letters are wider."""

TOKENS = {
    "light": {
        "paper": "#ffffff",
        "ink": "#1b1d20",
        "soft": "#5d646d",
        "line": "#e3e3df",
        "fill": "#ecece8",
        "neutral": "#f4f4f2",
        "pos": "#0b74b8",
        "neg": "#de7a14",
        "pos-ink": "#0b5f99",
        "neg-ink": "#b85c00",
    },
    "dark": {
        "paper": "#1c1f24",
        "ink": "#eceef0",
        "soft": "#a2abb5",
        "line": "#2d3138",
        "fill": "#272b31",
        "neutral": "#262a30",
        "pos": "#5fb0ea",
        "neg": "#f0a050",
        "pos-ink": "#8cc8f4",
        "neg-ink": "#ffc07d",
    },
}
CLASSES = {
    "light": "#0b5f99 #b85c00 #1a7f4b #9b4fb0 #b3261e #5d646d #8a6d00 #0b7a7f #b0437d #5357c4",
    "dark": "#8cc8f4 #ffc07d #5cc98d #c58ae0 #f2938c #c3cad2 #dcb94a #57c5c9 #e58fbd #a9adf5",
}
"""Colours of classes, if there are more than two."""
COLOURS = 10
BANDS = 11
"""Shades of a scale, the middle one neutral where it has two ends."""

Point = tuple[float, float]


def style(theme: Theme) -> str:
    """The content of the picture's style."""
    if theme != "auto":
        return rules(theme)
    return f"{rules('light')}@media(prefers-color-scheme:dark){{{rules('dark')}}}"


def rules(theme: Literal["light", "dark"]) -> str:
    token = TOKENS[theme]
    found = [
        f"text{{font-family:{FONT};font-variant-numeric:tabular-nums;fill:{token['ink']}}}",
        f"text.soft{{fill:{token['soft']}}}",
        f".paper{{fill:{token['paper']}}}.panel{{fill:{token['fill']}}}",
        f".grid{{stroke:{token['line']};fill:none}}.axis{{stroke:{token['soft']};fill:none}}",
        f".ink{{stroke:{token['ink']};fill:none}}.halo{{stroke:{token['paper']}}}",
        f".box{{fill:{token['paper']};stroke:{token['soft']}}}",
    ]
    for name in ("pos", "neg"):
        found.append(f".{name}{{stroke:{token[name]};fill:none}}.{name}-fill{{fill:{token[name]}}}")
        found.append(f".{name}-dot{{fill:{token[f'{name}-ink']};stroke:{token['paper']}}}")
        found.append(f".{name}-ring{{fill:{token['paper']};stroke:{token[f'{name}-ink']}}}")
    for i in range(BANDS):
        part = i / (BANDS - 1)
        end = token["pos"] if part >= 0.5 else token["neg"]
        found.append(f".d{i}{{fill:{mixed(token['neutral'], end, abs(2 * part - 1))}}}")
        shade = mixed(token["neutral"], token["pos"], part)
        found.append(f".s{i}{{fill:{shade}}}text.on-s{i}{{fill:{readable_on(shade)}}}")
    for i, colour in enumerate(CLASSES[theme].split()):
        found.append(f".c{i}{{fill:{colour}}}.c{i}-dot{{fill:{colour};stroke:{token['paper']}}}")
        found.append(f".c{i}-ring{{fill:{token['paper']};stroke:{colour}}}")
    return "".join(found)


def readable_on(shade: str) -> str:
    """Black or white, whichever stands out more; the contrast is at least 4.58 to 1."""
    return max("#000000", "#ffffff", key=lambda ink: contrast(ink, shade))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    dark, bright = sorted([luminance(one), luminance(other)])
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def mixed(one: str, other: str, part: float) -> str:
    """The colour between two, `part` of the way to the other."""
    pairs = [(int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def themed(picture: str, theme: Theme) -> str:
    """A picture of this module in another theme."""
    begin, end = picture.index("<style>") + len("<style>"), picture.index("</style>")
    return picture[:begin] + style(theme) + picture[end:]


class Picture:
    """A picture under construction: a title at the top left, and elements in drawing order."""

    def __init__(self, title: str, note: str, height: float, width: float = WIDTH) -> None:
        """`note` is a line below the title; both are cut where they are too long."""
        self.width, self.height = width, height
        self.title = title
        self.parts = [f'<rect class="paper" width="{number(width)}" height="{number(height)}"/>']
        room = width - 2 * MARGIN
        self.text(MARGIN, 32, clipped(title, room, 17), size=17, bold=True)
        if note:
            self.text(MARGIN, 53, clipped(note, room, 13), soft=True)

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        size: float = 13,
        anchor: Anchor = "start",
        soft: bool = False,
        bold: bool = False,
        name: str = "",
        turned: bool = False,
    ) -> None:
        """Text whose baseline is at y; `turned` reads upwards."""
        names = " ".join(filter(None, ("soft" if soft else "", name)))
        attributes = f' class="{names}"' if names else ""
        attributes += f' text-anchor="{anchor}"' if anchor != "start" else ""
        attributes += ' font-weight="650"' if bold else ""
        attributes += f' transform="rotate(-90 {number(x)} {number(y)})"' if turned else ""
        place = f'x="{number(x)}" y="{number(y)}" font-size="{number(size)}"'
        self.parts.append(f"<text {place}{attributes}>{escape(printable(content))}</text>")

    def rect(
        self, x: float, y: float, width: float, height: float, name: str, radius: float = 0
    ) -> None:
        place = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        rounded = f' rx="{number(radius)}"' if radius else ""
        self.parts.append(f'<rect class="{name}" {place}{rounded}/>')

    def line(
        self, one: Point, other: Point, name: str, *, width: float = 1, dash: str = ""
    ) -> None:
        self.path(polyline([one, other]), name, width=width, dash=dash)

    def path(
        self,
        data: str,
        name: str,
        *,
        width: float | None = None,
        dash: str = "",
        opacity: float = 1,
    ) -> None:
        """`width` is that of the stroke; None for a path that is only filled."""
        more = f' stroke-width="{number(width)}"' if width is not None else ""
        more += f' stroke-dasharray="{dash}"' if dash else ""
        more += f' opacity="{number(opacity)}"' if opacity != 1 else ""
        more += ' fill-rule="evenodd"' if width is None else ' stroke-linejoin="round"'
        self.parts.append(f'<path class="{name}" d="{data}"{more}/>')

    def circle(self, x: float, y: float, radius: float, name: str, width: float = 1) -> None:
        place = f'cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"'
        self.parts.append(f'<circle class="{name}" {place} stroke-width="{number(width)}"/>')

    def svg(self, theme: Theme = "auto") -> str:
        size = f"{number(self.width)} {number(self.height)}"
        width, height = size.split()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" '
            f'height="{height}" role="img"><title>{escape(printable(self.title))}</title>'
            f"<style>{style(theme)}</style>{''.join(self.parts)}</svg>\n"
        )


def polyline(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def closed(rings: Iterable[Sequence[Point]]) -> str:
    return "".join(polyline(ring) + "Z" for ring in rings)


def number(x: float) -> str:
    """A coordinate with at most one decimal more than a screen shows."""
    return f"{x:.2f}".rstrip("0").rstrip(".")


def printable(text: str) -> str:
    """The text without what XML does not allow."""
    return "".join(c if c.isprintable() else " " for c in text)


def length(text: str, size: float) -> float:
    """About how wide a text is."""
    return CHARACTER * size * len(text)


def clipped(text: str, room: float, size: float) -> str:
    """The text, cut where it is wider than the room."""
    fits = max(1, int(room / (CHARACTER * size)))
    return text if len(text) <= fits else text[: fits - 1].rstrip() + "…"


def band(part: float) -> int:
    """The shade for a place between 0 and 1 on a scale; the middle one where there is no number."""
    if not math.isfinite(part):
        return BANDS // 2
    return min(max(round(part * (BANDS - 1)), 0), BANDS - 1)
