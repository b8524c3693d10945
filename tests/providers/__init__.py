"""The LM Studio singleton, the model provider, and what stands on them."""
