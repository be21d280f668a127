"""Meeting a condition. Tests wait for states, never for time: this is the only sleep."""
import os
import time

PATIENCE = float(os.environ.get("TEST_PATIENCE", "10"))  # seconds; more on a slow machine


def wait_until(condition, what, timeout=None, every=0.004):
    """The first true value of condition(); fails, naming `what`, when there is none in time."""
    deadline = time.monotonic() + (timeout or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {timeout or PATIENCE:g} s: "
                                 f"{what() if callable(what) else what}")
        time.sleep(every)
