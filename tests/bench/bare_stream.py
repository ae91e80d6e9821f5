"""What every figure is compared with: mitmdump that does nothing but stream."""


def responseheaders(flow):  # type: ignore[no-untyped-def]  # the plainest addon there is
    flow.response.stream = True
