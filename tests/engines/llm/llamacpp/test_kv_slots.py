from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from openlive.engines.llm.llamacpp.kv_slots import RECENT, KVSlots, SlotLease


def use(
    slots: KVSlots, conversation: str, now: float, tokens: int = 10, *, speculative: bool = False
) -> SlotLease | None:
    """Claims and releases at once."""
    lease = slots.claim_slot(conversation, tokens, now, speculative=speculative)
    if lease:
        slots.release_slot(lease, tokens, now)
    return lease


def test_a_conversation_keeps_its_slot() -> None:
    slots = KVSlots(3, 1000)
    first = {c: use(slots, c, 0) for c in "abc"}
    assert {lease.slot for lease in first.values() if lease} == {0, 1, 2}
    assert {c: use(slots, c, 1) for c in "cab"} == {c: replace(lease, own=True) for c, lease in first.items() if lease}


def test_the_least_recently_used_slot_is_taken() -> None:
    slots = KVSlots(2, 1000)
    use(slots, "a", 0)
    b = use(slots, "b", 1)
    use(slots, "a", 2)
    assert use(slots, "c", 3) == b


def test_a_busy_slot_is_never_taken() -> None:
    slots = KVSlots(1, 1000)
    lease = slots.claim_slot("a", 10, 0)
    assert lease
    assert slots.is_busy("a")
    assert slots.claim_slot("a", 10, 1) is None
    assert slots.claim_slot("b", 10, 1) is None
    slots.release_slot(lease, 10, 2)
    assert not slots.is_busy("a")
    assert slots.claim_slot("b", 10, 3) == lease


def test_speculation_takes_nothing_from_a_conversation_that_is_going_on() -> None:
    slots = KVSlots(1, 1000)
    use(slots, "a", 0)
    assert use(slots, "b", 1, speculative=True) is None
    assert use(slots, "a", 1, speculative=True)
    assert use(slots, "b", 1 + RECENT + 1, speculative=True)


def test_a_forgotten_conversations_slot_comes_first() -> None:
    slots = KVSlots(2, 1000)
    a = use(slots, "a", 0)
    b = use(slots, "b", 1)
    assert a
    slots.forget_conversation("b")
    assert use(slots, "c", 2, speculative=True) == b
    assert use(slots, "a", 3) == replace(a, own=True)


def test_forgotten_while_busy() -> None:
    slots = KVSlots(1, 1000)
    lease = slots.claim_slot("a", 10, 0)
    assert lease
    slots.forget_conversation("a")
    assert slots.claim_slot("b", 10, 1) is None
    slots.release_slot(lease, 10, 2)
    assert use(slots, "b", 3, speculative=True)


def test_idle_slots_are_emptied_for_a_long_prompt() -> None:
    slots = KVSlots(3, 100)
    a, b = use(slots, "a", 0, 40), use(slots, "b", 1, 40)
    assert a
    assert b
    assert use(slots, "c", 2, 60, speculative=True) is None
    assert use(slots, "c", 2, 60) == SlotLease(2, (a.slot,))
    assert use(slots, "b", 3, 40) == SlotLease(b.slot, own=True)


def test_cells_in_use_are_waited_for() -> None:
    slots = KVSlots(2, 100)
    a = slots.claim_slot("a", 60, 0)
    assert a
    assert slots.claim_slot("b", 60, 1) is None
    slots.release_slot(a, 20, 2)
    assert slots.claim_slot("b", 60, 3) == SlotLease(1)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60), st.booleans(), st.booleans())))
def test_no_slot_has_two_users_and_the_pool_is_never_overdrawn(steps: list[tuple[str, int, bool, bool]]) -> None:
    slots = KVSlots(3, 100)
    held: dict[int, tuple[SlotLease, int]] = {}
    for now, (conversation, tokens, speculative, finish) in enumerate(steps):
        if finish and held:
            _, (lease, used) = held.popitem()
            slots.release_slot(lease, used, now)
        elif lease_or_none := slots.claim_slot(conversation, tokens, now, speculative=speculative):
            assert lease_or_none.slot not in held
            assert not held.keys() & set(lease_or_none.clear)
            held[lease_or_none.slot] = lease_or_none, tokens
        assert sum(slot.tokens for slot in slots._slots) <= 100
