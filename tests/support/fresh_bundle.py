"""A script like addons/codemie.py, but with new addons each time: several proxies in one process."""

from header_injection import HeaderInjection
from local_endpoints import LocalEndpoints
from upstream_attempts import UpstreamAttempts

addons = [UpstreamAttempts(), LocalEndpoints(), HeaderInjection()]
