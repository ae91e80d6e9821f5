"""The rooms that touch mitmproxy's internals.

`shape` tells whether the mitmproxy beside us is the one those internals were tested with. `attempts` refuses
to start when it is not; `dispatch`, which is only speed, steps aside.
"""
