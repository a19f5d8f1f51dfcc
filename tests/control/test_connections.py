"""Lines out of a stream, however they are cut into portions."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.control.connections import LineReader, LineTooLongError
from flujo_actors.nurseries import open_inner_nursery


async def lines_in(portions: list[bytes], limit: int) -> list[bytes]:
    send, receive = trio.testing.memory_stream_one_way_pair()
    reader = LineReader(receive, limit)
    lines: list[bytes] = []

    async def feed() -> None:
        for portion in portions:
            await send.send_all(portion)
            await trio.testing.wait_all_tasks_blocked()
        await send.aclose()

    async with open_inner_nursery() as nursery:
        nursery.start_soon(feed)
        while (line := await reader.line()) is not None:
            lines.append(line)
    return lines


@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"\n"]), max_size=9).map(b"".join), max_size=9))
async def test_lines_are_what_stands_between_line_ends(portions: list[bytes]) -> None:
    *whole, _unfinished = b"".join(portions).split(b"\n")
    assert await lines_in(portions, limit=100) == whole


async def test_a_line_may_be_as_long_as_the_limit() -> None:
    assert await lines_in([b"x" * 10 + b"\n", b"y\n"], limit=10) == [b"x" * 10, b"y"]


@pytest.mark.parametrize("portions", [[b"x" * 11 + b"\n"], [b"x" * 11], [b"a\n" + b"x" * 11], [b"xxx"] * 4])
async def test_a_longer_line_is_refused_without_waiting_for_its_end(portions: list[bytes]) -> None:
    with pytest.raises(LineTooLongError):
        await lines_in(portions, limit=10)
