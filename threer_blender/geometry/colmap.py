"""[R] pycolmap. Only this file imports it; all others import it from here.

pycolmap installs handlers for SIGTERM and for the signals of crashes. These handlers look up names and so allocate
memory. If a crash occurs inside malloc, or the heap is corrupted, such a handler waits for ever, and so does everyone
who waits for the process to end. Python's faulthandler replaces them: it restores the signal's default action, writes
Python's stack to the log with write(2) alone, and raises the signal again.
"""

import faulthandler
import signal
import threading

LOG = 2  # the descriptor of stderr, which is the worker's log
faulthandler.enable(LOG)  # before the import, so that disabling it restores the system's handlers, not pycolmap's

import pycolmap as pycolmap  # noqa: E402

faulthandler.disable()
faulthandler.enable(LOG)
if threading.current_thread() is threading.main_thread():  # in other threads Python refuses to
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
