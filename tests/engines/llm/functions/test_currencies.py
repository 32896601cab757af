"""Which currencies a text names."""

from __future__ import annotations

import pytest

from openlive.engines.llm.functions.currencies import find_currencies


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("What does a pound cost in Turkish lira?", {"pound": "GBP", "Turkish lira": "TRY"}),
        ("How many rupees do I get for a dollar?", {"rupees": "INR", "dollar": "USD"}),
        ("20 Canadian dollars in Australian ones", {"Canadian dollars": "CAD"}),
        ("an Egyptian pound", {"Egyptian pound": "EGP"}),
        ("Wie viele Zloty sind 5 schwedische Kronen?", {"Zloty": "PLN", "schwedische Kronen": "SEK"}),
        ("¿A cuánto está la libra en pesos mexicanos?", {"libra": "GBP", "pesos mexicanos": "MXN"}),
        ("Quanto vale um euro em ienes?", {"euro": "EUR", "ienes": "JPY"}),
        ("Quel est le prix, en francs suisses, de mon billet ?", {"francs suisses": "CHF"}),
        ("What is the weather like in Cologne?", {}),
        ("", {}),
    ],
)
def test_by_their_names_in_the_language_of_the_text(text: str, codes: dict[str, str]) -> None:
    assert find_currencies(text) == codes


def test_where_the_language_is_guessed_wrong() -> None:
    assert find_currencies("Gastei 60 reais no almoço.") == {"reais": "BRL"}
    assert find_currencies("He gastado 45 libras en zapatos.") == {"libras": "GBP"}
