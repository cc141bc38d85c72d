"""The ViT of size small: width 384, 12 blocks, 6 heads, as DeiT-S."""

from seit_cl.models._vit import StemViT


class SmallViT(StemViT):
    """ViT behind a stem; width 384, 12 blocks, 6 heads, as DeiT-S."""

    source = "Touvron et al., ICML 2021"
    size = "small"


MODEL = SmallViT
