"""Stable Diffusion 1.5, XL and 3 in a few hundred kilobytes: their real classes with random weights, made offline."""

import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

WORDS = ("a", "photo", "of", "sks", "dog")
START, END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer():
    """Letters, letters at the end of a word, and the words above, in CLIP's format."""
    from transformers import CLIPTokenizer

    letters = list(string.ascii_lowercase)
    merges, pieces = [], []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges.append(f"{parts[0]} {parts[1]}")
            parts = [parts[0] + parts[1], *parts[2:]]
            pieces.append(parts[0])
    merges, pieces = list(dict.fromkeys(merges)), list(dict.fromkeys(pieces))
    names = [*letters, *(f"{letter}</w>" for letter in letters), *pieces, START, END]
    vocabulary = {name: number for number, name in enumerate(names)}
    return CLIPTokenizer(
        vocab=vocabulary, merges=[tuple(merge.split()) for merge in merges], model_max_length=77, pad_token=END
    )


def t5_tokenizer():
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -1.0) for word in WORDS)]
    pieces += [("▁", -2.0), *((letter, -3.0) for letter in string.ascii_lowercase)]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=256)


def clip_text(tokenizer, width: int = 16, *, projection: int | None = None):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=projection or width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def vae(channels: int = 4, *, shift: float | None = None, quant: bool = True):
    """Latents of an eighth of the picture's size, as the large ones make them."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=64,
        shift_factor=shift,
        use_quant_conv=quant,
        use_post_quant_conv=quant,
    ).eval()


def unet(cross: int, *, in_channels: int = 4, **more):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=8,
        in_channels=in_channels,
        out_channels=4,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=cross,
        **({"attention_head_dim": 2} | more),
    )


def ddpm(**more):
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, steps_offset=1, **more
    )


def sd15(folder: Path, *, prediction: str = "epsilon") -> Path:
    from diffusers import StableDiffusionPipeline

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip_text(tokenizer),
        tokenizer=tokenizer,
        unet=unet(16),
        scheduler=ddpm(prediction_type=prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def sdxl(folder: Path) -> Path:
    from diffusers import StableDiffusionXLPipeline

    torch.manual_seed(0)
    tokenizer, tokenizer_2 = clip_tokenizer(), clip_tokenizer()
    StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip_text(tokenizer),
        text_encoder_2=clip_text(tokenizer_2, projection=16),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=unet(
            32,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=16 + 6 * 4,
            transformer_layers_per_block=1,
            use_linear_projection=True,
        ),
        scheduler=ddpm(),
    ).save_pretrained(folder)
    return folder


def sd3(folder: Path) -> Path:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    one, two, three = clip_tokenizer(), clip_tokenizer(), t5_tokenizer()
    t5 = T5EncoderModel(
        T5Config(vocab_size=len(three), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0)
    )
    StableDiffusion3Pipeline(
        vae=vae(16, shift=0.0609, quant=False),
        text_encoder=clip_text(one, projection=16),
        text_encoder_2=clip_text(two, projection=16),
        text_encoder_3=t5.eval(),
        tokenizer=one,
        tokenizer_2=two,
        tokenizer_3=three,
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            pos_embed_max_size=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)
    return folder


BUILD = {"sd15": sd15, "sdxl": sdxl, "sd3": sd3}


@contextmanager
def on_the_cpu(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs of one process with settings of their own: accelerate keeps the first ones for good. Two steps a picture."""
    patch.setenv("ACCELERATE_USE_CPU", "true")
    patch.setattr("persam.dreambooth.train.families.STEPS", 2)
    yield
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
