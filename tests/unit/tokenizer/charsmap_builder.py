"""Packs normalization rules as SentencePiece does: the size of a double array (Darts-clone layout), the array, the replacements."""
import struct


class _Builder:
    def __init__(self):
        self.units = {}
        self.used = {0}

    def place(self, labels, node):
        """An offset from `node` at which all labels are free. It must fit the unit's 21 bits or be a multiple of 256."""
        base = 1
        while True:
            offset = node ^ base
            slots = [base ^ label for label in labels]
            if offset < 1 << 21 and not any(slot in self.used for slot in slots) and base not in self.bases:
                return base, slots
            base += 1

    bases = frozenset()

    def build(self, keys):
        self.bases = set()
        self.insert(sorted(keys.items()), 0, 0)
        size = (max(self.units) | 0xFF) + 1
        return [self.units.get(i, 0) for i in range(size)]

    def insert(self, items, depth, node):
        children = {}
        leaf = None
        for key, value in items:
            if len(key) == depth:
                leaf = value
            else:
                children.setdefault(key[depth], []).append((key, value))
        labels = ([0] if leaf is not None else []) + sorted(children)
        base, slots = self.place(labels, node)
        self.bases.add(base)
        self.used.update(slots)
        unit = self.units.get(node, 0) | ((node ^ base) << 10)
        if leaf is not None:
            unit |= 1 << 8
            self.units[base] = leaf | (1 << 31)
        self.units[node] = unit
        for label in sorted(children):
            self.units[base ^ label] = label
        for label, group in sorted(children.items()):
            self.insert(group, depth + 1, base ^ label)


def build(rules):
    replacements, keys = b"", {}
    for source, target in rules.items():
        keys[source.encode()] = len(replacements)
        replacements += target.encode() + b"\0"
    units = _Builder().build(keys)
    data = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(data)) + data + replacements
