"""[S] Reports for people on a result: how well a shot's camera sticks."""
