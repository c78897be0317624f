"""Reading long lists: in order, ahead, in parallel, and on from where it broke."""

import asyncio
from collections.abc import Sequence

import pytest

from exporter.errors import Refused, Unavailable
from exporter.model.changes import Object
from exporter.model.metadata import Metadata
from exporter.model.report import Report
from exporter.watch.lists import PARALLEL_LISTS, NamespaceLists, PagedList, Reader
from exporter.wire.codec import ListPage
from tests.virtual_time import virtual


def page(names: str, cont: str = "", version: str = "10") -> ListPage:
    objects = [Report(metadata=Metadata(name=name)) for name in names]
    return ListPage(objects, [], cont, version)


class Shelf:
    """Pages by namespace; a continue token is the number of the next page."""

    def __init__(self, pages: dict[str, list[ListPage]], seconds: float = 1.0) -> None:
        self.pages = pages
        self.seconds = seconds
        self.asked: list[tuple[str, str]] = []
        self.applied: list[str] = []
        self.failures: dict[tuple[str, str], Exception] = {}
        self.under_way = 0
        self.most = 0

    async def page(self, namespace: str, cont: str) -> ListPage:
        self.asked.append((namespace, cont))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
            if error := self.failures.pop((namespace, cont), None):
                raise error
            return self.pages[namespace][int(cont or 0)]
        finally:
            self.under_way -= 1

    async def apply(self, objects: Sequence[Object]) -> None:
        await asyncio.sleep(self.seconds)
        self.applied += [each.name for each in objects]

    async def pages_from_memory(self) -> bool:
        return False

    async def namespaces(self) -> Sequence[str]:
        return list(self.pages)

    @property
    def reader(self) -> Reader:
        return Reader(self.page, self.apply, self.namespaces)


@virtual
async def test_the_next_page_is_fetched_while_one_is_applied() -> None:
    report_store = Shelf({"": [page("ab", "1"), page("cd", "2"), page("e")]})
    first = await report_store.page("", "")
    began = asyncio.get_running_loop().time()
    start = await PagedList(report_store.reader, "", first).run()
    assert report_store.applied == list("abcde")
    assert start == ("10", {})
    assert asyncio.get_running_loop().time() - began == pytest.approx(3), "not five"


@virtual
async def test_the_request_for_the_next_page_has_left_before_one_is_worked_on() -> None:
    report_store = Shelf({"": [page("ab", "1"), page("c")]})
    asked: list[list[tuple[str, str]]] = []

    async def work(_: Sequence[Object]) -> None:
        asked.append(list(report_store.asked))

    await PagedList(report_store.reader._replace(apply=work), "", page("ab", "1")).run()
    assert asked == [[("", "1")], [("", "1")]]


@virtual
async def test_a_list_that_breaks_goes_on_at_the_page_that_broke() -> None:
    report_store = Shelf({"": [page("ab", "1"), page("cd", "2"), page("e")]})
    report_store.failures["", "2"] = Unavailable("reset")
    reading = PagedList(report_store.reader, "", await report_store.page("", ""))
    with pytest.raises(Unavailable):
        await reading.run()
    assert (await reading.run()).version == "10"
    assert report_store.asked == [("", ""), ("", "1"), ("", "2"), ("", "2")]
    assert report_store.applied == list("abcde")


@virtual
async def test_a_cancelled_list_leaves_no_request_behind() -> None:
    report_store = Shelf({"": [page("ab", "1"), page("cd", "2"), page("e")]})
    task = asyncio.create_task(PagedList(report_store.reader, "", page("ab", "1")).run())
    await asyncio.sleep(0.5)
    assert report_store.under_way == 1
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert report_store.under_way == 0


def many(namespaces: int) -> Shelf:
    return Shelf(
        {
            f"ns{i}": [page("a", "1", str(20 + i)), page("b", "", str(20 + i))]
            for i in range(namespaces)
        }
    )


@virtual
async def test_namespaces_are_read_four_at_a_time() -> None:
    report_store = many(20)
    start = await NamespaceLists(report_store.reader, "", page("ignored", "1")).run()
    assert report_store.most == PARALLEL_LISTS
    assert sorted(report_store.applied) == ["a"] * 20 + ["b"] * 20
    assert start.version == "10", "older than any of the lists"
    assert start.floors == {f"ns{i}": 20 + i for i in range(20)}


@virtual
async def test_a_namespace_that_breaks_is_read_again_and_the_others_are_not() -> None:
    report_store = many(8)
    report_store.failures["ns3", "1"] = Unavailable("reset")
    reading = NamespaceLists(report_store.reader, "", page("ignored", "1"))
    with pytest.raises(Unavailable):
        await reading.run()
    assert report_store.under_way == 0, "the others were ended"
    finished = set(reading._floors)
    asked = len(report_store.asked)
    start = await reading.run()
    assert set(start.floors) == set(report_store.pages)
    again = {namespace for namespace, _ in report_store.asked[asked:]}
    assert "ns3" in again
    assert not again & finished


@virtual
async def test_without_the_right_to_list_namespaces_pages_are_read() -> None:
    report_store = Shelf({"": [page("ab", "1"), page("c")]})

    async def refused() -> Sequence[str]:
        raise Refused("namespaces is forbidden", 403)

    reader = report_store.reader._replace(namespaces=refused)
    start = await NamespaceLists(reader, "", page("ab", "1")).run()
    assert (start, report_store.applied) == (("10", {}), list("abc"))
