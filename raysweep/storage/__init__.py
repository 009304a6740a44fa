"""The content-addressed store: files anywhere, leases, blocks, integrity. Start with store.py."""
