"""[S] What a result says of itself, for people: how well a shot's camera sticks."""
