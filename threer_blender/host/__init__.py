"""[S] This machine: its hardware, the Pythons that engines run in, the store of weights."""
