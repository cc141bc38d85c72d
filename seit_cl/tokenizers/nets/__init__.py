"""Networks of tokenizers: autoencoders, frozen backbones and quantisers."""
