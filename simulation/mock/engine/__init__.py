"""What every mock server stands on: instances that come and go, and the answers that are made in their slots."""
