"""Values of the scores by NumPy, SciPy and prdc: python scores.py > scores.json

pip install numpy==2.4.6 scipy==1.17.1 prdc==0.2; about three minutes on two cores. The sets are made by the same
integer arithmetic here and in the test, so that none is stored.
"""

import contextlib
import io
import json

import numpy as np
import prdc
from scipy import linalg


def uniform(seed, num, dim):
    """Values in [-0.5, 0.5) by splitmix64 of their place."""
    z = np.arange(1, num * dim + 1, dtype=np.uint64) + np.uint64(seed * 2**32)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(11)).astype(np.float64) / 2.0**53 - 0.5).reshape(num, dim)


def features(seed, num, dim, shift, power):
    """Columns of falling size, (1 + j)^-power, shifted."""
    return uniform(seed, num, dim) * (1.0 + np.arange(dim)) ** -power + shift


def frechet_by_sqrtm(x, y):
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(a @ b)
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a) + np.trace(b) - 2 * np.trace(root).real)


def frechet_by_svd(x, y):
    """tr (A B)^1/2 is the sum of the singular values of X_c Y_c^T, without a root of a singular matrix."""
    xc, yc = x - x.mean(0), y - y.mean(0)
    values = linalg.svdvals(xc @ yc.T) / np.sqrt((len(x) - 1) * (len(y) - 1))
    traces = np.sum(xc**2) / (len(x) - 1) + np.sum(yc**2) / (len(y) - 1)
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + traces - 2 * np.sum(values))


def kernel_distance(x, y):
    k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    within = lambda a: (k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1))
    return float(within(x) + within(y) - 2 * k(x, y).mean())


def neighbours():
    rows = []
    for num_data, num_samples, dim, k in [(300, 257, 7, 5), (40, 600, 3, 3), (513, 300, 20, 10)]:
        data, samples = uniform(1, num_data, dim), 0.9 * uniform(2, num_samples, dim) + 0.05
        # Copies: of data among the samples, and within the data.
        samples[:9] = data[3:12]
        data[30:35] = data[29]
        with contextlib.redirect_stdout(io.StringIO()):
            found = prdc.compute_prdc(real_features=data, fake_features=samples, nearest_k=k)
        found = {name: float(value) for name, value in found.items()}
        rows.append({"data": num_data, "samples": num_samples, "dim": dim, "k": k, **found})
    return rows


def frechet():
    rows = []
    for num_x, num_y, dim in [(50, 80, 16), (2500, 2300, 2048), (300, 200, 2048), (2500, 200, 2048), (90, 40, 64)]:
        x, y = features(3, num_x, dim, 0.0, 0.5), features(4, num_y, dim, 0.02, 0.4)
        row = {"x": num_x, "y": num_y, "dim": dim, "by_svd": frechet_by_svd(x, y)}
        if min(num_x, num_y) > dim:
            row["by_sqrtm"] = frechet_by_sqrtm(x, y)
        rows.append(row)
    return rows


def kernel():
    rows = []
    for num_x, num_y, dim in [(50, 80, 16), (300, 520, 100)]:
        x, y = features(3, num_x, dim, 0.0, 0.1), features(4, num_y, dim, 0.3, 0.0)
        rows.append({"x": num_x, "y": num_y, "dim": dim, "value": kernel_distance(x, y)})
    return rows


print(json.dumps({"neighbours": neighbours(), "frechet": frechet(), "kernel": kernel()}, indent=1))
