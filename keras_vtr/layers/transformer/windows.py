from keras import ops


class Windows:
    """How tokens of a grid of patches are cut into windows.

    W windows of height x width patches cover the grid, row by row; those at
    the lower and right edge are padded with zeros. Each window has a copy of
    the leading tokens, which come first, also where windows are merged.

    Args:
        grid: (rows, columns), numbers or scalar tensors.
        window_size: (height, width), numbers or scalar tensors, or None for
            one window.
        num_leading_tokens: Number of class tokens and registers.
    """

    def __init__(self, grid, window_size, num_leading_tokens):
        self.grid = grid
        self.size = grid
        if window_size is not None:  # no larger than the grid, if it is known
            self.size = [
                min(side, part) if isinstance(side, int) else part
                for side, part in zip(grid, window_size, strict=True)
            ]
        self.num_leading = num_leading_tokens
        pairs = list(zip(self.grid, self.size, strict=True))
        self.counts = [-(-side // part) for side, part in pairs]  # rounded up
        self.num_windows = self.counts[0] * self.counts[1]
        self.may_be_padded = window_size is not None and not all(
            isinstance(side, int) and side % part == 0 for side, part in pairs
        )

    def cut(self, patches):
        """(B, rows * columns, X) -> (B * W, height * width, X)."""
        batch_size, _, channels = ops.shape(patches)
        (rows, columns), (height, width) = self.grid, self.size
        down, across = self.counts
        x = ops.reshape(patches, (batch_size, rows, columns, channels))
        more = [(0, down * height - rows), (0, across * width - columns)]
        x = ops.pad(x, [(0, 0), *more, (0, 0)])
        sides = (batch_size, down, height, across, width, channels)
        x = ops.transpose(ops.reshape(x, sides), (0, 1, 3, 2, 4, 5))
        sides = (batch_size * self.num_windows, height * width, channels)
        return ops.reshape(x, sides)

    def join(self, patches):
        """(B * W, height * width, X) -> (B, rows, columns, X)."""
        (rows, columns), (height, width) = self.grid, self.size
        down, across = self.counts
        channels = patches.shape[-1]
        x = ops.reshape(patches, (-1, down, across, height, width, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        sides = (-1, down * height, across * width, channels)
        return ops.reshape(x, sides)[:, :rows, :columns]

    def cut_tokens(self, tokens):
        """(B, leading + rows * columns, X) -> (B * W, leading + ..., X)."""
        leading = ops.repeat(
            tokens[:, : self.num_leading], self.num_windows, axis=0
        )
        patches = self.cut(tokens[:, self.num_leading :])
        return ops.concatenate([leading, patches], axis=1)

    def cut_mask(self, padding_mask):
        """(B, rows, columns) -> (B * W, leading + height * width).

        The leading tokens of a window without a real patch aren't real, or an
        image's features would depend on how much it is padded.
        """
        batch_size = ops.shape(padding_mask)[0]
        mask = ops.cast(padding_mask, "bool")
        mask = ops.reshape(mask, (batch_size, self.grid[0] * self.grid[1], 1))
        mask = self.cut(mask)[..., 0]
        leading = ops.any(mask, axis=1, keepdims=True)
        return ops.concatenate([leading] * self.num_leading + [mask], axis=1)

    def merge(self, tokens, num_leading=None):
        """(B * W, n + P, X) -> (B, W * n + W * P, X), the leading n first."""
        n = self.num_leading if num_leading is None else num_leading
        return self._regroup(tokens, n, self.num_windows, 1)

    def split(self, tokens):
        """What `merge` does, undone."""
        n = self.num_leading * self.num_windows
        return self._regroup(tokens, n, 1, self.num_windows)

    def arguments(self, positions, padding_mask):
        """Arguments of windowed blocks, and those of global blocks."""
        within, merged = {}, {}
        if positions is not None:
            within["positions"] = self.cut(positions)
            merged["positions"] = self.merge(within["positions"], 0)
        if padding_mask is not None:
            mask = self.cut_mask(padding_mask)
            within["padding_mask"] = mask
            merged["padding_mask"] = self.merge(mask[..., None])[..., 0]
        return within, merged

    def _regroup(self, tokens, num_leading, merged, split):
        batch_size, _, channels = ops.shape(tokens)
        parts = [tokens[:, :num_leading], tokens[:, num_leading:]]
        return ops.concatenate(
            [
                ops.reshape(
                    x,
                    (
                        batch_size * split // merged,
                        ops.shape(x)[1] * merged // split,
                        channels,
                    ),
                )
                for x in parts
            ],
            axis=1,
        )
