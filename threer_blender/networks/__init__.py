"""[R] Networks, one file per architecture: plain torch modules, inference only.

Each file has a configuration with the network's published sizes, and a tuple for its output. They look alike, but they
are facts about different networks, so each stays in its own file.
"""
