"""DreamBooth with masks, on diffusers, accelerate and peft: options, model families, the loop, checkpoints."""
