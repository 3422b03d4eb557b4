#!/usr/bin/env python3
"""Writes unicode_tables.cpp: what the `tokenizers` package says about every code point.

    pip install tokenizers==0.23.3; python make_unicode_tables.py > unicode_tables.cpp

The package draws on several libraries, each with its own version of Unicode (from 9 to 17), so that no single Unicode
database gives its answers. The tables are therefore asked from it, code point by code point. Where Lathe uses utf8proc
(normal forms, lower case) or PCRE2 (general categories) only the differences from these are written.
"""
import ctypes

from tokenizers import Regex, __version__, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Cf".split()


def ranges(code_points):
    result = []
    for c in sorted(code_points):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def chunks():
    for i in range(0, len(CODE_POINTS), 2048):
        yield CODE_POINTS[i : i + 2048]


def isolated_by(pre_tokenizer):
    """The code points that a pre-tokenizer puts alone between two letters."""
    found = set()
    for chunk in chunks():
        text = "a" + "a".join(map(chr, chunk)) + "a"
        found.update(ord(t) for t, _ in pre_tokenizer.pre_tokenize_str(text) if len(t) == 1)
    return found - {ord("a")}


def word():
    found = set()
    for chunk in chunks():
        text = " ".join("a" + chr(c) for c in chunk)
        pieces = pre_tokenizers.Whitespace().pre_tokenize_str(text)
        found.update(ord(t[1]) for t, _ in pieces if len(t) == 2 and t[0] == "a")
    return found


def removed_by(normalizer, code_points):
    return {c for c in code_points if normalizer.normalize_str("a" + chr(c)) == "a"}


class Utf8proc:
    STABLE, COMPAT, COMPOSE, DECOMPOSE = 2, 4, 8, 16

    def __init__(self):
        self.library = ctypes.CDLL("libutf8proc.so.2")
        self.library.utf8proc_tolower.restype = ctypes.c_int32
        self.library.utf8proc_map.restype = ctypes.c_ssize_t
        self.free = ctypes.CDLL(None).free

    def lower(self, c):
        return chr(self.library.utf8proc_tolower(c))

    def map(self, text, options):
        data, result = text.encode(), ctypes.c_void_p()
        size = self.library.utf8proc_map(data, ctypes.c_ssize_t(len(data)), ctypes.byref(result), options | self.STABLE)
        mapped = ctypes.string_at(result, size).decode()
        self.free(result)
        return mapped


def reorders(normalize, c):
    """Whether c moves across a mark of combining class 1, and a mark of class 240 across c: tells class 0 from others."""
    return normalize(chr(c) + "\u0334") != chr(c) + "\u0334", normalize("\u0345" + chr(c)) != "\u0345" + chr(c)


def unknown_to_normal_forms(utf8proc):
    """Code points that utf8proc decomposes, composes or reorders and the package passes through."""
    forms = [
        (normalizers.NFD(), utf8proc.DECOMPOSE),
        (normalizers.NFC(), utf8proc.COMPOSE),
        (normalizers.NFKD(), utf8proc.DECOMPOSE | utf8proc.COMPAT),
        (normalizers.NFKC(), utf8proc.COMPOSE | utf8proc.COMPAT),
    ]
    unknown = {0x11930}  # the second half of U+11938
    for c in CODE_POINTS[1:]:
        if any(n.normalize_str(chr(c)) != utf8proc.map(chr(c), options) for n, options in forms):
            unknown.add(c)
        elif reorders(normalizers.NFD().normalize_str, c) != reorders(
            lambda s: utf8proc.map(s, utf8proc.DECOMPOSE), c
        ):
            if normalizers.NFD().normalize_str(chr(c)) == chr(c):
                unknown.add(c)
    return unknown


def lower_case(utf8proc):
    """[first, last, difference to the lower case] where utf8proc says something else."""
    result = []
    for c in CODE_POINTS:
        lower = normalizers.Lowercase().normalize_str(chr(c))
        if lower == utf8proc.lower(c):
            continue
        if len(lower) != 1:
            assert c == 0x130, hex(c)  # has its own line in unicode.cpp
            continue
        delta = ord(lower) - c
        if result and result[-1][1] == c - 1 and result[-1][2] == delta:
            result[-1][1] = c
        else:
            result.append([c, c, delta])
    return result


def oniguruma_category(category):
    found = set()
    pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\p{%s}]" % category), "removed")
    for chunk in chunks():
        for piece, _ in pre_tokenizer.pre_tokenize_str("".join(map(chr, chunk))):
            found.update(map(ord, piece))
    return found


class Pcre2:
    UTF, UCP = 0x00080000, 0x00020000

    def __init__(self):
        self.library = ctypes.CDLL("libpcre2-8.so.0")
        for name in ("pcre2_compile_8", "pcre2_match_data_create_8", "pcre2_get_ovector_pointer_8"):
            getattr(self.library, name).restype = ctypes.c_void_p

    def category(self, category):
        error, offset = ctypes.c_int(), ctypes.c_size_t()
        pattern = (r"\p{%s}" % category).encode()
        code = self.library.pcre2_compile_8(
            pattern, ctypes.c_size_t(len(pattern)), self.UTF | self.UCP, ctypes.byref(error), ctypes.byref(offset), None
        )
        data = ctypes.c_void_p(self.library.pcre2_match_data_create_8(1, None))
        found = set()
        for c in CODE_POINTS:
            text = chr(c).encode()
            if self.library.pcre2_match_8(ctypes.c_void_p(code), text, ctypes.c_size_t(len(text)), ctypes.c_size_t(0), 0, data, None) > 0:
                found.add(c)
        return found


def write_ranges(name, code_points):
    items = ", ".join("{0x%x, 0x%x}" % tuple(r) for r in ranges(code_points))
    print(f"constexpr CodePointRange {name}[] = {{{items}}};\n")


def main():
    utf8proc, pcre2 = Utf8proc(), Pcre2()
    print(f"// Written by make_unicode_tables.py with tokenizers {__version__}, utf8proc 2.8 (Unicode 15), PCRE2 10.42 (14).")
    print('#include "tokenizer/unicode_tables.h"\n\nnamespace lathe::tokenizer {\n\nnamespace {\n')
    write_ranges("kWord", word())
    write_ranges("kNumeric", isolated_by(pre_tokenizers.Digits(individual_digits=True)))
    write_ranges("kPunctuation", isolated_by(pre_tokenizers.Punctuation("isolated")))
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    write_ranges("kBertControl", removed_by(clean, CODE_POINTS))
    strip = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    stable = [c for c in CODE_POINTS if normalizers.NFD().normalize_str(chr(c)) == chr(c)]
    write_ranges("kNonspacingMark", removed_by(strip, stable))
    write_ranges("kCombiningMark", removed_by(normalizers.StripAccents(), CODE_POINTS))
    write_ranges("kNoNormalForm", unknown_to_normal_forms(utf8proc))
    items = ", ".join("{0x%x, 0x%x, %d}" % tuple(r) for r in lower_case(utf8proc))
    print(f"constexpr LowerCaseRange kLowerCase[] = {{{items}}};\n")
    items = []
    for category in CATEGORIES:
        theirs, ours = oniguruma_category(category), pcre2.category(category)
        print(f"// {category}: {len(ours - theirs)} code points that only PCRE2 has.")
        items += ['{0x%x, 0x%x, "%s"}' % (a, b, category) for a, b in ranges(theirs - ours)]
    print(f"constexpr CategoryRange kCategoryAdditions[] = {{{', '.join(items)}}};\n")
    print("}  // namespace\n")
    for function, table, kind in [
        ("word_ranges", "kWord", "CodePointRange"),
        ("numeric_ranges", "kNumeric", "CodePointRange"),
        ("punctuation_ranges", "kPunctuation", "CodePointRange"),
        ("bert_control_ranges", "kBertControl", "CodePointRange"),
        ("nonspacing_mark_ranges", "kNonspacingMark", "CodePointRange"),
        ("combining_mark_ranges", "kCombiningMark", "CodePointRange"),
        ("no_normal_form_ranges", "kNoNormalForm", "CodePointRange"),
        ("lower_case_ranges", "kLowerCase", "LowerCaseRange"),
        ("category_additions", "kCategoryAdditions", "CategoryRange"),
    ]:
        print(f"std::span<const {kind}> {function}() {{ return {table}; }}")
    print("\n}  // namespace lathe::tokenizer")


if __name__ == "__main__":
    main()
