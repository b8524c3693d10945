"""Small programs that the tests execute."""
