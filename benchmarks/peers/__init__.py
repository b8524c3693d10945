"""One small file for each peer, run in an environment of its own (``environments.toml``): of ours it imports what needs only Python."""
