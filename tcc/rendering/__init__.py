"""The embedded data set: rendered clips of one action, with the truth about every frame."""

from tcc.rendering.clip import RENDERING_VERSION, RenderedClip, clip_names, render_clip
from tcc.rendering.files import render_set
from tcc.rendering.motion import PHASES

__all__ = ["PHASES", "RENDERING_VERSION", "RenderedClip", "clip_names", "render_clip", "render_set"]
