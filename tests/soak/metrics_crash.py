"""Is every session metric counted exactly once, whatever is killed? `python -m soak.metrics_crash` within tests/.

Processes that write and send session metrics are killed at random points, before an API that fails, hangs up and counts
without saying so, while another one appends to the same files without a lock. Ends with 1 when a record was lost, was
counted twice, or when a key came with two different bodies.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from support.metrics_api import MetricsApi
from support.metrics_crash import Ordeal
from support.metrics_room import MetricsRoom

ROUNDS = 200


def main() -> int:
    """0 when all was counted, and once."""
    parser = argparse.ArgumentParser(prog="soak.metrics_crash", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many deaths (default: {ROUNDS})")
    parser.add_argument("--seed", type=int, default=round(time.time()), help="another one is another course")
    arguments = parser.parse_args()
    # No sign-in of the person who runs this is touched.
    os.environ["CODEMIE_KEYRING"] = "0"
    with tempfile.TemporaryDirectory() as folder, MetricsApi() as api:
        room = MetricsRoom(Path(folder) / "home", api)
        api.sign_in(room.places)
        ordeal = Ordeal(room, api, arguments.seed)
        ordeal.run(arguments.rounds)
        asyncio.run(ordeal.settle())
        problems = list(ordeal.problems())
        deaths = ", ".join(f"{point} {count}" for point, count in sorted(ordeal.deaths.items()))
        print(f"seed {arguments.seed}; deaths: {deaths}")
        print(f"{len(ordeal.marks())} records in {len(set(api.keys))} metrics, which came {len(api.came)} times")
        print("\n".join(problems) or "every record was counted exactly once")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
