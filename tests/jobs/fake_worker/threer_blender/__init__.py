"""A stand-in for the package, so that process.py can be tested against workers that misbehave on purpose."""
