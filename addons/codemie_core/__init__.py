"""The rooms behind the addons: everything of the CodeMie bundle that is not itself a mitmproxy addon."""

__version__ = "0.2.0"
