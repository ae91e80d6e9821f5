"""A script like addons/codemie.py, but with new addons each time: several proxies in one process."""

from header_injection import HeaderInjection
from local_endpoints import LocalEndpoints
from proxy_access import ProxyAccess
from request_log import RequestLog
from sso_auth import SsoAuth
from upstream_attempts import UpstreamAttempts

addons = [UpstreamAttempts(), LocalEndpoints(), ProxyAccess(), SsoAuth(), HeaderInjection(), RequestLog()]
