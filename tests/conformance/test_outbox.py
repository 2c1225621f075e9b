"""One suite for every outbox: the in-memory reference and the SQL store."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerts.delivery import Outbox
from alerts.memory import MemoryOutbox
from slo.notice import Claim, Notice
from streams.store import Store
from streams.store.outbox import put_notices
from tests.alerts.notices import KEY, NOTICE, T0, about, resolved

LEASE = 15_000
Want = Callable[[Notice, int], None]


class Part(NamedTuple):
    """An outbox under test, and how a wanted state gets into it."""

    outbox: Outbox
    want: Want


@contextmanager
def memory() -> Iterator[Part]:
    outbox = MemoryOutbox()
    yield Part(outbox, outbox.want)


@contextmanager
def stored(url: str) -> Iterator[Part]:
    store = Store(url)

    def want(notice: Notice, now_ms: int) -> None:
        with store.writing() as connection:
            put_notices(connection, [notice], now_ms)

    yield Part(store, want)
    store.close()


@contextmanager
def sqlite() -> Iterator[Part]:
    with (
        TemporaryDirectory() as folder,
        stored(f"sqlite:///{Path(folder) / 'store.db'}") as part,
    ):
        yield part


@contextmanager
def postgresql(server) -> Iterator[Part]:
    with stored(server.url(server.database())) as part:
        yield part


PARTS = {"memory": memory, "sqlite": sqlite}


@pytest.fixture(params=[*PARTS, pytest.param("postgresql", marks=pytest.mark.real)])
def part(request):
    if request.param in PARTS:
        made = PARTS[request.param]()
    else:
        made = postgresql(request.getfixturevalue("postgres"))
    with made as part:
        yield part


def claimed(outbox: Outbox, owner: str, now_ms: int) -> Claim:
    claim = outbox.claim(owner, now_ms, LEASE)
    assert claim is not None
    return claim


def test_an_empty_outbox_has_nothing_to_claim(part):
    assert part.outbox.claim("a", T0, LEASE) is None


def test_a_claim_carries_the_wanted_state_and_its_lease(part):
    part.want(NOTICE, T0)
    claim = claimed(part.outbox, "a", T0 + 5)
    assert claim == Claim(KEY, claim.version, NOTICE, 0, T0 + 5 + LEASE, "a")


def test_a_leased_key_is_nobody_elses_until_the_lease_ends(part):
    part.want(NOTICE, T0)
    claimed(part.outbox, "a", T0)
    assert part.outbox.claim("b", T0 + LEASE - 1, LEASE) is None
    assert claimed(part.outbox, "b", T0 + LEASE).notice == NOTICE


def test_the_key_that_waits_longest_comes_first(part):
    for seconds, key in ((3, "x/3"), (1, "x/1"), (2, "x/2")):
        part.want(about(key), T0 + seconds)
    order = [claimed(part.outbox, "a", T0 + 10).key for _ in range(3)]
    assert order == ["x/1", "x/2", "x/3"]


def test_a_lease_on_one_key_leaves_the_others_free(part):
    part.want(about("x/1"), T0)
    part.want(about("x/2"), T0 + 1)
    assert claimed(part.outbox, "a", T0 + 2).key == "x/1"
    assert claimed(part.outbox, "b", T0 + 2).key == "x/2"


def test_what_was_sent_is_not_sent_again(part):
    part.want(NOTICE, T0)
    assert part.outbox.sent(claimed(part.outbox, "a", T0), T0 + 100)
    assert part.outbox.claim("a", T0 + 10 * LEASE, LEASE) is None


def test_a_new_wanted_state_is_due_after_the_last_was_sent(part):
    part.want(NOTICE, T0)
    part.outbox.sent(claimed(part.outbox, "a", T0), T0)
    part.want(resolved(), T0 + 60_000)
    assert claimed(part.outbox, "a", T0 + 60_000).notice == resolved()


def test_only_the_newest_wanted_state_of_a_key_is_ever_claimed(part):
    part.want(NOTICE, T0)
    part.want(resolved(), T0 + 1)
    claim = claimed(part.outbox, "a", T0 + 2)
    assert claim.notice == resolved()
    part.outbox.sent(claim, T0 + 3)
    assert part.outbox.claim("a", T0 + 10 * LEASE, LEASE) is None


def test_a_state_that_changed_while_the_old_was_sent_is_due_at_once(part):
    part.want(NOTICE, T0)
    claim = claimed(part.outbox, "a", T0)
    part.want(resolved(), T0 + 1)
    assert part.outbox.claim("b", T0 + 2, LEASE) is None  # one sender at a time
    assert not part.outbox.sent(claim, T0 + 3)
    assert claimed(part.outbox, "b", T0 + 3).notice == resolved()


def test_a_sender_that_overran_its_lease_makes_the_wanted_state_due_again(part):
    """It may have spoken after its successor, and re-opened what that resolved."""
    part.want(NOTICE, T0)
    late = claimed(part.outbox, "a", T0)
    part.want(resolved(), T0 + 1)
    successor = claimed(part.outbox, "b", T0 + LEASE)
    assert part.outbox.sent(successor, T0 + LEASE + 1)
    assert not part.outbox.sent(late, T0 + LEASE + 2)
    again = claimed(part.outbox, "b", T0 + LEASE + 2)
    assert again.notice == resolved()
    assert part.outbox.sent(again, T0 + LEASE + 3)
    assert part.outbox.claim("a", T0 + 10 * LEASE, LEASE) is None


def test_a_failed_attempt_that_overran_its_lease_makes_it_due_again_too(part):
    part.want(NOTICE, T0)
    late = claimed(part.outbox, "a", T0)
    part.want(resolved(), T0 + 1)
    assert part.outbox.sent(claimed(part.outbox, "b", T0 + LEASE), T0 + LEASE + 1)
    part.outbox.retry(late, T0 + LEASE + 2, 60_000, "no answer in time")
    assert claimed(part.outbox, "b", T0 + LEASE + 2).notice == resolved()


def test_a_late_sender_does_not_break_its_successors_lease(part):
    part.want(NOTICE, T0)
    late = claimed(part.outbox, "a", T0)
    claimed(part.outbox, "b", T0 + LEASE)
    assert not part.outbox.sent(late, T0 + LEASE + 1)
    assert part.outbox.claim("c", T0 + LEASE + 2, LEASE) is None


def test_a_retry_waits_as_long_as_it_was_told_and_counts_attempts(part):
    part.want(NOTICE, T0)
    part.outbox.retry(claimed(part.outbox, "a", T0), T0 + 10, 5_000, "HTTP 503")
    assert part.outbox.claim("a", T0 + 5_009, LEASE) is None
    second = claimed(part.outbox, "a", T0 + 5_010)
    assert second.attempts == 1
    part.outbox.retry(second, T0 + 5_020, 5_000, "HTTP 503")
    assert claimed(part.outbox, "a", T0 + 10_020).attempts == 2


def test_a_new_wanted_state_does_not_wait_for_the_old_ones_retry(part):
    part.want(NOTICE, T0)
    claim = claimed(part.outbox, "a", T0)
    part.outbox.retry(claim, T0, 300_000, "HTTP 429")
    part.want(resolved(), T0 + 1)
    assert claimed(part.outbox, "a", T0 + 1).attempts == 0


def test_a_retry_of_a_superseded_state_leaves_the_new_one_due_at_once(part):
    part.want(NOTICE, T0)
    claim = claimed(part.outbox, "a", T0)
    part.want(resolved(), T0 + 1)
    part.outbox.retry(claim, T0 + 2, 300_000, "HTTP 503")
    fresh = claimed(part.outbox, "a", T0 + 2)
    assert (fresh.notice, fresh.attempts) == (resolved(), 0)


def test_what_is_dead_stays_dead_until_the_wanted_state_changes(part):
    part.want(NOTICE, T0)
    part.outbox.dead(claimed(part.outbox, "a", T0), T0, "HTTP 400")
    assert part.outbox.claim("a", T0 + 10 * LEASE, LEASE) is None
    part.want(resolved(), T0 + 20 * LEASE)
    assert claimed(part.outbox, "a", T0 + 20 * LEASE).notice == resolved()


def test_a_refusal_of_a_superseded_state_does_not_bury_the_new_one(part):
    part.want(NOTICE, T0)
    claim = claimed(part.outbox, "a", T0)
    part.want(resolved(), T0 + 1)
    part.outbox.dead(claim, T0 + 2, "HTTP 400")
    assert claimed(part.outbox, "a", T0 + 2).notice == resolved()


def test_the_wanted_state_comes_back_byte_for_byte(part):
    odd = about("x/ü/“q”", service="søk", burning=NOTICE.burning * 3)
    part.want(odd, T0)
    found = claimed(part.outbox, "a", T0).notice
    assert msgspec.json.encode(found) == msgspec.json.encode(odd)


def test_senders_at_the_same_moment_never_hold_one_key_twice(part):
    for n in range(20):
        part.want(about(f"x/{n:02}"), T0 + n)
    together = threading.Barrier(4)

    def sender(owner: str) -> list[str]:
        together.wait(10)
        claims = (part.outbox.claim(owner, T0 + 100, LEASE) for _ in range(20))
        return [claim.key for claim in claims if claim is not None]

    with ThreadPoolExecutor(4) as pool:
        held = [key for keys in pool.map(sender, "abcd") for key in keys]
    assert held
    assert len(held) == len(set(held))


# -- the law --------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 1), st.integers(0, 2)),
        st.tuples(st.just("claim"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("say"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("fail"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([1, LEASE]), st.just(0)),
    ),
    min_size=6,
    max_size=25,
)


class World:
    """Two senders, either of which may stall past its lease and speak then."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.now_ms = T0
        self.wanted: dict[str, str] = {}
        self.heard: dict[str, str] = {}
        self.holding: dict[int, Claim] = {}

    def want(self, key: int, severity: int) -> None:
        notice = about(f"x/{key}", severity=str(severity))
        self.part.want(notice, self.now_ms)
        self.wanted[notice.key] = notice.severity

    def claim(self, sender: int, _: int) -> None:
        if sender in self.holding:
            return
        claim = self.part.outbox.claim(f"sender-{sender}", self.now_ms, LEASE)
        if claim is not None:
            self.holding[sender] = claim

    def say(self, sender: int, _: int) -> None:
        claim = self.holding.pop(sender, None)
        if claim is not None:
            self.heard[claim.key] = claim.notice.severity
            self.part.outbox.sent(claim, self.now_ms)

    def fail(self, sender: int, _: int) -> None:
        """It reached the receiver, but the sender never learnt so."""
        claim = self.holding.pop(sender, None)
        if claim is not None:
            self.heard[claim.key] = claim.notice.severity
            self.part.outbox.retry(claim, self.now_ms, 1, "no answer in time")

    def wait(self, ms: int, _: int) -> None:
        self.now_ms += ms

    def settle(self) -> None:
        """Everybody finishes, then one sender empties the outbox."""
        for sender in list(self.holding):
            self.say(sender, 0)
        for _ in range(100):
            self.wait(LEASE, 0)
            self.claim(0, 0)
            if 0 not in self.holding:
                return
            self.say(0, 0)
        raise AssertionError("the outbox never came to rest")


OVERTAKEN = [
    ("want", 0, 0),
    ("claim", 0, 0),
    ("wait", LEASE, 0),
    ("want", 0, 1),
    ("claim", 1, 0),
    ("say", 1, 0),
    ("say", 0, 0),
]
OVERTAKEN_AND_UNHEARD = [*OVERTAKEN[:-1], ("fail", 0, 0)]


def hears_last_what_is_wanted(kind: str, steps: list[tuple[str, int, int]]) -> None:
    with PARTS[kind]() as part:
        world = World(part)
        for verb, first, second in steps:
            getattr(world, verb)(first, second)
        world.settle()
        assert world.heard == world.wanted


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
@example(steps=OVERTAKEN)
@example(steps=OVERTAKEN_AND_UNHEARD)
def test_whoever_stalls_the_receiver_hears_last_what_is_wanted(steps):
    hears_last_what_is_wanted("memory", steps)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
@example(steps=OVERTAKEN)
@example(steps=OVERTAKEN_AND_UNHEARD)
def test_the_same_law_holds_for_the_store(steps):
    hears_last_what_is_wanted("sqlite", steps)
