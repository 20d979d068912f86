"""[R] Networks, one file per architecture: plain torch modules, inference only.

Each file has a configuration with its network's published sizes, and a Prediction with its answer. They look alike, but
are facts about different networks, so each stays in its own file.
"""
