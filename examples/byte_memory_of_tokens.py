"""Images in, tokens in the memory's 2 kB, images out; and a saved memory that is loaded again.

Prints the bytes of an exemplar and the shapes of what comes back; takes a few seconds.
"""

import torch

from seit_cl import ByteBudgetBuffer, Samples, open_tokenizer

tokenizer = open_tokenizer()  # the bundled one; others: docs/tokenizers.md
memory = ByteBudgetBuffer.of(
    "tokens", budget_bytes=2_000, classes=10, resolution=32, tokenizer=tokenizer
)
images = torch.randint(0, 256, (100, 3, 32, 32), dtype=torch.uint8)
memory.offer(Samples.of_images(images, torch.arange(100) % 10, tokenizer))
memory.save("tokens.bin")
loaded = ByteBudgetBuffer.load("tokens.bin", tokenizer=tokenizer)
batch = loaded.sample(8, torch.Generator().manual_seed(0))
print(f"{len(loaded)} exemplars of {loaded.bytes_per_exemplar:.0f} bytes")
print("tokens", tuple(batch.inputs.shape), "images", tuple(tokenizer.decode(batch.inputs).shape))
