"""A stand-in for the package, so that process.py can be tested against runtimes that misbehave on purpose."""
