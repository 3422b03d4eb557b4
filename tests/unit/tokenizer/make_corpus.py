#!/usr/bin/env python3
"""Makes the texts on which the tokenizers are compared: the same ones at each run.

records() gives bytes, some of them broken UTF-8. write(path) packs them: a little-endian uint32 length before each.
"""
import gzip
import random
import struct

SENTENCES = [
    "The scale of each block is kept in eight bits, and that's why it fits.",
    "I'll say it once: we've measured, they're wrong, you'd lose, she's right, I'm done, don't ask.",
    "HE'S LATE, THEY'RE GONE, WE'VE LEFT, I'LL STAY, I'M HERE, CAN'T COME, YOU'D KNOW",
    "It’s typeset with curly quotes: “we’ll see”, ‘they’re’, ‘I’d’.",
    "Größe, Straße, Übermut und Fußgängerübergänge gehören zusammen.",
    "Le cœur a ses élèves, où l’été naît déjà; ça suffit.",
    "El niño soñó con pingüinos ¿y tú? ¡Qué sueño!",
    "Zażółć gęślą jaźń, a potem idź spać.",
    "Příliš žluťoučký kůň jde domů.",
    "İstanbul'da IŞIK yandı, ılık bir gün.",
    "Быстрая лиса прыгает через ленивую собаку, ёлки зелёные.",
    "Η γρήγορη αλεπού τρέχει στο δάσος, ΟΔΥΣΣΕΥΣ ΣΟΦΟΣ.",
    "השועל המהיר קופץ מעל הכלב העצלן, שָׁלוֹם עוֹלָם.",
    "الثعلب السريع يقفز فوق الكلب، السَّلامُ عَلَيْكُم ١٢٣٤.",
    "तेज़ लोमड़ी आलसी कुत्ते पर कूदती है, क्षत्रिय ज्ञान श्री ४५६।",
    "দ্রুত শিয়াল অলস কুকুরের উপর লাফ দেয়, ৭৮৯।",
    "வேகமான நரி சோம்பேறி நாயின் மேல் குதிக்கிறது.",
    "ไวกว่าสุนัขจิ้งจอกกระโดดข้ามหมาขี้เกียจ ๑๒๓",
    "ລາວເວົ້າພາສາລາວ ໑໒໓",
    "ကျွန်တော် မြန်မာစကား ပြောတယ်။",
    "ភាសាខ្មែរ ពិបាក ១២៣",
    "敏捷的棕色狐狸跳过了懒狗。今天是二〇二六年，温度３６．５度。",
    "素早い茶色の狐がのろまな犬を飛び越える。カタカナとｶﾅ、々〆ヶー。",
    "빠른 갈색 여우가 게으른 개를 뛰어넘는다. 한글 자모 ㄱㄴㄷ.",
    "სწრაფი მელა ზარმაც ძაღლს ახტება, ᲡᲬᲠᲐᲤᲘ.",
    "Արագ աղվեսը ցատկում է ծույլ շան վրայով։",
    "ፈጣኑ ቀበሮ ሰነፍ ውሻ ላይ ዘለለ።",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ, ꮳꮃꭹ",
    "ᠮᠣᠩᠭᠣᠯ᠎ᠠ ᠬᠡᠯᠡ",
    "བོད་སྐད་ ཡིག་གཟུགས།",
]
CODE = [
    "def f(x: int = 3, *args, **kw) -> None:\n\treturn {'a': [1, 2.5e-3, 0xFF], \"b\": x ** 2}\n",
    "for (int i = 0; i < n; ++i) {\n    sum += a[i] * b[i];  // dot\n}\n",
    "#include <vector>\ntemplate <typename T>\nstd::vector<T> f(T&& t) { return {std::forward<T>(t)}; }\r\n",
    "SELECT name, COUNT(*) FROM t WHERE x >= 10 AND y != 'it''s' GROUP BY 1;",
    "<div class=\"a b\" data-x='1'>&nbsp;&amp;text</div><!-- c -->",
    "$ find . -name '*.cpp' | xargs grep -n 'TODO' 2>/dev/null && echo $?",
    "{\"key\": [null, true, -1.0e+10, \"\\u00e9\\n\"], \"k2\": {}}",
    "x = ~(a & b) ^ (c | d) << 2 >> 1; y -= -1; z //= 3 % 2",
    "https://example.org:8080/path/to/file-1.2.3.tar.gz?q=a%20b&x=1#frag user@example.org",
    "    if x:\n        y\n    else:\n            z\n\n\n\n  end",
]
EMOJI = [
    "👨‍👩‍👧‍👦", "👩🏽‍🚀", "🏳️‍🌈", "🇫🇷🇩🇪🇯", "❤️", "☎︎", "1️⃣", "🤷🏿‍♂️", "🫠", "🪿", "😀😃😄", "🧑‍🤝‍🧑", "©️", "〰️", "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u2003", "\u200b", "\u3000", "\ufeff", "\u2028",
          "\u2029", "\u180e", "\u1680", "\u202f", "\x0b", "\x0c", "\x85", "\u200d", "\u200c", "\u2060", "\xad", "\u200e"]
SPECIAL = ["<|endoftext|>", "<s>", "</s>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "<|im_start|>", "<|im_end|>",
           "<pad>", "<|begin_of_text|>", "<0x0A>", "<tool_call>", "▁", "Ġ", "##ing", "[INST]", "<mask>", "newtok", "NewTok"]
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x00, 0xFF), (0xA0, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x52F), (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x7FF), (0x800, 0x8FF), (0x900, 0x97F),
    (0x980, 0xDFF), (0xE00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x13FF), (0x1400, 0x16FF),
    (0x1700, 0x18AF), (0x1900, 0x1CFF), (0x1D00, 0x1DFF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x20FF),
    (0x2100, 0x214F), (0x2150, 0x23FF), (0x2460, 0x24FF), (0x2500, 0x27BF), (0x27C0, 0x2BFF), (0x2C00, 0x2DFF), (0x2E00, 0x2E7F),
    (0x2E80, 0x2FFF), (0x3000, 0x30FF), (0x3100, 0x33FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xA4D0, 0xABFF),
    (0xAC00, 0xD7FF), (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFE6F), (0xFE70, 0xFEFF), (0xFF00, 0xFFFF),
    (0x10000, 0x105FF), (0x10600, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x12FFF), (0x13000, 0x147FF), (0x16800, 0x18CFF),
    (0x1B000, 0x1BCFF), (0x1CC00, 0x1D7FF), (0x1D800, 0x1EFFF), (0x1F000, 0x1FAFF), (0x1FB00, 0x1FBFF), (0x20000, 0x2FA1F),
    (0x30000, 0x323AF), (0xE0000, 0xE01EF), (0x10FF00, 0x10FFFF),
]
BROKEN = [b"\x80", b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xe0\x80\x80",
          b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc", b"\xef\xbf\xbe", b"\xf1\x80\x80"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def character(self, low, high):
        while True:
            c = self.random.randint(low, high)
            if not 0xD800 <= c < 0xE000:
                return chr(c)

    def script_text(self):
        low, high = self.random.choice(RANGES)
        words = []
        for _ in range(self.random.randint(1, 6)):
            words.append("".join(self.character(low, high) for _ in range(self.random.randint(1, 8))))
        return self.random.choice([" ", " ", "", "-", "\n"]).join(words)

    def marks(self):
        """Letters with combining marks in any order, also before the first letter."""
        text = self.random.choice(["", "\u0301", " "])
        for _ in range(self.random.randint(1, 8)):
            text += self.random.choice("aeiouAEOnNsSçÇgZ가क𝒜ａΩ")
            for _ in range(self.random.randint(0, 3)):
                text += chr(self.random.choice([0x301, 0x300, 0x327, 0x323, 0x308, 0x345, 0x334, 0x316, 0x5B0, 0x93C, 0x94D, 0x11A8, 0x3099]))
        return text

    def number(self):
        kind = self.random.randint(0, 5)
        digits = "".join(self.random.choice("0123456789") for _ in range(self.random.randint(1, 20)))
        if kind == 0:
            return digits
        if kind == 1:
            return f"{digits[:3]},{digits[3:]}.{digits[:2]}%"
        if kind == 2:
            return f"-{digits[:2]}e+{digits[:3]}"
        if kind == 3:
            return "".join(chr(self.random.choice([0x660, 0x966, 0xFF10, 0x1D7D8]) + int(d)) for d in digits)
        if kind == 4:
            return "".join(self.random.choice("Ⅷ½¾²³①㉑ⅻ๑௧") for _ in range(3)) + digits[:4]
        return f"v{digits[0]}.{digits[:2]}-rc{digits[:1]}"

    def mixed(self):
        parts = []
        for _ in range(self.random.randint(2, 7)):
            pick = self.random.choice([self.sentence_part, self.script_text, self.number, self.marks,
                                       lambda: self.random.choice(EMOJI), lambda: self.random.choice(SPECIAL),
                                       lambda: self.random.choice(SPACES) * self.random.randint(1, 4)])
            parts.append(pick())
        return self.random.choice(["", " "]).join(parts)

    def sentence_part(self):
        words = self.random.choice(SENTENCES).split(" ")
        start = self.random.randrange(len(words))
        text = " ".join(words[start : start + self.random.randint(1, 5)])
        return self.random.choice([text, text, text, text.upper(), text.title(), text.lower()])

    def spaces(self):
        return "".join(self.random.choice(SPACES + ["a", "b.", "1", "'s", "Z"]) for _ in range(self.random.randint(1, 12)))

    def code(self):
        text = self.random.choice(CODE)
        start = self.random.randrange(len(text) // 2)
        return text[start : start + self.random.randint(3, 60)]

    def long_word(self):
        unit = self.random.choice(["a", "ab", "=", "-_", "é", "漢", "👍", "ना", "xyz0", "."])
        return unit * self.random.randint(20, 150)

    def broken(self):
        data = b""
        for _ in range(self.random.randint(1, 5)):
            data += self.random.choice(BROKEN) + self.random.choice([self.sentence_part, self.script_text])().encode()[: self.random.randint(0, 12)]
        return data

    def around_special(self):
        text = ""
        for _ in range(self.random.randint(1, 5)):
            text += self.random.choice(["", " ", "  ", "\n", "a", "b ", " é", "."]) + self.random.choice(SPECIAL)
        return text + self.random.choice(["", " ", " x", "x"])

    def any_code_points(self):
        return "".join(self.character(0, 0x323AF) for _ in range(self.random.randint(1, 6)))


KINDS = [("sentence_part", 4), ("script_text", 6), ("marks", 3), ("number", 2), ("mixed", 6), ("spaces", 2), ("code", 3), ("long_word", 1),
         ("broken", 2), ("around_special", 2), ("any_code_points", 2)]


def records(count=23500):
    maker = Maker(20260101)
    result = [b"", b" ", b"  ", b"\n", b"a", b" a", b"\x00", b"\xff"]
    result += [s.encode() for s in SENTENCES + CODE + EMOJI + SPACES + SPECIAL] + BROKEN
    names = [name for name, weight in KINDS for _ in range(weight)]
    while len(result) < count:
        text = getattr(maker, maker.random.choice(names))()
        result.append(text if isinstance(text, bytes) else text.encode())
    return result


def write(path):
    data = b"".join(struct.pack("<I", len(r)) + r for r in records())
    with open(path, "wb") as file:
        file.write(gzip.compress(data, 9, mtime=0))
    return len(data)


if __name__ == "__main__":
    import sys

    print(write(sys.argv[1]), "bytes before compression")
