"""The encodings of docs/formats.md, written from that page alone (standard library only).

Nothing here was taken from the Rust sources, so that agreement with them means something. It is slow
and not for production: the Ed25519 arithmetic is not constant-time.
"""
import hashlib

TREE_LEAF, TREE_INNER, LIST_LEAF, LIST_INNER, LIST_ROOT, STATE_VALUE, STATE_OWNER, STATE_ITEM = (
    bytes([number]) for number in range(8))


def tag(name):
    return b"quorate/" + name.encode() + b"/1\0"


def digest(tag_bytes, *parts):
    return hashlib.sha3_256(tag_bytes + b"".join(parts)).digest()


def in_parts(tag_bytes, content):
    parts = (content[start:start + 1024] for start in range(0, len(content), 1024))
    return digest(tag_bytes, b"\1", *(digest(tag_bytes, b"\0", part) for part in parts))


# Section 2: integers, sequences, options.
def u8(n): return n.to_bytes(1, "little")
def u16(n): return n.to_bytes(2, "little")
def u32(n): return n.to_bytes(4, "little")
def u64(n): return n.to_bytes(8, "little")
def u128(n): return n.to_bytes(16, "little")
def big2(n): return n.to_bytes(2, "big")
def big4(n): return n.to_bytes(4, "big")
def big8(n): return n.to_bytes(8, "big")
def blob(data): return u32(len(data)) + data
def text(string): return blob(string.encode())
def sequence(items): return u32(len(items)) + b"".join(items)
def option(value): return b"\0" if value is None else b"\1" + value


# Section 4: Ed25519 (RFC 8032, 5.1).
P = 2 ** 255 - 19
L = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def _x_of(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * I % P
    return P - x if x & 1 != sign else x


_Y = 4 * pow(5, P - 2, P) % P
BASE = (_x_of(_Y, 0), _Y, 1, _x_of(_Y, 0) * _Y % P)


def _add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(number, point):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = _add(total, point)
        point, number = _add(point, point), number >> 1
    return total


def _compress(point):
    inverse = pow(point[2], P - 2, P)
    return (point[1] * inverse % P | (point[0] * inverse % P & 1) << 255).to_bytes(32, "little")


def _expand(seed):
    h = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(h[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, h[32:]


def public_key(seed):
    return _compress(_times(_expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = _expand(seed)
    number = lambda *parts: int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L
    r = number(prefix, message)
    big_r = _compress(_times(r, BASE))
    k = number(big_r, public_key(seed), message)
    return big_r + ((r + k * scalar) % L).to_bytes(32, "little")


# Section 6: bech32m (BIP 350).
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _polymod(values):
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check


def address(prefix, payload):
    bits = "".join(f"{byte:08b}" for byte in payload)
    bits += "0" * (-len(bits) % 5)
    groups = [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = _polymod(expanded + groups + [0] * 6) ^ 0x2BC830A3
    groups += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(LETTERS[group] for group in groups)


# Section 11: the state tree.
def group_half(group):
    """First half of the paths of a group, which is given encoded."""
    tag, rest = group[0], group[1:]
    if tag == 0:
        owner, kind = (b"\0" + rest[1:], 0) if rest[0] == 3 else (b"\1" + rest, 3 if rest[0] == 8 else 0)
    else:
        owner, kind = (b"\2", 0) if tag == 4 else (b"\0" + rest, tag)
    half = digest(STATE_OWNER, owner)
    first = half[0] & 0x7F | (0x80 if kind == 3 else 0)
    return bytes([first]) + half[1:31] + bytes([half[31] & 0xFC | kind])


def path_of(group, key):
    """Path of a key, which is given encoded like its group."""
    if group[0] == 0:
        return group_half(group) + bytes(32)
    return group_half(group) + (key[33:] if group[0] == 1 else digest(STATE_ITEM, key))


def bit(path, position):
    return path[position // 8] >> (7 - position % 8) & 1


def first_difference(a, b):
    return next(position for position in range(512) if bit(a, position) != bit(b, position))


def tree_leaf(path, value_hash):
    return digest(TREE_LEAF, path, value_hash)


def tree_root(leaves):
    """Root over (path, value hash) pairs in ascending order of path."""
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return tree_leaf(*leaves[0])
    depth = first_difference(leaves[0][0], leaves[-1][0])
    left = [leaf for leaf in leaves if not bit(leaf[0], depth)]
    right = [leaf for leaf in leaves if bit(leaf[0], depth)]
    return digest(TREE_INNER, big2(depth), tree_root(left), tree_root(right))


def descend(leaves, path, bits):
    """Steps from the root along a path, and the leaves below the first node that divides at `bits` or later."""
    steps = []
    while len(leaves) > 1:
        depth = first_difference(leaves[0][0], leaves[-1][0])
        if depth >= bits:
            break
        sides = [[leaf for leaf in leaves if bit(leaf[0], depth) == side] for side in (0, 1)]
        steps.append(u16(depth) + tree_root(sides[1 - bit(path, depth)]))
        leaves = sides[bit(path, depth)]
    return steps, leaves


# Section 12: lists.
def list_top(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else bytes(32)
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return digest(LIST_INNER, list_top(leaves[:middle]), list_top(leaves[middle:]))


def list_root(leaves):
    return digest(LIST_ROOT, big8(len(leaves)), list_top(leaves))


def list_siblings(leaves, index):
    if len(leaves) < 2:
        return []
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    if index < middle:
        return list_siblings(leaves[:middle], index) + [list_top(leaves[middle:])]
    return list_siblings(leaves[middle:], index - middle) + [list_top(leaves[:middle])]
