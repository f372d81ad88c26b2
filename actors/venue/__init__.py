"""The embedded Coinbase: a sans-IO exchange core, its market, and the loopback server in front of both."""
