"""What holds for all tests: none of them is timed, since the machine may be busy with other work; Ctrl-C is heard."""

from __future__ import annotations

import signal

from hypothesis import settings

# A shell without job control has its background jobs ignore SIGINT, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
