"""The smallest number of bits per token that entropy coding could reach at any speed."""
