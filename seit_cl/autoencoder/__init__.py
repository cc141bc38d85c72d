"""The bundled kind of tokenizer: a small vector-quantised autoencoder, and its training."""
