"""[R] The lens of a shot: an artist's knowledge of it, and how well tracks tell it."""
