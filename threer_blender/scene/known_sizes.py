"""[S] Lengths of things that are the same everywhere: their names, as an artist types them, and metres.

The length of a rectangle is its long side, and that of a ball or disc is its diameter.
"""

from __future__ import annotations

# Sources: ISO 216 (A3, A4, A5), ANSI (letter), ISO/IEC 7810 (card), EN 13698-1 (pallet), IEC 60908 (CD),
# FIFA and FIBA (balls of size 5 and 7: the middle of what is allowed).
LENGTHS = {
    "a3": 0.420,
    "a4": 0.297,
    "a5": 0.210,
    "letter": 0.2794,
    "card": 0.0856,
    "pallet": 1.200,
    "cd": 0.120,
    "football": 0.220,
    "basketball": 0.243,
}
