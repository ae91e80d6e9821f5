import subprocess
import sys

from codemie_core.admin.pages import sign_in
from support.proxy import ADDONS


def test_it_says_how_to_get_in_and_why_one_is_not() -> None:
    assert "codemie-proxy open" in sign_in.page()
    assert 'role="status"' not in sign_in.page()
    assert "The code was used." in sign_in.page("The code was used.")


def test_what_is_said_is_never_html() -> None:
    assert "<script>alert(1)</script>" not in sign_in.page("<script>alert(1)</script>")


def test_it_asks_nobody_for_anything() -> None:
    page = sign_in.page()
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page


def test_it_needs_no_web_library() -> None:
    code = "import sys; from codemie_core.admin.pages import sign_in; print('nicegui' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ADDONS)
    assert done.stdout.strip() == "False"
