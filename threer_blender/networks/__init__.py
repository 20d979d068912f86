"""[R] Networks, one file per architecture: plain torch modules, inference only."""
