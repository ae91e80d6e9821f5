"""HTTPS_PROXY mode: whose TLS is opened, with which certificates, and where the requests inside may be sent instead."""
