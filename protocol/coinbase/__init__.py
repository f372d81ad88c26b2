"""The wire of Coinbase Advanced Trade: structs, border checks and signing. No I/O; clock and nonce are handed in."""
