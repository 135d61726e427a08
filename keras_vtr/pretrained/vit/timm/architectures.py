"""timm's models that have build_vit's layers, and settings by their names.

Found by tests/golden/make_timm_sweep.py in timm 1.0.31. All other names are
refused: those models have other blocks, norms, heads or stems.
"""

import typing


class Architecture(typing.NamedTuple):
    """Settings of a model of timm.

    Args:
        num_heads: Of each block; None if no name gives it.
        activation: Of feed-forward blocks that aren't SwiGLU.
        rotary: Whether it is a DINOv3: timm's class Eva, rotary positions.
        has_bias: Whether the projections to queries and values have biases.
    """

    num_heads: int | None = None
    activation: str = "gelu"
    rotary: bool = False
    has_bias: bool = True


# Number of heads, activation.
_VISION_TRANSFORMER = {
    (2, "gelu"): """
        test_vit
    """,
    (3, "gelu"): """
        deit_tiny_distilled_patch16_224 deit_tiny_patch16_224
        vit_tiny_patch16_224 vit_tiny_patch16_384 vit_tiny_r_s16_p8_224
        vit_tiny_r_s16_p8_384
    """,
    (6, "gelu"): """
        deit3_small_patch16_224 deit3_small_patch16_384
        deit_small_distilled_patch16_224 deit_small_patch16_224
        flexivit_small vit_small_patch14_dinov2
        vit_small_patch14_reg4_dinov2 vit_small_patch16_224
        vit_small_patch16_36x1_224 vit_small_patch16_384
        vit_small_patch32_224 vit_small_patch32_384 vit_small_patch8_224
        vit_small_r26_s32_224 vit_small_r26_s32_384
    """,
    (8, "gelu"): """
        deit3_medium_patch16_224
    """,
    (12, "gelu"): """
        deit3_base_patch16_224 deit3_base_patch16_384
        deit_base_distilled_patch16_224 deit_base_distilled_patch16_384
        deit_base_patch16_224 deit_base_patch16_384 flexivit_base
        vit_base_patch14_dinov2 vit_base_patch14_reg1_tipsv2
        vit_base_patch14_reg4_dinov2 vit_base_patch16_224
        vit_base_patch16_384 vit_base_patch16_siglip_gap_224
        vit_base_patch16_siglip_gap_256 vit_base_patch16_siglip_gap_384
        vit_base_patch16_siglip_gap_512 vit_base_patch32_224
        vit_base_patch32_384 vit_base_patch8_224 vit_base_r26_s32_224
        vit_base_r50_s16_224 vit_base_r50_s16_384
    """,
    (12, "gelu_tanh"): """
        vit_base_patch32_siglip_gap_256
    """,
    (14, "gelu"): """
        vit_base_patch16_plus_240 vit_base_patch32_plus_256
    """,
    (16, "gelu"): """
        deit3_huge_patch14_224 deit3_large_patch16_224
        deit3_large_patch16_384 flexivit_large vit_base_patch16_gap_224
        vit_giant_patch14_224 vit_giant_patch16_gap_224
        vit_gigantic_patch14_224 vit_huge_patch14_224
        vit_huge_patch14_gap_224 vit_huge_patch16_gap_448
        vit_large_patch14_224 vit_large_patch14_dinov2
        vit_large_patch14_reg1_tipsv2 vit_large_patch14_reg4_dinov2
        vit_large_patch16_224 vit_large_patch16_384
        vit_large_patch16_siglip_gap_256
        vit_large_patch16_siglip_gap_384 vit_large_patch32_224
        vit_large_patch32_384 vit_large_r50_s32_224
        vit_large_r50_s32_384 vit_so400m_patch14_reg1_tipsv2
        vit_so400m_patch14_siglip_gap_224
        vit_so400m_patch14_siglip_gap_378
        vit_so400m_patch14_siglip_gap_384
        vit_so400m_patch14_siglip_gap_448
        vit_so400m_patch14_siglip_gap_896
    """,
    (16, "gelu_tanh"): """
        vit_giantopt_patch16_siglip_gap_256
        vit_giantopt_patch16_siglip_gap_384
        vit_large_patch16_siglip_gap_512
        vit_so400m_patch16_siglip_gap_256
        vit_so400m_patch16_siglip_gap_384
        vit_so400m_patch16_siglip_gap_512
    """,
    (24, "gelu"): """
        vit_giant_patch14_dinov2 vit_giant_patch14_reg1_tipsv2
        vit_giant_patch14_reg4_dinov2
    """,
}
# Of the class Eva: DINOv3, EUPE and LingBot-Vision. Number of heads, has_bias.
_DINOV3 = {
    (3, True): """
        vit_tiny_patch16_dinov3_qkvb
    """,
    (6, False): """
        vit_small_patch16_dinov3 vit_small_plus_patch16_dinov3
    """,
    (6, True): """
        vit_small_patch16_dinov3_qkvb vit_small_patch16_lingbot
        vit_small_plus_patch16_dinov3_qkvb
    """,
    (12, False): """
        vit_base_patch16_dinov3
    """,
    (12, True): """
        vit_base_patch16_dinov3_qkvb vit_base_patch16_lingbot
    """,
    (16, False): """
        vit_large_patch16_dinov3
    """,
    (16, True): """
        vit_large_patch16_dinov3_qkvb vit_large_patch16_lingbot
    """,
    (20, False): """
        vit_huge_plus_patch16_dinov3
    """,
    (20, True): """
        vit_huge_plus_patch16_dinov3_qkvb
    """,
    (24, False): """
        vit_giant_patch16_lingbot
    """,
    (32, False): """
        vit_7b_patch16_dinov3
    """,
}
ARCHITECTURES = {
    name: Architecture(*settings)
    for settings, names in _VISION_TRANSFORMER.items()
    for name in names.split()
} | {
    name: Architecture(num_heads, rotary=True, has_bias=has_bias)
    for (num_heads, has_bias), names in _DINOV3.items()
    for name in names.split()
}
