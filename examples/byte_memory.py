"""A replay memory of 20 kB of JPEGs in a training loop of one's own.

Prints the exemplars and bytes after each of five experiences; takes a few seconds.
"""

import torch

from seit_cl import ByteBudgetBuffer, Samples

images, labels = torch.randint(256, (1000, 3, 32, 32)).byte(), torch.arange(1000) % 10
memory = ByteBudgetBuffer.of("jpeg:quality=75", budget_bytes=20_000, classes=10, resolution=32)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for experience in torch.arange(1000).split(200):
    for ids in experience.split(20):
        x, y = images[ids], labels[ids]
        if len(memory):
            replay = memory.sample(20, torch.default_generator)  # decoded: uint8, like the images
            x, y = torch.cat([x, replay.inputs]), torch.cat([y, replay.labels])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x / 255), y).backward()
        optimizer.step()
    memory.offer(Samples.of_images(images[experience], labels[experience]))
    print(f"{len(memory)} exemplars in {memory.used_bytes} of {memory.budget_bytes} bytes")
