"""The token files released with SeiT (Park et al., ICCV 2023)."""
