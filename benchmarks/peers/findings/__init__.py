"""Small programs that show what a peer does, for its authors: each needs that package, Python, and ``small_server.py`` beside it."""
