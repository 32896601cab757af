import sys
import threading

from openlive.engines.llm.llamacpp.token_cache import TokenCache, Tokens
from openlive.engines.llm.prompt.conversation import PromptPiece

REPLY = [("Be", (1,)), ("liev", (2,)), ("able", (3,)), (" 🦄", (4, 5)), (".", (6,))]


class Letters:
    """A tokeniser whose tokens are the code points; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str, special: bool) -> Tokens:
        self.asked.append(text)
        return (-1,) if special else tuple(ord(c) for c in text)


def said(text: str) -> PromptPiece:
    return PromptPiece(text, "reply")


def test_mark_up_counts_only_where_it_is_ours() -> None:
    assert TokenCache().encode([PromptPiece("<end>", "control"), PromptPiece("<>", "text")], Letters()) == [-1, 60, 62]


def test_a_reply_keeps_the_tokens_that_it_was_generated_with() -> None:
    memory = TokenCache()
    memory.keep_reply(REPLY)
    assert memory.encode([said("Believable 🦄.")], Letters()) == [1, 2, 3, 4, 5, 6]


def test_replies_may_be_kept_by_one_thread_while_another_encodes() -> None:
    memory, begun, done = TokenCache(), threading.Event(), threading.Event()
    reply = [("word ", (1,))] * 100

    def keep() -> None:
        while not done.is_set():
            memory.keep_reply(reply)
            begun.set()

    keeper, switched = threading.Thread(target=keep), sys.getswitchinterval()
    keeper.start()
    sys.setswitchinterval(1e-6)
    try:
        assert begun.wait(10)
        for i in range(400):
            assert memory.encode([said(f"{'word ' * 100}{i}")], Letters())[:100] == [1] * 100
    finally:
        sys.setswitchinterval(switched)
        done.set()
        keeper.join()


def test_what_a_reply_gets_after_it_was_kept_is_not_taken_in() -> None:
    memory, reply = TokenCache(), [("Be", (1,))]
    memory.keep_reply(reply)
    reply.append(("liev", (2,)))  # by the thread that generated it
    assert memory.encode([said("Believ")], Letters()) == [1, *map(ord, "liev")]


def test_a_cut_reply_keeps_them_up_to_the_cut() -> None:
    memory = TokenCache()
    memory.keep_reply(REPLY)
    assert memory.encode([said("Believab")], Letters()) == [1, 2, ord("a"), ord("b")]


def test_the_reply_that_fits_best_is_taken() -> None:
    memory = TokenCache()
    memory.keep_reply([("Be", (9,)), ("e", (9,))])
    memory.keep_reply(REPLY)
    memory.keep_reply([("Bel", (8,))])
    assert memory.encode([said("Believable")], Letters()) == [1, 2, 3]
    assert memory.encode([said("Z")], Letters()) == [ord("Z")]


def test_a_turn_tokenises_only_what_is_new() -> None:
    memory, letters = TokenCache(), Letters()
    memory.keep_reply(REPLY)
    memory.encode([PromptPiece("a", "text"), said("Believable")], letters)
    letters.asked.clear()
    for text in "bcdefg":
        memory.keep_reply([(text, (7,))])  # the reply itself is forgotten after a few others
    assert memory.encode([PromptPiece("a", "text"), said("Believable"), PromptPiece("new", "text")], letters)[1:4] == [
        1,
        2,
        3,
    ]
    assert letters.asked == ["new"]
