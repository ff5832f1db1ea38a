"""The command `selfdenoise`: Ctrl-C ends it in one line, also while it starts."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit, see `napari_selfdenoise.cli`."""
    # What is imported takes seconds, and may swallow or misname a KeyboardInterrupt.
    before = signal.signal(signal.SIGINT, _end)
    from napari_selfdenoise.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


def _end(*_: Any) -> NoReturn:
    """End at once: nothing has been done that would have to be undone."""
    print("Error: Stopped.", file=sys.stderr, flush=True)
    if "--json" in sys.argv and os.environ.get("RANK", "0") == "0":
        print('{"error": "Stopped.", "hint": ""}', flush=True)
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
