"""Sends the model calls of a vendor's host elsewhere: to CodeMie's gateway, where they are signed in, or anywhere.

For agents that come by HTTPS_PROXY and believe they talk to their vendor: they keep every feature that they switch off
behind another base URL. Their control calls (sign-in, policy, Remote Control) still go to the vendor. Runs before
whoever attaches credentials, so that they do it for the new host, and fails closed. The client's own credentials were
meant for the vendor and never go to the new host, whether or not others take their place. Of its answer cookies and
redirects stay here: the client would keep the ones for its vendor, and follow the others with its vendor's key.
"""

import logging

from mitmproxy import http
from mitmproxy.proxy.mode_specs import RegularMode, UpstreamMode
from pydantic import Field, field_validator

from codemie_core.accounts.calls import Call, call_of
from codemie_core.accounts.providers import AGENT_CREDENTIALS
from codemie_core.accounts.turn import without_keys
from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import core_of
from codemie_core.credential import is_loopback
from codemie_core.errors import Problem
from codemie_core.exchange import exchange_of
from codemie_core.interception.redirects import led_back
from codemie_core.interception.rules import Rule, parse_rules, rule_for
from codemie_core.redact_names import is_secret_name
from codemie_core.refusal import refuse
from codemie_core.target import with_prefix

logger = logging.getLogger(__name__)

MARK = "codemie.retargeted"
"""In the metadata of a flow: the host it was sent away from. mitmproxy saves it, so a replay can be told."""
WITHHELD = frozenset(name.encode() for name in AGENT_CREDENTIALS | {"user-id"})
UNSERVED = Problem(
    502,
    "cannot_retarget",
    "This request goes to another host than its client asked for, and its credentials cannot be kept from there: it is "
    "replayed, or upstream_attempts is not at work.",
)


class Retargeting(Addon, priority=3, fail="closed"):
    """Rules, the first that fits counts."""

    class Settings(AddonSettings):
        """The rules."""

        rules: tuple[str, ...] = Field(
            (),
            description="Where model calls go instead, in regular mode: HOST=URL, like "
            "api.anthropic.com=https://codemie.example.com/code-assistant-api.",
        )

        @field_validator("rules")
        @classmethod
        def _are_rules(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
            parse_rules(rules)
            return rules

    settings: Settings

    def __init__(self) -> None:
        self._rules: tuple[Rule, ...] = ()

    def settled(self) -> None:
        """Put their hosts in scope; without rules nobody is asked."""
        self._rules = parse_rules(self.settings.rules)
        core = core_of(self)
        core.further_hosts[self.name] = tuple(rule.host for rule in self._rules)
        for hook in ("requestheaders", "responseheaders"):
            if self._rules:
                vars(self).pop(hook, None)
            else:
                vars(self)[hook] = None  # The third is for replays, which outlive the rules.
        core.rewire()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Change where it goes. The core and `upstream_attempts` have its exchange by now: it is in scope."""
        request = flow.request
        rule = rule_for(self._rules, request.host, request.port)
        if flow.response is not None or flow.error is not None or rule is None or not self._moves(flow):
            return
        exchange, vendor, target = exchange_of(flow), request.host, rule.target
        # First of all: whatever raises below, the client's credentials stay here.
        exchange.withheld |= WITHHELD | {
            name.lower() for name, _ in request.headers.fields if is_secret_name(name.decode("latin-1"))
        }
        flow.metadata[MARK] = vendor
        request.scheme = target.scheme
        request.host, request.port = target.host, target.port  # Host and :authority change along.
        request.path = with_prefix(without_keys(request.path), target.path)
        exchange.asked_host, exchange.host, exchange.prefix = vendor, target.host, target.path

    def request(self, flow: http.HTTPFlow) -> None:
        """Without the attempt machine it would go out as it is, credentials and all."""
        if MARK in flow.metadata and flow.response is None and exchange_of(flow).plan is None:
            refuse(flow, UNSERVED)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The client takes this for an answer of its vendor."""
        if MARK not in flow.metadata or flow.response is None:
            return
        headers = flow.response.headers
        headers.pop("set-cookie", None)
        if 300 <= flow.response.status_code < 400 and "location" in headers:
            location = headers.pop("location")
            back = led_back(location, flow.request.url, exchange_of(flow).prefix)
            if back is not None:
                headers["location"] = back
            else:
                words = "%s redirects to another host, where the client's own key would go: name that host in the rule"
                logger.warning(words, flow.request.host)

    def _moves(self, flow: http.HTTPFlow) -> bool:
        request = flow.request
        if not isinstance(flow.client_conn.proxy_mode, RegularMode | UpstreamMode):
            return False  # Else the target was named at the start, and the credentials are meant for it.
        if "sec-fetch-site" in request.headers:
            return False  # A browser behind the proxy: its pages may be anybody's.
        if request.scheme != "https" and not is_loopback(request.host):
            return False  # There browsers do not say that it is they.
        return call_of(request.method, request.path, request.host) is not Call.CONTROL


addons = [Retargeting()]
