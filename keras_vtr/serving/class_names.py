def check_class_names(class_names, num_classes):
    """A string for each class; empty for one that isn't used.

    Args:
        class_names: K names, some of them None; or None.
        num_classes: K.

    Returns:
        A list of K strings, or None.

    Raises:
        ValueError: If there is another number of names, or one is no string.
    """
    if class_names is None:
        return None
    names = ["" if name is None else name for name in class_names]
    wrong = [name for name in names if not isinstance(name, str)]
    if len(names) != num_classes or wrong:
        raise ValueError(
            "`class_names` must be one string for each of the "
            f"{num_classes} classes, None where one isn't used. Received: "
            f"{len(names)} names, {(wrong or names)[:3]} ..."
        )
    return names
