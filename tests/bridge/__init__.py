"""The bridge: managers in asyncio programs and in plain threads."""
