package nibble.checkpoint.vocabulary;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.source.ForeignPattern;
import nibble.checkpoint.source.ForeignPattern.EndlessException;
import nibble.checkpoint.source.ForeignPattern.Looks;
import nibble.checkpoint.vocabulary.PreTokenizer.Step;

/**
 * Cuts probes of text by a tokenizer.json's steps. Files write one way to cut in many ways: {@code (?i:'s|'t)} or
 * {@code '(?i:[st])}, a step {@code Digits} or an expression, quantifiers that give nothing back or ordinary ones. Ways
 * that cut all probes alike are taken for the same.
 *
 * <p>Probes are all texts of up to three letters of a choice that has each category and each letter which an
 * expression of a published file names, and longer ones drawn from them.
 */
final class TextCuts {
    private static final String[] LETTERS = {
        "a", "B", "s", "'", " ", "\n", "\r", "\t", "1", ".", "/", "-", "(", "|", "$", "_", "é", "Ж", "\u01c5", "\u02b0",
        "你", "\u0301", "\u00b2", "\u2167", "，", "\u3000", "\u00a0", "\u2028", "😀", "\u200d", "\u0378"
    };

    private static final String[] MORE = {
        "Z",
        "0",
        "9",
        "'S",
        "'t",
        "'RE",
        "'ve",
        "'m",
        "'LL",
        "'D",
        "\u2019s",
        "12",
        "123",
        "1234",
        "1234567",
        "\u0663",
        "\u00bd",
        "  ",
        "    ",
        "\n\n",
        "\r\n",
        "\u0085",
        "\u200b",
        "\ufeff",
        "!",
        "?",
        ",",
        ";",
        ":",
        "\"",
        "#",
        "%",
        "&",
        "*",
        "+",
        "<",
        "=",
        ">",
        "@",
        "[",
        "\\",
        "]",
        "^",
        "`",
        "{",
        "}",
        "~",
        ")",
        "…",
        "。",
        "、",
        "।",
        "۔",
        "،",
        "“",
        "”",
        "—",
        "「",
        "！",
        "～",
        "ß",
        "Д",
        "Α",
        "ω",
        "\u00aa",
        "\u0903",
        "ひ",
        "カ",
        "ー",
        "한",
        "ㄱ",
        "ㄅ",
        "ก",
        "\u0e31",
        "ا",
        "א",
        "अ",
        "က",
        "ក",
        "\ua9e0",
        "\uaa60",
        "ᄀ",
        "\uff76",
        "㐀",
        "豈",
        "\u2f00",
        "\u0800",
        "\u1c90",
        "\ua640",
        "Ａ",
        "\u017f",
        "\u212a",
        "\u212b",
        "𝔘",
        "𐐀",
        "\ud83c\udffb",
        "\ue000",
        "€",
        "©",
        "№",
        "word",
        "Word",
        "WORD",
        "aB",
        "<sentinel:1>",
        "IMGIMGABZ"
    };

    /** Letters of all probes together; two known expressions need less than a fifth. */
    private static final long MAX_LOOKS = 100_000_000;

    private TextCuts() {}

    /** Every known way that cuts as these steps do, in the order of the table; none where a step is not understood. */
    static List<PreTokenizer> alike(List<Step> steps) {
        Optional<List<ForeignPattern>> found = compiled(steps);
        if (found.isEmpty()) {
            return List.of();
        }
        List<String> probes = probes();
        Map<List<Step>, Boolean> same = new LinkedHashMap<>();
        return KnownCuts.all().stream()
                .filter(way -> List.of(way.steps(), KnownCuts.published(way)).stream()
                        .anyMatch(known -> same.computeIfAbsent(known, _ -> same(known, steps, found.get(), probes))))
                .toList();
    }

    private static boolean same(
            List<Step> known, List<Step> steps, List<ForeignPattern> patterns, List<String> probes) {
        List<ForeignPattern> own = compiled(known).orElse(List.of());
        Looks looks = new Looks(MAX_LOOKS);
        try {
            return !own.isEmpty()
                    && probes.stream()
                            .allMatch(text -> cut(known, own, text, looks).equals(cut(steps, patterns, text, looks)));
        } catch (StackOverflowError | EndlessException e) {
            // An expression that nests too deeply, or tries too many ways, is none of those that are known.
            return false;
        }
    }

    /** An expression for each step; it is that of a word for bytes, whether text is cut into words or not. */
    private static Optional<List<ForeignPattern>> compiled(List<Step> steps) {
        List<ForeignPattern> patterns = new ArrayList<>();
        for (Step step : steps) {
            String expression = switch (step) {
                case Step.Split(String own) -> own;
                case Step.Digits(boolean single) -> single ? "\\p{N}" : "\\p{N}+";
                case Step.Bytes _ -> KnownCuts.GPT_2;
            };
            Optional<ForeignPattern> pattern = ForeignPattern.compile(expression, Pattern.UNICODE_CHARACTER_CLASS);
            if (pattern.isEmpty()) {
                return Optional.empty();
            }
            patterns.add(pattern.get());
        }
        return Optional.of(patterns);
    }

    /** The pieces of a text, in the letters of {@link ByteAlphabet}. */
    private static List<String> cut(List<Step> steps, List<ForeignPattern> patterns, String text, Looks looks) {
        List<String> pieces = List.of(text);
        boolean letters = false;
        for (int i = 0; i < steps.size(); i++) {
            if (!(steps.get(i) instanceof Step.Bytes(boolean words)) || words) {
                pieces = cut(patterns.get(i), pieces, looks);
            }
            if (steps.get(i) instanceof Step.Bytes && !letters) {
                pieces = inLetters(pieces);
                letters = true;
            }
        }
        return letters ? pieces : inLetters(pieces);
    }

    private static List<String> inLetters(List<String> pieces) {
        return pieces.stream()
                .map(piece -> ByteAlphabet.of(piece.getBytes(StandardCharsets.UTF_8)))
                .toList();
    }

    private static List<String> cut(ForeignPattern pattern, List<String> pieces, Looks looks) {
        List<String> cut = new ArrayList<>();
        for (String piece : pieces) {
            int begin = 0;
            Matcher matcher = pattern.matcher(piece, looks);
            while (matcher.find()) {
                add(cut, piece, begin, matcher.start());
                add(cut, piece, matcher.start(), matcher.end());
                begin = matcher.end();
            }
            add(cut, piece, begin, piece.length());
        }
        return cut;
    }

    private static void add(List<String> cut, String piece, int begin, int end) {
        if (begin < end) {
            cut.add(piece.substring(begin, end));
        }
    }

    private static List<String> probes() {
        List<String> probes = new ArrayList<>();
        List<String> all = new ArrayList<>(Arrays.asList(LETTERS));
        all.addAll(Arrays.asList(MORE));
        // Longer ones first: they find a difference soon.
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < 4000; i++) {
            StringBuilder text = new StringBuilder();
            for (int length = random.nextInt(3, 12); length > 0; length--) {
                text.append(all.get(random.nextInt(all.size())));
            }
            probes.add(text.toString());
        }
        for (int run : new int[] {2, 3, 7, 8, 15, 16, 31, 33, 63, 64, 100, 128, 255, 256, 300, 511, 513}) {
            probes.add(" ".repeat(run));
            probes.add("a" + " ".repeat(run) + "b");
            probes.add("\n".repeat(run) + "a");
            probes.add("1".repeat(run) + ".");
        }
        for (String first : all) {
            for (String second : all) {
                probes.add(first + second);
            }
        }
        for (String first : LETTERS) {
            for (String second : LETTERS) {
                for (String third : LETTERS) {
                    probes.add(first + second + third);
                }
            }
        }
        return probes;
    }
}
