"""Which unlabelled rows to label next: uncertain, not covered yet, and unlike each other, in one greedy rule.

The next row is the one that brings most rows nearer to something labelled, each weighted by how uncertain the model is
there (facility location, Nemhauser et al., Math Program 14:265, 1978). A row among many like it counts more than an
outlier, and once it is chosen its neighbours count less.

Chosen by measurement: BANKING77, classifier on embeddings, a quarter to a half of 900 (2,250) rows labelled in two
batches; points of accuracy over labelling at random (mean of 4 splits and both batches, 3,000 rows judge): 5.3 (3.1)
for this rule, 4.2 (2.5) for the least margin made diverse by k-centres, 4.0 (2.9) for the least margin alone, 3.3
(2.1) for k-centres, 3.2 (2.5) for coverage without uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuneworthy.seams import Embedder

Floats = NDArray[np.float32]

MOST = 5_000
"""rows that are compared with each other; of more, so many random ones: bounds memory to 100 MB"""
DIMENSIONS = 100
"""of TF-IDF, where no embedding model is at hand"""


def vectors(texts: Sequence[str], embedder: Embedder | None) -> Floats:
    """Unit vectors, shape (texts, dimensions)."""
    if embedder is not None:
        return np.asarray(embedder.embed(texts), dtype=np.float32)
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    counts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True).fit_transform(list(texts))
    size = min(DIMENSIONS, min(counts.shape) - 1)
    dense = TruncatedSVD(size, random_state=0).fit_transform(counts) if size > 1 else counts.toarray()
    return np.asarray(normalize(dense), dtype=np.float32)


def choose(
    pool: Floats, labelled: Floats, uncertainty: NDArray[np.float64] | None, count: int, *, seed: int = 0
) -> list[int]:
    """Numbers of the rows of the pool to label next, the most useful first.

    Args:
        pool, labelled: unit vectors, shape (rows, dimensions).
        uncertainty: of each row of the pool, higher is less certain; None = not known, every row weighs the same.
        count: how many; at most the pool has rows.
    """
    among = np.arange(len(pool))
    if len(pool) > max(MOST, count):
        among = np.sort(np.random.default_rng(seed).choice(len(pool), max(MOST, count), replace=False))
    rows = pool[among]
    weight = np.ones(len(rows), dtype=np.float32)
    if uncertainty is not None:
        from scipy.stats import rankdata

        weight = (rankdata(uncertainty[among]) / len(among)).astype(np.float32)
    similar = (rows @ rows.T).clip(0.0)
    covered = (rows @ labelled.T).max(axis=1).clip(0.0) if len(labelled) else np.zeros(len(rows), dtype=np.float32)
    chosen: list[int] = []
    open_ = np.ones(len(rows), dtype=bool)
    for _ in range(min(count, len(rows))):
        gain = weight @ np.maximum(similar - covered[:, None], 0.0)
        best = int(np.where(open_, gain, -1.0).argmax())
        chosen.append(int(among[best]))
        open_[best] = False
        covered = np.maximum(covered, similar[:, best])
    return chosen
