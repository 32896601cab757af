from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from openlive.engines.llm.llamacpp.kv_slots import RECENT, Lease, Slots


def use(slots: Slots, conversation: str, now: float, tokens: int = 10, *, speculative: bool = False) -> Lease | None:
    """Claims and releases at once."""
    lease = slots.claim(conversation, tokens, now, speculative=speculative)
    if lease:
        slots.release(lease, tokens, now)
    return lease


def test_a_conversation_keeps_its_slot() -> None:
    slots = Slots(3, 1000)
    first = {c: use(slots, c, 0) for c in "abc"}
    assert {lease.slot for lease in first.values() if lease} == {0, 1, 2}
    assert {c: use(slots, c, 1) for c in "cab"} == {c: replace(lease, own=True) for c, lease in first.items() if lease}


def test_the_least_recently_used_slot_is_taken() -> None:
    slots = Slots(2, 1000)
    use(slots, "a", 0)
    b = use(slots, "b", 1)
    use(slots, "a", 2)
    assert use(slots, "c", 3) == b


def test_a_busy_slot_is_never_taken() -> None:
    slots = Slots(1, 1000)
    lease = slots.claim("a", 10, 0)
    assert lease
    assert slots.busy("a")
    assert slots.claim("a", 10, 1) is None
    assert slots.claim("b", 10, 1) is None
    slots.release(lease, 10, 2)
    assert not slots.busy("a")
    assert slots.claim("b", 10, 3) == lease


def test_speculation_takes_nothing_from_a_conversation_that_is_going_on() -> None:
    slots = Slots(1, 1000)
    use(slots, "a", 0)
    assert use(slots, "b", 1, speculative=True) is None
    assert use(slots, "a", 1, speculative=True)
    assert use(slots, "b", 1 + RECENT + 1, speculative=True)


def test_a_forgotten_conversations_slot_comes_first() -> None:
    slots = Slots(2, 1000)
    a = use(slots, "a", 0)
    b = use(slots, "b", 1)
    assert a
    slots.forget("b")
    assert use(slots, "c", 2, speculative=True) == b
    assert use(slots, "a", 3) == replace(a, own=True)


def test_forgotten_while_busy() -> None:
    slots = Slots(1, 1000)
    lease = slots.claim("a", 10, 0)
    assert lease
    slots.forget("a")
    assert slots.claim("b", 10, 1) is None
    slots.release(lease, 10, 2)
    assert use(slots, "b", 3, speculative=True)


def test_idle_slots_are_emptied_for_a_long_prompt() -> None:
    slots = Slots(3, 100)
    a, b = use(slots, "a", 0, 40), use(slots, "b", 1, 40)
    assert a
    assert b
    assert use(slots, "c", 2, 60, speculative=True) is None
    assert use(slots, "c", 2, 60) == Lease(2, (a.slot,))
    assert use(slots, "b", 3, 40) == Lease(b.slot, own=True)


def test_cells_in_use_are_waited_for() -> None:
    slots = Slots(2, 100)
    a = slots.claim("a", 60, 0)
    assert a
    assert slots.claim("b", 60, 1) is None
    slots.release(a, 20, 2)
    assert slots.claim("b", 60, 3) == Lease(1)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60), st.booleans(), st.booleans())))
def test_no_slot_has_two_users_and_the_pool_is_never_overdrawn(steps: list[tuple[str, int, bool, bool]]) -> None:
    slots = Slots(3, 100)
    held: dict[int, tuple[Lease, int]] = {}
    for now, (conversation, tokens, speculative, finish) in enumerate(steps):
        if finish and held:
            _, (lease, used) = held.popitem()
            slots.release(lease, used, now)
        elif lease_or_none := slots.claim(conversation, tokens, now, speculative=speculative):
            assert lease_or_none.slot not in held
            assert not held.keys() & set(lease_or_none.clear)
            held[lease_or_none.slot] = lease_or_none, tokens
        assert sum(slot.tokens for slot in slots._slots) <= 100
