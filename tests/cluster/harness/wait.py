"""Waiting on conditions. A scenario never sleeps blindly: it waits until something holds, or watches that it keeps holding."""
import time


class Failed(Exception):
    """A scenario's check that did not hold."""


def check(condition, message):
    if not condition:
        raise Failed(message)


def until(seconds, what, probe, every=0.3):
    """Calls probe until it returns something true, and returns that. Deadlines are generous: machines are busy.

    probe may raise Failed to say what it saw last; other exceptions end the wait at once, but OSError (a server that
    is just starting or stopped on purpose) counts as "not yet"."""
    end = time.monotonic() + seconds
    seen = "nothing"
    while True:
        try:
            result = probe()
            if result:
                return result
            seen = repr(result)
        except (Failed, OSError) as e:
            seen = str(e)
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}; last seen: {seen}")
        time.sleep(every)


def hold(seconds, what, probe, every=0.5):
    """Calls probe for so long; it has to be true each time. For what must *not* happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check(probe(), f"did not keep holding: {what}")
        time.sleep(every)
