"""The ViT of size base: width 768, 12 blocks, 12 heads, as DeiT-B."""

from seit_cl.models._vit import StemViT


class BaseViT(StemViT):
    """ViT behind a stem; width 768, 12 blocks, 12 heads, as DeiT-B."""

    source = "Touvron et al., ICML 2021"
    size = "base"


MODEL = BaseViT
