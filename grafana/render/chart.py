"""Time series and state timelines as SVG."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

from grafana.render import look
from grafana.render.queries import Window

GRID, LABEL = "#2c3039", "#9097a3"
PAD_TOP, PAD_BOTTOM, PAD_SIDE = 8, 22, 10
CHARACTER = 6.6


class Curve(NamedTuple):
    """One series ready to be drawn; ``unit`` is its axis."""

    name: str
    color: str
    points: Sequence[tuple[float, float]]
    unit: str
    right: bool = False


class Style(NamedTuple):
    """How the curves of one panel are drawn; ``fill`` is an opacity from 0 to 1."""

    bars: bool
    stacked: bool
    width: float
    fill: float
    low: float | None
    high: float | None


class Axis(NamedTuple):
    """A scale from values to pixels with the values to mark."""

    low: float
    high: float
    marks: Sequence[float]
    unit: str


class Frame(NamedTuple):
    """The pixels and seconds that a plot covers."""

    left: float
    right: float
    bottom: float
    window: Window

    def x(self, moment: float) -> float:
        """Return the pixel of a moment."""
        start = self.window.end - self.window.seconds
        return self.left + (self.right - self.left) * (moment - start) / self.window.seconds

    def y(self, value: float, axis: Axis) -> float:
        """Return the pixel of a value."""
        share = (value - axis.low) / (axis.high - axis.low)
        return self.bottom - (self.bottom - PAD_TOP) * share


def time_series(
    curves: Sequence[Curve], style: Style, window: Window, size: tuple[float, float]
) -> str:
    """Draw curves over time."""
    stacks = _stacked(curves) if style.stacked else [_flat(curve) for curve in curves]
    pairs = list(zip(curves, stacks, strict=True))
    left = _axis([p for c, p in pairs if not c.right], style, _unit(curves, right=False))
    on_right = [p for c, p in pairs if c.right]
    right = _axis(on_right, style, _unit(curves, right=True)) if on_right else None
    frame = _frame(size, left, right, window)
    drawn = [_grid(frame, left, right), _times(frame, size)]
    # The first of a stack is drawn last, so that its line is not covered.
    for curve, spans in reversed(pairs):
        axis = right if curve.right and right else left
        drawn.append(_bars(curve, spans, frame, axis) if style.bars else "")
        drawn.append("" if style.bars else _line(curve, spans, frame, axis, style))
    return _svg(drawn, size)


Span = tuple[float, float, float]


def _flat(curve: Curve) -> list[Span]:
    return [(moment, 0.0, value) for moment, value in curve.points]


def _stacked(curves: Sequence[Curve]) -> list[list[Span]]:
    """Stack positive values up and negative ones down, as Grafana does."""
    tops: dict[tuple[float, bool], float] = {}
    stacks = []
    for curve in curves:
        spans = []
        for moment, value in curve.points:
            below = tops.get((moment, value < 0), 0.0)
            tops[moment, value < 0] = below + value
            spans.append((moment, below, below + value))
        stacks.append(spans)
    return stacks


def _unit(curves: Sequence[Curve], *, right: bool) -> str:
    return next((c.unit for c in curves if c.right == right), "short")


def _axis(stacks: Sequence[Sequence[Span]], style: Style, unit: str) -> Axis:
    tops = [top for spans in stacks for _, _, top in spans]
    low = min([*tops, 0.0] if style.stacked or style.bars or style.low == 0 else tops or [0.0])
    high = max([*tops, low])
    low, high = _or(style.low, low), _or(style.high, high)
    if high <= low:
        low, high = min(low, 0.0), low + (abs(low) or 1.0)
    scale = 2.0**20 if unit == "bytes" and high > 2**20 else 1.0
    step = scale * _nice((high - low) / 4 / scale)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    marks = [n * step for n in range(first, last + 1)]
    return Axis(marks[0], marks[-1], marks, unit)


def _or(fixed: float | None, found: float) -> float:
    return found if fixed is None else fixed


def _nice(step: float) -> float:
    power: float = 10 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)


def _frame(size: tuple[float, float], left: Axis, right: Axis | None, window: Window) -> Frame:
    width, height = size
    return Frame(
        left=PAD_SIDE + _label_width(left),
        right=width - PAD_SIDE - (_label_width(right) if right else 0),
        bottom=height - PAD_BOTTOM,
        window=window,
    )


def _label_width(axis: Axis) -> float:
    return CHARACTER * max(len(look.write(mark, axis.unit)) for mark in axis.marks) + 4


def _grid(frame: Frame, left: Axis, right: Axis | None) -> str:
    drawn = []
    for mark in left.marks:
        y = frame.y(mark, left)
        drawn.append(_rule(frame.left, y, frame.right, y))
        drawn.append(_label(frame.left - 6, y + 4, look.write(mark, left.unit), "end"))
    for mark in right.marks if right else ():
        y = frame.y(mark, right) if right else 0
        text = look.write(mark, right.unit) if right else ""
        drawn.append(_label(frame.right + 6, y + 4, text, "start"))
    return "".join(drawn)


def _times(frame: Frame, size: tuple[float, float]) -> str:
    every = frame.window.seconds / max(2, round((frame.right - frame.left) / 95))
    steps = (15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 604800)
    step = next((s for s in steps if s >= every), steps[-1])
    start = frame.window.end - frame.window.seconds
    moment, drawn = math.ceil(start / step) * step, []
    while moment < frame.window.end:
        x = frame.x(moment)
        drawn.append(_rule(x, PAD_TOP, x, frame.bottom))
        text = datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S" if step < 60 else "%H:%M")
        drawn.append(_label(x, size[1] - 6, text, "middle"))
        moment += step
    return "".join(drawn)


def _line(curve: Curve, spans: Sequence[Span], frame: Frame, axis: Axis, style: Style) -> str:
    drawn = []
    for piece in _pieces(spans, frame.window.step):
        top = [f"{frame.x(m):.1f},{frame.y(high, axis):.1f}" for m, _, high in piece]
        floor = [f"{frame.x(m):.1f},{_base(low, frame, axis):.1f}" for m, low, _ in piece]
        area = " ".join([*top, *reversed(floor)])
        drawn.append(f'<polygon points="{area}" fill="{curve.color}" opacity="{style.fill}"/>')
        line = f'stroke="{curve.color}" stroke-width="{style.width}" stroke-linejoin="round"'
        drawn.append(f'<polyline points="{" ".join(top)}" fill="none" {line}/>')
    return "".join(drawn)


def _base(low: float, frame: Frame, axis: Axis) -> float:
    return frame.y(max(low, axis.low), axis)


def _pieces(spans: Sequence[Span], step: float) -> list[list[Span]]:
    """Cut where points are missing: a gap is not a line."""
    pieces: list[list[Span]] = []
    for span in spans:
        if pieces and span[0] - pieces[-1][-1][0] < 1.5 * step:
            pieces[-1].append(span)
        else:
            pieces.append([span])
    return pieces


def _bars(curve: Curve, spans: Sequence[Span], frame: Frame, axis: Axis) -> str:
    width = (frame.right - frame.left) * frame.window.step / frame.window.seconds * 0.8
    drawn = []
    for moment, low, high in spans:
        one, other = sorted((frame.y(low, axis), frame.y(high, axis)))
        start = max(frame.left, frame.x(moment) - width / 2)
        end = min(frame.right, frame.x(moment) + width / 2)
        place = f'x="{start:.1f}" y="{one:.1f}" width="{end - start:.1f}"'
        place += f' height="{other - one:.1f}"'
        drawn.append(f'<rect {place} fill="{curve.color}" opacity="0.85"/>')
    return "".join(drawn)


class State(NamedTuple):
    """One line of a state timeline: ``spans`` are (from, to, colour)."""

    name: str
    spans: Sequence[tuple[float, float, str]]


def states(lines: Sequence[State], window: Window, size: tuple[float, float]) -> str:
    """Draw one line of coloured blocks for each series."""
    width, height = size
    left = PAD_SIDE + CHARACTER * max([len(line.name) for line in lines] or [0]) + 8
    frame = Frame(left, width - PAD_SIDE, height - PAD_BOTTOM, window)
    lane = (frame.bottom - PAD_TOP) / max(1, len(lines))
    drawn = [_times(frame, size)]
    for index, line in enumerate(lines):
        y = PAD_TOP + index * lane
        drawn.append(_label(left - 8, y + lane / 2 + 4, line.name, "end"))
        for start, end, color in _joined(line.spans):
            x = frame.x(start)
            box = f'x="{x:.1f}" y="{y + 2:.1f}" width="{frame.x(end) - x:.1f}"'
            drawn.append(f'<rect {box} height="{lane - 4:.1f}" fill="{color}" opacity="0.75"/>')
    return _svg(drawn, size)


def _joined(spans: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Join neighbours of one colour."""
    joined: list[tuple[float, float, str]] = []
    for start, end, color in spans:
        if joined and joined[-1][1] >= start and joined[-1][2] == color:
            joined[-1] = (joined[-1][0], end, color)
        else:
            joined.append((start, end, color))
    return joined


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{GRID}" stroke-width="1"/>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} fill="{LABEL}" font-size="11.5">{escape(text)}</text>'


def _svg(drawn: Sequence[str], size: tuple[float, float]) -> str:
    width, height = size
    return f'<svg width="{width:.0f}" height="{height:.0f}">{"".join(drawn)}</svg>'
