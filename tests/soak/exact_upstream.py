"""An upstream that answers each number in its own way: `python -m soak.exact_upstream` prints its port."""

import asyncio

from bench.upstream import Upstream, serve
from soak.exact_turns import answered


class Exact(Upstream):
    """One connection."""

    def answer(self, wish: str, numbers: list[str]) -> None:
        self._transport.write(answered(int(numbers[0])))


if __name__ == "__main__":
    asyncio.run(serve(Exact))
