"""Small folders of class folders."""

from PIL import Image


def write_class_folders(folder, sizes):
    """A picture of (width, height) for each path, such as "cat/a.png".

    Their contents differ, and those of a class are of one color.
    """
    for i, (place, size) in enumerate(sizes.items()):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        color = sum(map(ord, path.parent.name)) * 37 % 256
        picture = Image.new("RGB", size, (color, 255 - color, 90))
        picture.putpixel((0, 0), (i % 256, i // 256, 0))
        picture.save(path)
    return folder
