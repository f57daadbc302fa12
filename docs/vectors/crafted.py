"""Makes signatures that implementations of Ed25519 judge differently; ZIP 215 has one verdict on each.

`python3 docs/vectors/crafted.py` prints lines of key, signature, verdict and what is special. The message
is `crafted` in the domain of votes. See docs/formats.md, section 4.
"""
from encoding import *
from encoding import BASE, L, P, _add, _compress, _times, _x_of

MESSAGE = tag("vote") + b"crafted"


def number(*parts): return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def eighth_roots():
    """The eight points of small order, as multiples of one of order eight."""
    y = 2
    while True:
        square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
        if square and pow(square, (P - 1) // 2, P) == 1:
            x = _x_of(y, 0)
            point = _times(L, (x, y, 1, x * y % P))
            if _compress(_times(4, point)) != _compress((0, 1, 1, 0)):
                return [_times(multiple, point) for multiple in range(8)]
        y += 1


def encodings(points):
    """All encodings of these points, the canonical ones first."""
    canonical = [_compress(point) for point in points]
    every = set()
    for data in canonical:
        value = int.from_bytes(data, "little")
        y, sign = value & 2 ** 255 - 1, value >> 255
        # x = 0 has no sign, yet the bit can be set; y may be written with p added where it fits 255 bits.
        signs = (0, 1) if y in (1, P - 1) else (sign,)
        forms = (y, y + P) if y + P < 2 ** 255 else (y,)
        every |= {(form | sign << 255).to_bytes(32, "little") for form in forms for sign in signs}
    return canonical, sorted(every - set(canonical))


def line(key, signature, verdict, what):
    print(key.hex(), signature.hex(), "valid" if verdict else "invalid", what)


torsion = eighth_roots()
canonical, others = encodings(torsion)
for first in canonical + others:
    for second in canonical + others:
        line(first, second + bytes(32), True, "small order key and R, s = 0")
for i in range(1, 8):
    for j in (0, i, 8 - i, 3):
        a, r = number(b"a", u8(i)), number(b"r", u8(i), u8(j))
        key = _compress(_add(_times(a, BASE), torsion[i]))
        big_r = _compress(_add(_times(r, BASE), torsion[j % 8]))
        s = (r + number(big_r, key, MESSAGE) * a) % L
        line(key, big_r + s.to_bytes(32, "little"), True, f"mixed order key ({i}) and R ({j % 8})")
        line(key, big_r + (s + L).to_bytes(32, "little"), False, "the same with s + L")
        line(key, big_r + ((s + 1) % L).to_bytes(32, "little"), False, "the same with s + 1")
a, r = number(b"a"), number(b"r")
key, big_r = _compress(_times(a, BASE)), _compress(_times(r, BASE))
s = (r + number(big_r, key, MESSAGE) * a) % L
line(key, big_r + s.to_bytes(32, "little"), True, "plain")
line(key, big_r + (s + L).to_bytes(32, "little"), False, "plain with s + L")
line(key, big_r + (s + 8 * L).to_bytes(32, "little"), False, "plain with s + 8 L")
off_curve = next(y for y in range(2, 99) if pow((y * y - 1) * pow(D * y * y + 1, P - 2, P) % P, (P - 1) // 2, P) == P - 1)
off = off_curve.to_bytes(32, "little")
line(off, big_r + s.to_bytes(32, "little"), False, "key not on the curve")
line(key, off + s.to_bytes(32, "little"), False, "R not on the curve")
for data in others:
    line(key, data + (number(data, key, MESSAGE) * a % L).to_bytes(32, "little"), True, "R of small order, not canonical")
