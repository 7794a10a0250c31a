"""The user agent that clients send."""

from samehost_native._engine import VERSION

USER_AGENT = f"grpc-python-samehost-native/{VERSION}"
