"""[R] pycolmap, which is imported here alone: whoever needs it takes it from here.

pycolmap installs handlers for the signals of a crash, and for SIGTERM, that look up names and so allocate. Where the
crash hits inside malloc, or after it was corrupted, such a handler waits for ever, and with it whoever waits for the
process. Python's faulthandler takes their place: it writes Python's stack to the log with write(2) alone, gives the
signal its default action before it does so, and raises it again.
"""

import faulthandler
import signal
import threading

LOG = 2  # stderr's descriptor, which is a worker's log
faulthandler.enable(LOG)  # before the import: the handlers that it will put back are the system's

import pycolmap as pycolmap  # noqa: E402

faulthandler.disable()
faulthandler.enable(LOG)
if threading.current_thread() is threading.main_thread():  # elsewhere Python refuses
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
