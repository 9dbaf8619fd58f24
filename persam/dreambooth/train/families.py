"""What differs between SD 1.5, SDXL and SD 3: prompts, noise, the target, the network's call. One class a family.

A family works on the parts of its diffusers pipeline. Text encoders leave once the prompts are encoded, and the VAE is
on the device only while it encodes or decodes: what stays there is what is trained.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError

Array = np.ndarray[Any, Any]
STEPS = 25  # of a picture's drawing
_ATTENTION = ("to_k", "to_q", "to_v", "to_out.0")


@dataclass(frozen=True)
class Text:
    """Encoded prompts. pooled: one vector each, where the family has any."""

    embeds: Float[Tensor, "b t d"]
    pooled: Float[Tensor, "b p"] | None = None

    @classmethod
    def stack(cls, texts: Sequence["Text"]) -> "Text":
        pooled = [one.pooled for one in texts if one.pooled is not None]
        return cls(torch.cat([one.embeds for one in texts]), torch.cat(pooled) if pooled else None)

    def to(self, device: torch.device) -> "Text":
        return Text(self.embeds.to(device), None if self.pooled is None else self.pooled.to(device))


@dataclass(frozen=True)
class Noised:
    """What the network gets and what it should say. weight: of each sample's loss."""

    latents: Float[Tensor, "b c h w"]
    target: Float[Tensor, "b c h w"]
    timesteps: Float[Tensor, "b"]
    weight: Float[Tensor, "b"]


class Family(ABC):
    """One family of models around a loaded pipeline. `network` is what is trained."""

    title: ClassVar[str]
    pipeline: ClassVar[str]
    part: ClassVar[str]
    resolution: ClassVar[int]
    targets: ClassVar[tuple[str, ...]]
    left_out: ClassVar[dict[str, Any]] = {}
    trains_full = False

    def __init__(self, pipe: Any, options: TrainOptions):
        self.pipe, self.options = pipe, options
        self.network = getattr(pipe, self.part)
        self.texts: dict[str, Text] = {}
        self._negative: Text | None = None
        pipe.set_progress_bar_config(disable=True)

    @classmethod
    def check(cls, options: TrainOptions) -> None:
        """Raises DreamBoothError where the options ask for what this family has not."""
        if options.full and not cls.trains_full:
            raise DreamBoothError(f"--full is for SD 1.5, and this is {cls.title}: leave it out to train a LoRA.")

    @property
    def scale(self) -> int:
        """Pixels a side of one latent."""
        return 2 ** (len(self.pipe.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode_prompts(self, prompts: Iterable[str], device: torch.device) -> None:
        """Fills `texts`, and lets the text encoders go."""
        encoders = [name for name in self.pipe.components if name.startswith("text_encoder")]
        for name in encoders:
            if getattr(self.pipe, name) is not None:
                getattr(self.pipe, name).to(device).requires_grad_(False)
        for prompt in dict.fromkeys(prompts):
            text, negative = self._encode(prompt, device)
            self.texts[prompt] = text.to(torch.device("cpu"))
            self._negative = negative.to(torch.device("cpu"))
        for name in encoders:
            setattr(self.pipe, name, None)

    @torch.no_grad()
    def encode_pixels(
        self, pixels: Float[Tensor, "b 3 r r"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
        """Mean and deviation of the latents, as the network knows them."""
        vae = self.pipe.vae
        spread = vae.encode(pixels.to(vae.device, torch.float32)).latent_dist
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        return (spread.mean - shift) * vae.config.scaling_factor, spread.std * vae.config.scaling_factor

    @torch.no_grad()
    def draw(
        self, prompt: str, chances: Sequence[torch.Generator], device: torch.device
    ) -> list[UInt8[Array, "h w 3"]]:
        """A picture for each generator. Drawn in latents, as the VAE decodes in float32 alone."""
        text, count = self.texts[prompt].to(device), len(chances)
        assert self._negative is not None  # texts are encoded first
        negative = self._negative.to(device)
        more = {}
        if text.pooled is not None and negative.pooled is not None:
            more = {
                "pooled_prompt_embeds": text.pooled.expand(count, -1),
                "negative_pooled_prompt_embeds": negative.pooled.expand(count, -1),
            }
        was_training = self.network.training
        self.network.eval()
        side = self.options.resolution or self.resolution
        vae = self.pipe.vae.to(device)  # before: a pipeline works where its first part is
        precision = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self.options.mixed_precision)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            latents = self.pipe(
                prompt_embeds=text.embeds.expand(count, -1, -1),
                negative_prompt_embeds=negative.embeds.expand(count, -1, -1),
                height=side,
                width=side,
                num_inference_steps=STEPS,
                generator=list(chances),
                output_type="latent",
                **more,
            ).images
        self.network.train(was_training)
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        pixels = [vae.decode(one[None].float() / vae.config.scaling_factor + shift).sample[0] for one in latents]
        self.pipe.vae.to("cpu")
        stack = (torch.stack(pixels) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return list(np.rint(stack * 255).astype(np.uint8))

    @abstractmethod
    def _encode(self, prompt: str, device: torch.device) -> tuple[Text, Text]:
        """The prompt and its negative."""

    @abstractmethod
    def noised(
        self, latents: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], chances: Sequence[torch.Generator]
    ) -> Noised:
        """Latents at noise levels by chance, one a sample, and the target that belongs to them."""

    @abstractmethod
    def predict(
        self, network: Any, noised: Noised, text: Text, sizes: Float[Tensor, "b 6"]
    ) -> Float[Tensor, "b c h w"]:
        """What the network says. sizes: of each photo, top left of its crop, size of the crop, as SDXL takes them."""


class StableDiffusion(Family):
    """SD 1.5, and SD 2, which has the same pipeline."""

    title, pipeline, part, resolution = "SD 1.5", "StableDiffusionPipeline", "unet", 512
    targets = _ATTENTION
    left_out: ClassVar[dict[str, Any]] = {"safety_checker": None, "requires_safety_checker": False}
    trains_full = True

    def __init__(self, pipe: Any, options: TrainOptions):
        from diffusers import DDPMScheduler

        super().__init__(pipe, options)
        self.schedule = DDPMScheduler.from_config(pipe.scheduler.config)
        self.prediction = self.schedule.config.prediction_type
        if self.prediction not in ("epsilon", "v_prediction"):
            raise DreamBoothError(
                f"the model predicts {self.prediction!r}; only epsilon and v_prediction can be trained."
            )
        if self.network.config.in_channels != pipe.vae.config.latent_channels:
            raise DreamBoothError(
                f"the UNet takes {self.network.config.in_channels} channels and latents have "
                f"{pipe.vae.config.latent_channels}: an inpainting model. Give the model that draws from text."
            )

    def _encode(self, prompt: str, device: torch.device) -> tuple[Text, Text]:
        embeds, negative = self.pipe.encode_prompt(prompt, device, 1, True)
        return Text(embeds), Text(negative)

    def noised(
        self, latents: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], chances: Sequence[torch.Generator]
    ) -> Noised:
        count = self.schedule.config.num_train_timesteps
        times = torch.cat([torch.randint(count, (1,), generator=one) for one in chances]).to(latents.device)
        is_v = self.prediction == "v_prediction"
        return Noised(
            latents=self.schedule.add_noise(latents, noise, times),
            target=self.schedule.get_velocity(latents, noise, times) if is_v else noise,
            timesteps=times.float(),
            weight=self._min_snr(times),
        )

    def _min_snr(self, times: Tensor) -> Float[Tensor, "b"]:
        """min(snr, gamma) over what the prediction weighs the error by itself (Hang et al., 2023)."""
        if self.options.snr_gamma is None:
            return torch.ones(len(times), device=times.device)
        kept = self.schedule.alphas_cumprod.to(times.device)[times].float()
        snr = kept / (1 - kept)
        least = snr.clamp(max=self.options.snr_gamma)
        return least / (snr + 1 if self.prediction == "v_prediction" else snr.clamp(min=1e-8))

    def predict(
        self, network: Any, noised: Noised, text: Text, sizes: Float[Tensor, "b 6"]
    ) -> Float[Tensor, "b c h w"]:
        return network(noised.latents, noised.timesteps, text.embeds, return_dict=False)[0]


class StableDiffusionXL(StableDiffusion):
    """SDXL: two text encoders, and each photo's size and crop as conditions."""

    title, pipeline, resolution = "SDXL", "StableDiffusionXLPipeline", 1024
    left_out: ClassVar[dict[str, Any]] = {}
    trains_full = False

    def _encode(self, prompt: str, device: torch.device) -> tuple[Text, Text]:
        embeds, negative, pooled, negative_pooled = self.pipe.encode_prompt(
            prompt, device=device, num_images_per_prompt=1, do_classifier_free_guidance=True
        )
        return Text(embeds, pooled), Text(negative, negative_pooled)

    def predict(
        self, network: Any, noised: Noised, text: Text, sizes: Float[Tensor, "b 6"]
    ) -> Float[Tensor, "b c h w"]:
        conditions = {"text_embeds": text.pooled, "time_ids": sizes}
        return network(noised.latents, noised.timesteps, text.embeds, added_cond_kwargs=conditions, return_dict=False)[
            0
        ]


class StableDiffusion3(Family):
    """SD 3 and 3.5: flow matching, from the latents straight to the noise; the target is the velocity between them.

    Not as diffusers' script does by default (`precondition_outputs`), which weighs the same error by the squared noise
    level.
    """

    title, pipeline, part, resolution = "SD 3", "StableDiffusion3Pipeline", "transformer", 1024
    targets = tuple(f"attn.{name}" for name in (*_ATTENTION, "add_k_proj", "add_q_proj", "add_v_proj", "to_add_out"))

    def __init__(self, pipe: Any, options: TrainOptions):
        super().__init__(pipe, options)
        schedule = type(pipe.scheduler).from_config(pipe.scheduler.config)  # drawing pictures changes the pipeline's
        self.sigmas, self.timesteps = schedule.sigmas, schedule.timesteps

    @classmethod
    def check(cls, options: TrainOptions) -> None:
        super().check(options)
        if options.snr_gamma is not None:
            raise DreamBoothError("--snr_gamma is for SD 1.5 and SDXL; SD 3 has --weighting_scheme. Leave it out.")

    def _encode(self, prompt: str, device: torch.device) -> tuple[Text, Text]:
        embeds, negative, pooled, negative_pooled = self.pipe.encode_prompt(prompt, None, None, device=device)
        return Text(embeds, pooled), Text(negative, negative_pooled)

    def noised(
        self, latents: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], chances: Sequence[torch.Generator]
    ) -> Noised:
        from diffusers.training_utils import compute_density_for_timestep_sampling, compute_loss_weighting_for_sd3

        scheme, mean, deviation = self.options.weighting_scheme, self.options.logit_mean, self.options.logit_std
        places = torch.cat(
            [
                compute_density_for_timestep_sampling(
                    scheme, 1, mean, deviation, self.options.mode_scale, generator=one
                )
                for one in chances
            ]
        )
        indices = (places * len(self.timesteps)).long().clamp(0, len(self.timesteps) - 1)
        sigmas = self.sigmas[indices].to(latents.device)
        broad = sigmas[:, None, None, None]
        return Noised(
            latents=(1 - broad) * latents + broad * noise,
            target=noise - latents,
            timesteps=self.timesteps[indices].float().to(latents.device),
            weight=compute_loss_weighting_for_sd3(scheme, sigmas),
        )

    def predict(
        self, network: Any, noised: Noised, text: Text, sizes: Float[Tensor, "b 6"]
    ) -> Float[Tensor, "b c h w"]:
        return network(
            hidden_states=noised.latents,
            timestep=noised.timesteps,
            encoder_hidden_states=text.embeds,
            pooled_projections=text.pooled,
            return_dict=False,
        )[0]


FAMILIES: tuple[type[Family], ...] = (StableDiffusion, StableDiffusionXL, StableDiffusion3)
