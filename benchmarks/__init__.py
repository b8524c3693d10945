"""What the core costs, measured against trio's own primitive in the same run."""
