"""The example service Greeter: its servicers, and a client that makes all four kinds of calls."""
