"""[R] pycolmap, which is imported here alone: whoever needs it takes it from here.

pycolmap installs handlers for the signals of a crash, and for SIGTERM. They look up names and so allocate memory. Where
a crash hits inside malloc, or after the heap was corrupted, such a handler waits for ever, and so does whoever waits
for the process. Python's faulthandler takes their place: it gives the signal its default action, writes Python's stack
to the log with write(2) alone, and raises the signal again.
"""

import faulthandler
import signal
import threading

LOG = 2  # stderr's descriptor, which is a worker's log
faulthandler.enable(LOG)  # before the import, so that `disable` puts back the system's handlers, not pycolmap's

import pycolmap as pycolmap  # noqa: E402

faulthandler.disable()
faulthandler.enable(LOG)
if threading.current_thread() is threading.main_thread():  # elsewhere Python refuses
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
