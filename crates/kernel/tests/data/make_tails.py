"""Writes tails.json beside this file: the radius law far out in both tails and at uncommon N and D.

    pip install mpmath && python make_tails.py

The density of s = ln(R / sqrt(N)) at sigma = 1, from the textbook densities, is integrated with 30 digits
from s to the end of each tail, piece by piece, until more nodes change nothing.
"""
import functools
import json
import math
import pathlib

from mpmath import mp, mpf

mp.dps = 30


@functools.cache
def ln_gamma(x):
    return mp.loggamma(x)


def ln_pdf(n, d, s):
    """ln of the density of s = ln(R / sqrt(n)), from the textbook densities of chi-square and F."""
    q = mp.exp(2 * s)
    a = mpf(n) / 2
    if math.isinf(d):
        return mp.log(2) + a * mp.log(a * q) - a * q - ln_gamma(a)
    b = mpf(d) / 2
    odds = a * q / b
    beta = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
    return mp.log(2) + a * mp.log(odds) - (a + b) * mp.log1p(odds) - beta


def mass(n, d, s, sign, scale):
    """The probability beyond s in the direction of sign, from pieces over which the density falls by e^4 or less."""
    # mpmath's quadrature stops at an absolute error: the density is taken relative to its value at s.
    start = ln_pdf(n, d, mpf(s))
    density = lambda v: mp.exp(ln_pdf(n, d, v) - start)
    total, here, width = mpf(0), mpf(s), mpf(scale) / 4
    while True:
        q = mp.exp(2 * here)
        slope = abs(n - n * q) if math.isinf(d) else abs(n * d * (1 - q) / (d + n * q))
        # The density bends within a width of 1, nowhere beyond |s| = 20 (n / d is between 1e-15 and 1e9).
        width = min(width, 4 / slope if slope > 0 else width, mpf(1) if abs(here) < 20 else mpf("inf"))
        there = here + sign * width
        piece = abs(mp.quad(density, [here, there], method="gauss-legendre"))
        total += piece
        here = there
        width *= mpf(1.5)
        if piece < total * mpf(10) ** -20 and sign * here > 0:
            return total * mp.exp(start)


rows = []
for n in (1, 3, 100, 10**4, 10**6):
    for d in (1e-3, 0.1, 1.0, 5.5, 300.0, 1e5, 1e8, 1e15, math.inf):
        scale = 1 / math.sqrt(2 * n) if math.isinf(d) else math.sqrt((n + d) / (2 * n * d))
        for k in (-30, -8, -2, 0, 2, 8, 30):
            radius = math.sqrt(n) * math.exp(max(-300, min(300, k * scale)))
            s = mp.log(mpf(radius) / mp.sqrt(n))
            # The tail away from the mode; its complement loses nothing of 30 digits.
            tail = mass(n, d, s, 1 if k > 0 else -1, scale)
            cdf, sf = (1 - tail, tail) if k > 0 else (tail, 1 - tail)
            row = dict(n=n, d="inf" if math.isinf(d) else d, radius=radius, cdf=float(cdf), sf=float(sf),
                       ln_pdf=float(ln_pdf(n, d, s) - mp.log(radius)))
            rows.append(row)
    print(n, flush=True)
here = pathlib.Path(__file__).resolve().parent
(here / "tails.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
