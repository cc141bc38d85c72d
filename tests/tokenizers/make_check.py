"""Write check.npz again after an intended change of the shipped weights.

Command: PYTHONPATH=tests python tests/tokenizers/make_check.py
"""

from pathlib import Path

import numpy as np

from helpers.tokenizer_samples import bundled
from seit_cl.tokenizers._quality import check_images

if __name__ == "__main__":
    images = check_images()
    tokens = bundled().encode(images).numpy()
    np.savez_compressed(Path(__file__).with_name("check.npz"), images=images.numpy(), tokens=tokens)
    print(f"identity {bundled().identity}: set IDENTITY in test_quality.py to it")
