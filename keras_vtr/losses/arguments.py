"""Checks of the arguments of `HungarianLoss`."""

from keras_vtr.classifiers import classifier_of
from keras_vtr.losses.terms import Term
from keras_vtr.targets import check_keys


def check_terms(terms):
    """A list of terms of different names that can be matched."""
    terms = list(terms) if isinstance(terms, (list, tuple)) else terms
    if not isinstance(terms, list) or not all(
        isinstance(term, Term) for term in terms
    ):
        raise ValueError(
            "`terms` must be a list of keras_vtr.losses.Term objects, such as "
            f"detr_terms(label_weight=2.0). Received: terms={terms!r:.200}"
        )
    for term in terms:
        kind = type(term)
        if kind.distance is Term.distance and kind.sums is Term.sums:
            raise ValueError(
                f"The term {term.name!r} must have a `distance`: a subclass of "
                f"keras_vtr.losses.Term defines it. Received: {kind.__name__}"
            )
    names = [term.name for term in terms]
    if len(set(names)) < len(names):
        raise ValueError(
            "`terms` must have different names; give one of them another "
            f"`name`. Received: {names}"
        )
    if not any(term.cost_weight for term in terms):
        raise ValueError(
            "At least one term must have a `cost_weight` above 0, because "
            f"queries are matched by the terms' costs. Received: {names}"
        )
    return terms


def check_classifier(terms, y_pred):
    """Refuses terms of another classifier than the model's."""
    check_keys("y_pred", y_pred, ())
    classifier = classifier_of(y_pred)
    for term in terms:
        if term.classifier not in (None, classifier):
            raise ValueError(
                f"The term {term.name!r} must get {term.classifier.key!r}, but "
                f"the model has {classifier.key!r}. Use `detr_terms` with "
                'build_detr(classifier="softmax"), `sigmoid_terms` with '
                f'classifier="sigmoid". Received: {type(term).__name__}'
            )


def check_pairings(pairings, built_in, term_names):
    """A dict of functions, whose values' names are all different."""
    pairings = {} if pairings is None else pairings
    if not isinstance(pairings, dict) or not all(
        isinstance(name, str) and name and callable(pairing)
        for name, pairing in pairings.items()
    ):
        raise ValueError(
            "`pairings` must be a dict of functions by name. Received: "
            f"pairings={pairings!r:.200}"
        )
    names = [*built_in, *pairings]
    values = [
        f"{name}_{x}" if name else x for name in names for x in term_names
    ]
    if set(built_in) & set(pairings) or len(set(values)) < len(values):
        raise ValueError(
            "Names of `pairings`, joined with those of terms, must differ from "
            "each other and from those that are built in, "
            f"{sorted(filter(None, built_in))}. Received: "
            f"pairings={sorted(pairings)}, terms={term_names}"
        )
    return pairings


def check_weights(weights, pairings):
    """A dict of weights of known pairings."""
    weights = {} if weights is None else dict(weights)
    unknown = set(weights) - set(pairings)
    if unknown or not all(weight >= 0 for weight in weights.values()):
        raise ValueError(
            "`pairing_weights` must have numbers, 0 or above, for some of "
            f"{sorted(pairings)}. Received: pairing_weights={weights}"
        )
    return weights
