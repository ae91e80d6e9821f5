from codemie_core.admin.pages.figures import CARDS, bucket_ms
from codemie_core.admin.series import point
from codemie_core.store.breakdown import Slice
from codemie_core.store.figures import Figures


def test_a_bucket_is_as_long_as_the_way_to_the_next_one() -> None:
    points = [point(start, Slice()) for start in (0, 3_600_000, 7_200_000)]
    assert bucket_ms(points) == 3_600_000
    assert bucket_ms(points[:1]) == 0


def test_a_bucket_without_requests_has_no_rate_of_success() -> None:
    [success] = [card for card in CARDS if card.label == "Success"]
    assert success.over_time(point(0, Slice())) is None
    assert success.over_time(point(0, Slice(Figures(requests=4, errors=1)))) == 75.0
