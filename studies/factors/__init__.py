"""Study of what tokens owe to bytes, to labelled pre-training, and to the length of training."""
