"""What is done with any tokenizer: its tokens kept in a cache, its quality measured, its images drawn."""
