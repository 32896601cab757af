"""Words beside a number that tell what it is, in the languages that `verbalise.py` spells out."""

from __future__ import annotations

import re

RESULT = {"en": "to", "de": "zu", "es": "a", "fr": "à", "it": "a", "pt": "a"}
"""What stands between the results of two teams, or the sides of a ratio."""
VERSIONS = {
    "en": "version",
    "de": "Version",
    "es": "versión",
    "fr": "version",
    "it": "versione",
    "pt": "versão",
}
"""What the `v` of `v2.0` is."""
PORT = {"en": "port", "de": "Port", "es": "puerto", "fr": "port", "it": "porta", "pt": "porta"}
"""What stands before `:8080`."""
CALLED = re.compile(
    r"\b(?:(?:tele)?(?:phone|fon)\w*|(?:help|hot)line|tel|fax|calls?|calling|dial|ring|texts?|mobile|cell|whatsapp"
    r"|number|nummer|handy\w*|durchwahl|zentrale|anrufen|rufen|wählen|vorwahl|teléfonos?|llam\w+|llám\w+|marque|marca"
    r"|móvil|celular|números?|appel\w+|téléphon\w+|numéros?|portable|compos\w+|joindre|faites|chiam\w+|telefon\w+"
    r"|numeri?|numero|cellulare|centralino|ligue|ligar|telemóvel|disque)\b",
    re.IGNORECASE,
)
"""What has a telephone number, somewhere before it."""
CODED = re.compile(
    r"\b(?:dial|extension|durchwahl|phone|cards?|account|pin|codes?|zip|postcode|iban|orders?|reference|serial|isbn"
    r"|tracking|ticket|ending in|ends in|sort|id|passport|policy|\w*karten?|konto|\w*nummer|blz|plz|postleitzahl"
    r"|bestellung|auftrag|kennwort|ende[nt]d? auf|tarjetas?|cuenta|pedido|código|referencia|terminad[ao] en|acaba en"
    r"|cartes?|compte|commande|dossier|postal|se terminant par|carta|conto|ordine|codice|cap|pratica|termina con|cartão"
    r"|conta|final|cep|protocolo|cpf|cnpj|senha|terminad[ao] em|terminando em)\b"
    r"(?:\W{1,3}(?:numbers?|no|nr|nº|is|ist|lautet|endet|mit|auf|es|est|è|é|código|code|postale?|codice|of|de|di|do)\b){0,3}"
    r"[\s:#.*•·-]{0,24}$",
    re.IGNORECASE,
)
"""What has a code for a number, right before it."""
NAMED = re.compile(
    r"\b(?:pin|codes?|zip|postcode|reference|tracking|kennwort|plz|postleitzahl|código|codice|cap|cep|senha|protocolo)\b"
    r".*(?:\b(?:is|ist|lautet|es|est)\s|\b[èé]\s|:\s?)$",
    re.IGNORECASE | re.DOTALL,
)
"""The same with more words between: the PIN of the new card is 4821."""
ENDED = re.compile(
    r"\W*$|\s?[^\w\s]|\s(?:and|or|is|was|has|will|to|on|in|for|at|with|from|by|und|oder|ist|wurde|wird|hat|im|am|für|mit"
    r"|bei|y|o|es|está|fue|ha|en|para|con|a|de|ya|et|ou|est|sera|pour|avec|à|e|è|sarà|per|di|é|foi|será|com|em|um)\b"
)
"""After a code: nothing that it could count."""
VERSION = re.compile(
    r"(?:\b[vV]ersi(?:ons?|one|ón|onen|ones|ões)|\b[vV]ersão|\b[rR]elease|\b[fF]irmware|\b[kK]ernel|\bPython"
    r"|\bNode(?:\.js)?|\bJava|\bKotlin|\bPHP|\bRuby|\bGo|\bRust|\bi(?:Pad)?OS|\bmacOS|\bAndroid|\bWindows|\bLinux|\bUbuntu"
    r"|\bDebian|\bFedora|\bChrome|\bFirefox|\bDjango|\bReact|\bAngular|\bVue|\bSwift|\bBluetooth|\bUSB"
    r"|\bHDMI|\bTLS|\bHTTP)[ /-]?$"
)
"""What comes in versions, right before one."""
FLIGHT = re.compile(
    r"\b(?:flights?|flug|vuelos?|vols?|vol[oi]|voos?)\s(?:(?:number|nummer|nº|[A-Z]\w)\s)?$", re.IGNORECASE
)
MODEL = re.compile(r"\b(?:Boeing|Airbus|Embraer|Cessna|Tupolew|Antonow)\s$")
"""What is named by numbers."""
PLAYED = re.compile(
    r"\b(?:won?|wins?|winning|beats?|beaten|los[et]s?|losing|defeat\w*|scor\w+|dr[ae]ws?|tied?|victory|leads?|led|match"
    r"|gewann\w*|gewonnen|gewinn\w+|verl[oi]\w+|\w*sieg\w*|niederlage|schlug\w*|geschlagen|stand es|steht es|endstand"
    r"|führt\w*|unentschieden|gan[aeó]\w*|perd\w+|venc\w+|empat\w+|derrot\w+|marcador|partido|penaltis|resultado|gagn\w+"
    r"|battu\w*|victoire|défaite|emport\w+|mené\w*|vint\w+|vinc\w+|pers[oaei]|pareggi\w*|batt\w+|sconfi\w+|partita|finita"
    r"|ganh\w+|placar|jogo|acabou|gol\w*)\b",
    re.IGNORECASE,
)
"""What has a result."""
OPEN = re.compile(r"\b(?:von|offen|geöffnet|zwischen|\w*tags?|mo|di|mi|do|fr|sa|so)\b\W{0,3}$", re.IGNORECASE)
"""Before German hours, which go down at noon: von 9-5."""
EMERGENCY = re.compile(
    r"(?:(?<=\b[Cc]all )|(?<=\b[Dd]ial )|(?<=\bor ))(?:911|999|112|111|988)(?!\w|[.,:]\d|-|\s[a-z]+s\b)"
)
PLACE = re.compile(r"(?:,|\b[A-Z]{1,2}-|\d[a-z]?)\s?$")
IN = re.compile(r"\b(?:in|und|nach|en|y|e|et|à|a|em)\s$|^\s*$")
TOWN = re.compile(
    r"\s(?!(?:Euro|Dollar|Franken|Menschen|Personen|Einwohner\w*|Kilometer|Meter|Jahre|Mal|Stück|Stunden|Tage|Besucher"
    r"|Zuschauer|Schritte|Wörter|Kalorien|Mitglieder|Teilnehmer\w*|Studierende)\b)[A-ZÀ-Þ][a-zà-ÿ]"
)
"""Before and after a postal code: a comma or the clause's beginning, and a name, which German counts have, too."""
