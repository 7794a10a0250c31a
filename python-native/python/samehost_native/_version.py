"""How this package names itself to servers."""

from samehost_native._engine import VERSION

USER_AGENT = f"grpc-python-samehost-native/{VERSION}"
