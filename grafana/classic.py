"""Classic dashboard JSON as types: what the pictures, the benchmark and the tests read of it."""

from collections.abc import Iterator, Sequence

import msgspec

JsonDict = dict[str, object]


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """JSON with more fields than these."""


class Grid(Shape, frozen=True):
    """Position and size in columns of 24 and rows of 30 pixels."""

    x: int
    y: int
    w: int
    h: int


class Target(Shape, frozen=True):
    """One query of a panel."""

    expr: str
    ref_id: str
    datasource: dict[str, str] = {}
    legend_format: str = ""
    instant: bool = False


class Link(Shape, frozen=True):
    """A way out of the dashboard."""

    type: str = "link"
    url: str = ""
    tags: Sequence[str] = ()
    as_dropdown: bool = False
    include_vars: bool = False
    keep_time: bool = False


class Property(Shape, frozen=True):
    """One setting of an override."""

    id: str
    value: object = None


class Override(Shape, frozen=True):
    """Settings for some fields only."""

    matcher: dict[str, str]
    properties: list[Property]


class Fields(Shape, frozen=True):
    """How a panel's fields look."""

    defaults: JsonDict = {}
    overrides: Sequence[Override] = ()


class Panel(Shape, frozen=True):
    """A panel, or a row with the panels that are folded into it."""

    id: int
    type: str
    title: str
    grid_pos: Grid
    description: str = ""
    datasource: dict[str, str] = {}
    targets: Sequence[Target] = ()
    transformations: Sequence[JsonDict] = ()
    links: Sequence[Link] = ()
    interval: str = ""
    fields: Fields = msgspec.field(name="fieldConfig", default=Fields())
    panels: Sequence["Panel"] = ()


class Option(Shape, frozen=True):
    """A chosen value of a variable."""

    text: str
    value: str


class Variable(Shape, frozen=True):
    """What a reader can choose."""

    name: str
    type: str
    label: str
    query: str
    current: Option | None = None
    refresh: int = 0
    sort: int = 0
    hide: int = 0
    multi: bool = False
    include_all: bool = False
    all_value: str = ""


class Variables(Shape, frozen=True):
    """The list of variables."""

    list: Sequence[Variable]


class Annotation(Shape, frozen=True):
    """A query whose results are marks on the time axis."""

    expr: str
    enable: bool = True


class Annotations(Shape, frozen=True):
    """The list of annotations."""

    list: Sequence[Annotation] = ()


class Dashboard(Shape, frozen=True):
    """A whole dashboard."""

    uid: str
    title: str
    tags: list[str]
    editable: bool
    time: dict[str, str]
    links: list[Link]
    templating: Variables
    panels: list[Panel]
    annotations: Annotations = Annotations()

    def all_panels(self) -> Iterator[Panel]:
        """Every panel but rows, those in folded rows too."""
        for panel in self.panels:
            if panel.type == "row":
                yield from panel.panels
            else:
                yield panel


def read(document: JsonDict) -> Dashboard:
    """Give a dashboard's JSON its types."""
    return msgspec.convert(document, Dashboard)
