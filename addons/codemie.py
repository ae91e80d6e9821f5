"""START HERE. The CodeMie bundle: `mitmdump -s addons/codemie.py --mode reverse:https://api.anthropic.com`

The addons run from top to bottom, for requests and for responses alike. The number is the priority each declares, the
word says what becomes of a request when the addon fails; a test holds both against the classes.
"""

from codemie_core import loading

addons = loading.load_addons(
    # 0-10: the ground rules
    ("upstream_attempts", "open"),  #   0  open    first: every later addon sees a flow that streams and may be retried
    ("tls_interception", "closed"), #   2  closed  before anything inside a tunnel: who looks into it?
    ("retargeting", "closed"),      #   3  closed  before all that depends on where a request goes
    ("local_endpoints", "open"),    #   5  open    before anything is spent on requests that never leave this machine
    ("proxy_access", "closed"),     #   7  closed  before anybody attaches a credential: who may use this proxy?
    ("sso_auth", "closed"),         #  10  closed  knows the target by then: a session goes only where it belongs
    # 11-49: what the request becomes
    ("websocket_guard", "open"),    #  12  open    before an account is chosen for an upgrade that is refused
    ("account_rotation", "closed"), #  16  closed  after the sign-in, whose requests it leaves alone
    ("header_injection", "open"),   #  20  open    after whoever changes the target: headers match where it goes
    # 50-100: watching
    ("request_log", "open"),        #  50  open    after everyone who changes the request
    ("usage_metering", "open"),     #  60  open    before those who pass on what it has counted
    ("telemetry", "open"),          #  70  open    tells collectors what was counted
    ("inspection", "open"),         #  90  open    shows to whoever looks what was said and what was counted
    ("metrics_sync", "open"),       # 100  open    last of these: it sends on what was counted
    # 101-500: what is no part of a request's way
    ("admin_server", "open"),       # 200  open    shows and steers all of the above
)  # fmt: skip
