"""[R] Layers and heads that several networks share."""
