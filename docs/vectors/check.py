"""Works out the golden vectors of docs/formats.md independently and compares them with the file.

Run `python3 docs/vectors/check.py` from the root of the repository; it prints one line and ends with 1
if a value differs. `--print` writes what it worked out instead.
"""
import pathlib
import re
import sys

from encoding import *

HERE = pathlib.Path(__file__).parent
FILE = HERE / "vectors.txt"
found = {}


def put(name, value):
    found[name] = value.hex() if isinstance(value, bytes) else value
    return value


def seed(number): return bytes([number]) * 32


# Keys and authorities.
keys = {number: put(f"key.{number}", public_key(seed(number))) for number in (1, 2, 3, 4, 5, 6, 17, 18, 19)}
put("key.1.signature", sign(seed(1), tag("vote") + b"message"))


def authority(threshold, weighted, version=0):
    return u32(threshold) + sequence([key + u16(weight) for key, weight in sorted(weighted)]) + u32(version)


def account_id(auth, salt=bytes(16)): return digest(tag("account"), auth, salt)


single = put("authority.single", authority(1, [(keys[17], 1)]))
shared = put("authority.shared", authority(3, [(keys[17], 2), (keys[18], 1), (keys[19], 1)]))
alice = put("account.alice", account_id(single))
bob = put("account.bob", account_id(authority(1, [(keys[18], 1)])))
put("account.shared", account_id(shared, b"\7" * 16))
put("address.alice", address("qdev", alice))
put("address.alice.customer", address("qdev", alice + b"customer"))
usd = put("asset.usd", digest(tag("asset"), text("USD")))

# Names, scopes.
acme = text("acme")
ASSET_MINT, READ_OWN = 7, 30
chain_scope, org_scope = b"\0", b"\1" + acme
asset_scope, account_scope = b"\2" + usd, b"\3" + alice


# Transactions.
def transaction(actions, asserts, reference, memo, signers):
    return put_together(b"\xaa" * 32, alice, bytes(range(16)), 1_800_000_000_000, actions, asserts, reference, memo, signers)


def put_together(chain, sender, nonce, until, actions, asserts, reference, memo, signers):
    return (chain + u8(1) + sender + nonce + u64(until) + sequence(actions) + sequence(asserts)
            + blob(reference) + blob(memo) + sequence(sorted(keys[n] for n in signers)))


def signed(unsigned, signers):
    by_key = sorted((keys[n], n) for n in signers)
    message = tag("sign-transaction") + unsigned
    return unsigned + sequence([sign(seed(n), message) for _, n in by_key])


def action(operation, actor=None): return option(actor) + operation


transfer = u8(6) + usd + bob + b"\0" + u128(500) + option(b"customer")
at_least = b"\0" + alice + usd + u128(500)
payment = put("transaction.payment", transaction([action(transfer)], [at_least], b"invoice-42", b"thank you", [17]))
payment_id = put("transaction.payment.id", digest(tag("transaction"), payment))
payment_signed = put("transaction.payment.signed", signed(payment, [17]))

def validator(name, key): return text(name) + acme + key


def possession(name, number):
    return sign(seed(number), tag("possession") + b"\xaa" * 32 + validator(name, keys[number]))


operations = [
    u8(0) + acme + single + b"\5" * 16 + text("Alice"),
    u8(1) + authority(3, [(keys[17], 2), (keys[18], 1), (keys[19], 1)], 1),
    u8(2) + text("USD") + text("US Dollar") + u8(2) + u128(10 ** 12) + u16(0b1001),
    u8(3) + usd + text("Dollar") + text("https://example.org/usd") + option(b"\xdd" * 32),
    u8(4) + usd + bob + u128(7),
    u8(5) + usd + alice + u128(8),
    u8(6) + usd + bob + b"\1" + option(None),
    u8(7) + usd + sequence([bob + u128(1) + option(None), alice + u128(2) + option(bytes(8))]),
    u8(8) + bob + u8(ASSET_MINT) + asset_scope + option(u128(100)) + option(u64(1_900_000_000_000)) + u8(1),
    u8(9) + bob + u8(READ_OWN) + account_scope,
    u8(10) + validator("n5", keys[5]) + put("possession.n5", possession("n5", 5)),
    u8(11) + text("n3"),
    u8(12) + text("n4") + keys[6] + put("possession.n4", possession("n4", 6)),
]
asserts = [at_least, b"\1" + alice + usd + u128(2 ** 128 - 1), b"\2" + u64(77), b"\3" + alice + u32(1)]
everything = put("transaction.everything",
                 transaction([action(o, bob if i % 2 else None) for i, o in enumerate(operations)], asserts, b"", b"", [17, 18]))
put("transaction.everything.id", digest(tag("transaction"), everything))
put("transaction.everything.signed", signed(everything, [17, 18]))

# Parameters, validators, the epoch context.
def parameters_of(epoch_length): return u64(3_600_000) + u64(500) + u64(60_000) + u64(epoch_length) + u32(4_194_304)


def context_of(epoch, anchor, anchor_outcome, parameters_hash):
    return digest(tag("epoch"), b"\xaa" * 32, big8(epoch), anchor, anchor_outcome, validators_hash, parameters_hash, big4(1))


parameters = put("parameters", parameters_of(2 ** 63 - 1))
parameters_hash = put("parameters.hash", digest(tag("parameters"), parameters))
members = put("validators", sequence([validator(f"n{n}", keys[n]) for n in (1, 2, 3, 4)]))
validators_hash = put("validators.hash", digest(tag("validators"), members))
context = put("epoch.context", context_of(0, b"\xaa" * 32, bytes(32), parameters_hash))

# An accusation: two Notarize votes of index 1 in view 9, for blocks 11… and 22….
def notarize(block):
    return u8(0) + u64(9) + block + u8(1) + sign(seed(2), tag("vote") + context + u8(1) + big8(9) + block)


identity = put("epoch.identity", b"\xaa" * 32 + u64(0) + b"\xaa" * 32 + bytes(32) + validators_hash + parameters_hash + u32(1))
accusation = put("accusation", identity + keys[2] + notarize(b"\x11" * 32) + notarize(b"\x22" * 32))
DOUBLE_NOTARIZE = u8(0)

# Bundles, blocks, outcomes.
bundle = put("bundle", u8(2) + u64(7) + sequence([payment_signed]) + sequence([accusation]))
bundle_id = put("bundle.id", in_parts(tag("bundle"), bundle))
payload = put("payload", sequence([bundle_id]))
payload_root = put("payload.root", digest(tag("payload"), payload))
put("payload.empty.root", digest(tag("payload"), sequence([])))


def header(view, height, parent_view, parent, time):
    return (b"\xaa" * 32 + u32(1) + u64(0) + u64(view) + u64(height) + u64(parent_view) + parent + u64(time)
            + u8(3) + payload_root)


# State keys and values.
nonce = bytes(range(16))
state = {
    "parameters": (u8(0), None, parameters),
    "validators": (u8(1) + u64(0), None, members),
    "organisation": (u8(2) + acme, None, text("ACME Bank") + alice),
    "account": (u8(3) + alice, None, acme + single + text("Alice") + u8(0)),
    "asset": (u8(4) + usd, None, text("USD") + text("US Dollar") + text("https://example.org/usd") + option(b"\xdd" * 32)
              + u8(2) + u128(10 ** 12) + u128(1_000) + u16(0b1001) + alice + u8(1)),
    "balance": (u8(5) + alice + usd, u8(1) + alice, u128(1_000) + u128(20) + u128(3)),
    "grant.chain": (u8(6) + alice + u8(ASSET_MINT) + chain_scope, u8(2) + alice,
                    option(None) + option(None) + u8(0) + bytes(32)),
    "grant.organisation": (u8(6) + alice + u8(ASSET_MINT) + org_scope, u8(2) + alice,
                           option(u128(100)) + option(u64(1_900_000_000_000)) + u8(1) + bob),
    "grant.asset": (u8(6) + alice + u8(ASSET_MINT) + asset_scope, u8(2) + alice,
                    option(None) + option(None) + u8(1) + bob),
    "grant.account": (u8(6) + alice + u8(READ_OWN) + account_scope, u8(2) + alice,
                      option(None) + option(None) + u8(0) + bob),
    "nonce": (u8(7) + alice + nonce, u8(3) + alice, payment_id + u64(5) + u64(1_800_000_000_000)),
    "unauthorised": (u8(8) + payment_id, None, payment_id + u64(5) + u64(1_800_000_000_000)),
    "evidence": (u8(9) + u64(0) + keys[2] + DOUBLE_NOTARIZE, u8(4), accusation + u64(6)),
}
leaves = {}
for name, (key, group, value) in state.items():
    put(f"state.{name}.key", key)
    group = put(f"state.{name}.group", b"\0" + key if group is None else group)
    path = put(f"state.{name}.path", path_of(group, key))
    put(f"state.{name}.value", value)
    leaves[name] = (path, put(f"state.{name}.value.hash", digest(STATE_VALUE, value)))

# The state tree over all of these, and proofs in it.
ordered = sorted(leaves.values())
put("tree.leaf", tree_leaf(*leaves["balance"]))
put("tree.inner", digest(TREE_INNER, big2(3), b"\1" * 32, b"\2" * 32))
state_root = put("tree.root", tree_root(ordered))
steps, _ = descend(ordered, leaves["balance"][0], 512)
put("proof.present", b"\0" + sequence(steps))


def absent(path):
    steps, below = descend(ordered, path, 512)
    return b"\1" + sequence(steps) + below[0][0] + below[0][1]


absent_key = u8(5) + bob + usd
put("proof.absent", absent(path_of(u8(1) + bob, absent_key)))
put("proof.empty", b"\2")
steps, below = descend(ordered, group_half(u8(2) + alice) + bytes(32), 256)
assert len(below) == 4
put("proof.group.present", b"\0" + sequence(steps))
steps, below = descend(ordered, group_half(u8(4)) + bytes(32), 256)
assert len(below) == 1
put("proof.group.evidence", b"\0" + sequence(steps))
put("proof.group.absent", absent(group_half(u8(2) + bob) + bytes(32)))

# Lists.
items = [digest(LIST_LEAF, bytes([number])) for number in range(7)]
for count in range(8):
    put(f"list.{count}.root", list_root(items[:count]))
put("list.7.proof.4", u64(7) + u64(4) + sequence(list_siblings(items, 4)))

# Receipts.
balance = u128(1_000) + u128(20) + u128(3)
events = [
    u8(0) + alice + acme,
    u8(1) + alice + u32(1),
    u8(2) + usd + alice,
    u8(3) + usd,
    u8(4) + usd + bob + u128(7),
    u8(5) + usd + alice + u128(8),
    u8(6) + usd + alice + bob + u128(500) + option(b"customer"),
    u8(7) + bob + u8(ASSET_MINT) + asset_scope + alice,
    u8(8) + bob + u8(READ_OWN) + account_scope,
    u8(9) + validator("n5", keys[5]) + u64(2),
    u8(10) + text("n3") + keys[3] + u64(2),
    u8(11) + text("n4") + keys[6] + u64(2),
]
receipt = put("receipt.committed", payment_id + b"\0" + sequence(events) + sequence([alice + usd + balance]))
INSUFFICIENT_FUNDS = 18
failed = put("receipt.failed", payment_id + b"\1" + u8(INSUFFICIENT_FUNDS) + option(u8(0)) + sequence([]) + sequence([]))
receipt_leaves = [put("receipt.committed.leaf", digest(LIST_LEAF, receipt)), put("receipt.failed.leaf", digest(LIST_LEAF, failed))]
receipts_root = put("receipts.root", list_root(receipt_leaves))
put("receipts.proof.1", u64(2) + u64(1) + sequence(list_siblings(receipt_leaves, 1)))

# Two blocks: the history of the second contains the first.
first = put("header.1", header(1, 1, 0, b"\xaa" * 32, 1_795_000_000_000))
first_id = put("header.1.id", digest(tag("block"), first))
first_outcome = put("outcome.1", state_root + list_root([]) + list_root([]) + validators_hash)
first_digest = put("outcome.1.digest", digest(tag("outcome"), first_outcome))
history = put("history.leaf", digest(tag("history"), big8(1), first_id, first_digest))
second = put("header.2", header(3, 2, 1, first_id, 1_795_000_000_700))
block = put("header.2.id", digest(tag("block"), second))
second_outcome = put("outcome.2", state_root + receipts_root + list_root([history]) + validators_hash)
outcome = put("outcome.2.digest", digest(tag("outcome"), second_outcome))
put("history.proof", u64(1) + u64(0) + sequence([]))

# Claims, votes, a certificate, a finality proof.
claims = {
    "notarize": (u8(0) + u64(3) + block, u8(1) + big8(3) + block),
    "nullify": (u8(1) + u64(3), u8(2) + big8(3)),
    "finalize": (u8(2) + u64(3) + block + outcome, u8(3) + big8(3) + block + outcome),
}
for name, (claim, message) in claims.items():
    put(f"claim.{name}", claim)
    put(f"claim.{name}.signed", tag("vote") + context + message)
    put(f"vote.{name}", claim + u8(1) + sign(seed(2), tag("vote") + context + message))
message = tag("vote") + context + claims["finalize"][1]
certificate = put("certificate", claims["finalize"][0] + u128(0b1011)
                  + sequence([sign(seed(index + 1), message) for index in (0, 1, 3)]))
put("finality", second + second_outcome + certificate)

# Where epochs have two blocks, the second one hands over to epoch 1.
short_hash = digest(tag("parameters"), parameters_of(2))
message = tag("vote") + context_of(0, b"\xaa" * 32, bytes(32), short_hash) + claims["finalize"][1]
certificate = claims["finalize"][0] + u128(0b1011) + sequence([sign(seed(index + 1), message) for index in (0, 1, 3)])
put("handover", second + second_outcome + certificate + members)
put("handover.epoch.context", context_of(1, block, outcome, short_hash))

# The genesis of genesis/tests/vectors/genesis.toml.
def genesis():
    zero = option(None) + option(None) + u8(1) + bytes(32)
    admin = account_id(authority(1, [(keys[17], 1)]))
    shared_id = account_id(shared, b"\7" * 16)
    genesis_usd = text("USD") + text("US Dollar") + text("") + option(None) + u8(2) + u128(100_000_000) + u128(100_001) + u16(1) + admin + u8(0)
    entries = [
        (u8(0), parameters),
        (u8(1) + u64(0), members),
        (u8(2) + acme, text("ACME Bank") + admin),
        (u8(3) + admin, acme + single + text("acme-admin") + u8(0)),
        (u8(3) + shared_id, acme + shared + text("treasury") + u8(0)),
        (u8(4) + usd, genesis_usd),
        (u8(5) + admin + usd, u128(100_000) + u128(0) + u128(0)),
        (u8(5) + shared_id + usd, u128(1) + u128(0) + u128(0)),
        (u8(6) + shared_id + u8(22) + chain_scope, zero),
        (u8(6) + shared_id + u8(28) + chain_scope, option(u128(5)) + option(u64(1_893_456_000_000)) + u8(0) + bytes(32)),
    ]
    entries += [(u8(6) + admin + u8(permission) + org_scope, zero) for permission in (0, 1, 5, 27)]
    entries += [(u8(6) + admin + u8(permission) + asset_scope, zero) for permission in (6, 7)]
    listed = sequence([key + blob(value) for key, value in sorted(entries)])
    return text("devnet") + text("qdev") + u64(1_795_176_000_000) + listed


founding = put("genesis", genesis())
put("genesis.hash", digest(tag("genesis"), founding))

if "--print" in sys.argv:
    print("# Golden vectors; the values behind the names are in docs/formats.md, section 18.")
    for name, value in found.items():
        print(f"{name} = {value}")
    sys.exit(0)
page = (HERE.parent / "formats.md").read_text()
rows = re.findall(r"^\| `([a-z0-9.]+)` \| `([a-z0-9]+)` \|$", page, re.M)
assert len(rows) > 50, "the table of section 18 is not where it was"
lines = (line.split(" = ") for line in FILE.read_text().splitlines() if line and not line.startswith("#"))
written = dict(lines)
for name, value in rows:
    if written.get(name) != value:
        written[name] = f"{value} in formats.md"
wrong = [name for name in sorted(found.keys() | written.keys()) if found.get(name) != written.get(name)]
print(f"{len(found) - len(wrong)} of {len(found)} vectors agree" + "".join(f"\n{name} differs" for name in wrong))
sys.exit(1 if wrong else 0)
