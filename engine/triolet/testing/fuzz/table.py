"""The targets by name."""

from typing import Final

from .target import Target
from .targets.codec import CodecTarget
from .targets.edge import EdgeTarget
from .targets.frames import FramesTarget
from .targets.head import HeadTarget

TARGETS: Final[dict[str, type[Target]]] = {
    target.name: target for target in (CodecTarget, FramesTarget, HeadTarget, EdgeTarget)
}
