"""Finds the convolutions of a ResNet by the names of its tensors."""

import dataclasses

from keras_vtr.pretrained.from_tensors import find_numbers


@dataclasses.dataclass(frozen=True)
class ConvolutionNames:
    """How a project names each convolution, and the norm that follows it.

    Args:
        stem: Names of the first convolution and its norm.
        block: Prefix of a block, with `{}` for the numbers of stage and block.
        part: Names of a block's convolution and norm, with `{}` for a number.
        projection: Names of the shortcut's convolution and norm.
        first: The lowest numbers of stage, block and part.
        kernel: Suffix of a convolution's kernel.
    """

    stem: tuple
    block: str
    part: tuple
    projection: tuple
    first: tuple
    kernel: str = ".weight"

    def find(self, shapes, prefix="", stem="stem", block="block"):
        """Finds all convolutions.

        Args:
            shapes: Dict of tensor name to shape.
            prefix: Of all names.
            stem: Our word for the stem.
            block: Our word for a block.

        Returns:
            The number of blocks of each stage; and a dict of the name of our
            convolution, such as "stage_0_block_1_convolution_2", to a list of
            the project's names of the convolution and its norm.
        """
        first_stage, first_block, first_part = self.first
        found = find_numbers(shapes, prefix + self.block)
        stages = [stage - first_stage for stage, _ in found]
        num_stages = 1 + max(stages, default=-1)
        num_blocks = tuple(stages.count(i) for i in range(num_stages))
        pairs = {f"{stem}_convolution": [prefix + x for x in self.stem]}
        has_third = any(
            self._name(prefix, *x, 2) + self.kernel in shapes for x in found
        )
        for stage, number in found:
            theirs = prefix + self.block.format(stage, number)
            ours = f"stage_{stage - first_stage}_{block}_{number - first_block}"
            for i in range(2 + has_third):  # of basic blocks and bottlenecks
                pairs[f"{ours}_convolution_{i}"] = [
                    theirs + x.format(i + first_part) for x in self.part
                ]
            projection = [theirs + x for x in self.projection]
            if projection[0] + self.kernel in shapes:
                pairs[f"{ours}_projection"] = projection
        return num_blocks, pairs

    def are_in(self, shapes, prefix):
        """Whether the file has the second convolution of the first block."""
        name = self._name(prefix, *self.first[:2], 1)
        return name + self.kernel in shapes

    def _name(self, prefix, stage, block, part):
        """Of a block's convolution; stage and block as the project counts."""
        part = self.part[0].format(part + self.first[2])
        return prefix + self.block.format(stage, block) + part
