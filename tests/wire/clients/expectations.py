"""The checks of all client scripts, and their report: JSON on stdout if all was as expected, exit code 1 if not.

The scripts run in the clients' own environments, so this uses the standard library only.
"""

import json
import sys


class Steps:
    """Counts the named expectations that held; the first that does not hold ends the program."""

    def __init__(self):
        self.held = []

    def expect(self, what, actual, expected):
        """``actual`` equals ``expected``."""
        if actual != expected:
            sys.exit(f"{what}: expected {expected!r}, got {actual!r} (held before: {', '.join(self.held)})")
        self.held.append(what)

    def refused(self, what, error, call):
        """``call()`` raises ``error``."""
        try:
            call()
        except error:
            self.held.append(what)
        else:
            sys.exit(f"{what}: was not refused (held before: {', '.join(self.held)})")

    def report(self, **more):
        json.dump(dict(more, held=self.held), sys.stdout)


def bodies(start, count):
    """Return numbered message bodies, with characters that must survive every hop."""
    return [{"n": n, "text": "zażółć ✓ %2C,"} for n in range(start, start + count)]
