"""When requests go out and come again: waiting, limits, fewer at once."""

from __future__ import annotations

import asyncio
import random
import socket
from email.utils import formatdate
from time import time

import pytest

pytest.importorskip("openai", reason="pip install -e '.[api]'")
from data_juicer_sandbox.components.infer.remote.address import find_endpoint, is_this_machine
from data_juicer_sandbox.components.infer.remote.client import AdaptiveConcurrency, Backoff, TokenRate
from data_juicer_sandbox.components.infer.remote.reply import retry_after
from data_juicer_sandbox.components.infer.remote.transport import Reply


def test_waits_double_up_to_a_limit_and_never_undercut_the_server():
    draw, backoff = random.Random(1), Backoff(5, first=2.0, most=10.0)
    for tried, most in ((1, 2), (2, 4), (3, 8), (4, 10), (50, 10)):
        waits = [backoff.wait(tried, None, draw) for _ in range(300)]
        assert 0 <= min(waits) < most / 10
        assert most * 0.9 < max(waits) <= most
    assert all(7 <= backoff.wait(1, 7.0, draw) <= 9 for _ in range(100))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": formatdate(time() - 100, usegmt=True)}, 0),
    ],
)
def test_what_the_server_asks_for(headers, seconds):
    assert retry_after(Reply(429, headers, b"")) == seconds


def test_a_date_to_wait_for():
    wait = retry_after(Reply(429, {"retry-after": formatdate(time() + 100, usegmt=True)}, b""))
    assert wait is not None
    assert 50 < wait <= 100


def test_so_many_a_minute_evenly():
    now = [100.0]
    limit = TokenRate(120, lambda: now[0])  # two a second
    sent = []
    for _ in range(10):
        wait = limit.take(1)
        sent.append(now[0] + wait)
    assert sent == pytest.approx([100, 100, 100, 100.5, 101, 101.5, 102, 102.5, 103, 103.5])
    now[0] = 200  # a long rest saves nothing up
    assert [limit.take(1) for _ in range(4)] == pytest.approx([0, 0, 0, 0.5])
    assert [TokenRate(None).take(1e9) for _ in range(3)] == [0, 0, 0]


def test_tokens_are_corrected_by_what_they_were():
    now = [0.0]
    limit = TokenRate(600, lambda: now[0])
    limit.take(100)
    assert limit.take(0) == pytest.approx(9)
    limit.correct(-80)
    assert limit.take(0) == pytest.approx(1)


def test_fewer_at_once_when_it_is_too_much_and_slowly_more_again():
    async def most_at_once(pace):
        out = [0, 0]

        async def one():
            await pace.enter(0)
            out[0] += 1
            out[1] = max(out)
            await asyncio.sleep(0)
            out[0] -= 1
            pace.leave()

        await asyncio.wait_for(asyncio.gather(*(one() for _ in range(50))), 10)
        return out[1]

    async def go():
        pace = AdaptiveConcurrency(8)
        found = [await most_at_once(pace)]
        sent = await pace.enter(0)
        pace.slow_down(sent, None)
        pace.slow_down(sent, None)  # sent before the first: says nothing new
        pace.leave()
        found.append(await most_at_once(pace))
        for _ in range(5):
            pace.answered(0)
        found.append(await most_at_once(pace))
        for _ in range(100):
            pace.answered(0)
        found.append(await most_at_once(pace))
        return found

    assert asyncio.run(go()) == [8, 4, 5, 8]


def test_those_who_give_up_waiting_leave_no_gap():
    async def go():
        pace = AdaptiveConcurrency(1)
        await pace.enter(0)
        waiting = [asyncio.create_task(pace.enter(0)) for _ in range(3)]
        await asyncio.sleep(0)
        pace.leave()  # the first one's turn, who is gone before it comes to that
        waiting[0].cancel()
        await asyncio.wait_for(waiting[1], 5)
        waiting[2].cancel()
        pace.leave()
        await asyncio.wait_for(pace.enter(0), 5)

    asyncio.run(go())


def test_where_the_server_is(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://there/v1")
    monkeypatch.setenv("KEY", "from-the-environment")
    found = find_endpoint(None, None, "KEY", {"timeout": 3, "project": "x"})
    assert (found.url, found.key, found.timeout, found.params) == (
        "http://there/v1",
        "from-the-environment",
        3,
        {"project": "x"},
    )
    assert "from-the" not in repr(found)
    assert find_endpoint("http://here", "own", "KEY", {}).key == "own"
    own_name = socket.gethostname()
    local = ("localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0", "::", "api.localhost", own_name, own_name.upper())
    assert all(map(is_this_machine, local))
    assert not any(map(is_this_machine, ("203.0.113.7", "localhost.example.org", "example.org", "2001:db8::1", "")))
