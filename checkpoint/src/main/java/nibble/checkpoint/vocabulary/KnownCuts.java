package nibble.checkpoint.vocabulary;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.checkpoint.vocabulary.PreTokenizer.Step;

/**
 * Lists the ways to cut text that llama.cpp has a name for. An expression is the one that published files have; where
 * llama.cpp has another, the note beside it says so.
 */
final class KnownCuts {
    private static final SequencedMap<String, PreTokenizer> BY_NAME = new LinkedHashMap<>();

    /** What the published tokenizer.json of a name says, where llama.cpp does otherwise. */
    private static final Map<String, List<Step>> PUBLISHED = new HashMap<>();

    private static final String CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private static final String WORD = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
    private static final String SYMBOLS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
    private static final String SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    private static final String LLAMA_3 = CONTRACTIONS + "|" + WORD + "|\\p{N}{1,3}|" + SYMBOLS + "|" + SPACES;
    private static final String QWEN_2 = CONTRACTIONS + "|" + WORD + "|\\p{N}|" + SYMBOLS + "|" + SPACES;
    private static final String UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
    private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
    private static final String LOWER_ENDS = "[^\\r\\n\\p{L}\\p{N}]?" + UPPER + "*" + LOWER + "+";
    private static final String UPPER_BEGINS = "[^\\r\\n\\p{L}\\p{N}]?" + UPPER + "+" + LOWER + "*";
    private static final String SYMBOLS_SLASH = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*";
    private static final String TEKKEN = LOWER_ENDS + "|" + UPPER_BEGINS + "|\\p{N}|" + SYMBOLS_SLASH + "|" + SPACES;
    private static final String GPT_4O = LOWER_ENDS + CONTRACTIONS + "?|" + UPPER_BEGINS + CONTRACTIONS
            + "?|\\p{N}{1,3}|" + SYMBOLS_SLASH + "|" + SPACES;
    static final String GPT_2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    private static final String PUNCTUATION_OR_WORD = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
            + "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+";
    private static final String CJK = "[一-龥぀-ゟ゠-ヿ]+";
    private static final String NO_PUNCTUATION = " ?[^(\\s|.,!?…。，、।۔،)]+";
    private static final String DEEPSEEK_LETTERS =
            "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ"
                    + "Ἐ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ"
                    + "\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤ"
                    + "Ⳬ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
                    + "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
    private static final String DEEPSEEK_CJK = "[一-龥ࠀ-一가-퟿]+";
    private static final Step WORDS = new Step.Bytes(true);
    private static final Step DIGITS = new Step.Digits(true);

    private static final String SCRIPTS = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+";
    private static final String ASIAN =
            "[一-鿿㐀-䶿豈-\ufaff\u3040-ゟ゠-ヿ･-\uff9f" + "⼀-\u2fdfเ-\u0e7f\u0e80-\u0effក-\u17ffက-႟ꩠ-ꩿꧠ-\ua9ff가-\ud7afᄀ-ᇿ]+";

    static {
        // The first name of a way is the one that is written. A name's place does not matter otherwise.
        put(
                List.of(WORDS),
                "gpt-2",
                "phi-2",
                "mpt",
                "jais",
                "trillion",
                "granite-docling",
                "gigachat",
                "a.x-4.0",
                "mellum",
                "modern-bert",
                "exaone4",
                "jina-es",
                "jina-de",
                "jina-v2-es",
                "jina-v2-de");
        put(List.of(DIGITS, WORDS), "smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2");
        // llama.cpp does not compose characters; the published files of these do.
        putComposed(List.of(WORDS), "olmo");
        putComposed(List.of(DIGITS, WORDS), "command-r");
        putComposed(splits(QWEN_2), "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez");
        put(
                splits(CONTRACTIONS
                        + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
                        + SPACES),
                "qwen35");
        put(splits(QWEN_2), "stablelm2", "hunyuan", "solar-open", "grok-2");
        putWhole(
                splits(LLAMA_3),
                true,
                "llama-bpe",
                "llama3",
                "llama-v3",
                "falcon3",
                "falcon-h1",
                "pixtral",
                "midm-2.0",
                "lfm2",
                "jina-v5-nano");
        put(splits(LLAMA_3), "dbrx", "smaug-bpe", "glm4", "chatglm-bpe");
        // llama.cpp approximates the letters of these by small and capital ones of ASCII.
        putWhole(splits(TEKKEN), true, "tekken");
        put(splits(GPT_4O), "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2");
        put(splits("\\d{1,3}(?=(?:\\d{3})*\\b)", GPT_4O), "tiny_aya", "cohere2moe");
        putWhole(
                splits(
                        SCRIPTS,
                        LOWER_ENDS + CONTRACTIONS + "?|" + UPPER_BEGINS + CONTRACTIONS + "?|\\p{N}|" + SYMBOLS_SLASH
                                + "|" + SPACES),
                false,
                "youtu");
        put(
                splits("\\p{N}{1,3}", CJK, PUNCTUATION_OR_WORD + "[\\r\\n]*|" + SPACES),
                "deepseek-v3",
                "hunyuan-dense",
                "joyai-llm",
                "hy_v4");
        put(splits("\\p{N}{1,3}", CJK, PUNCTUATION_OR_WORD + "|[\\r\\n]|\\s+(?!\\S)|\\s+", "\\p{N}"), "spark2_5");
        // llama.cpp counts the digits itself: groups of three from the right.
        put(
                splits("\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))", ASIAN, PUNCTUATION_OR_WORD + "[\\r\\n]*|" + SPACES),
                "afmoe");
        // llama.cpp takes runs of digits, the published tokenizer.json single ones. Its merges join no digits.
        put(deepseekLlm(new Step.Split("\\p{N}+")), "deepseek-llm");
        PUBLISHED.put("deepseek-llm", deepseekLlm(DIGITS));
        put(
                List.of(
                        new Step.Split("[\\r\\n]"),
                        new Step.Split("\\s?\\p{L}+"),
                        new Step.Split("\\s?\\p{P}+"),
                        new Step.Split(DEEPSEEK_CJK),
                        DIGITS,
                        new Step.Bytes(false)),
                "deepseek-coder");
        put(splits("[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT_2, "[0-9][0-9][0-9]"), "falcon");
        put(splits("[\\p{P}\\$\\+<=>\\^~\\|]+", GPT_2, "\\p{N}+", "[0-9][0-9][0-9]"), "default");
        put(splits(WORD + "|\\p{N}|" + SYMBOLS + "|" + SPACES), "ufakzeka");
        put(splits(CONTRACTIONS + "|" + WORD + "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" + SPACES), "seed-coder");
        put(
                splits("'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
                        + "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"),
                "bailingmoe",
                "bailingmoe2",
                "llada-moe");
        put(
                splits(CONTRACTIONS + "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}"
                        + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"),
                "exaone-moe");
        put(
                splits(CONTRACTIONS + "|" + WORD + "|\\p{N}{1,3}|" + SYMBOLS + "|\\s*[\\r\\n]+|" + runsOfSpaces()),
                "jais-2");
        put(splits("[^\\n]+|[\\n]+", QWEN_2), "laguna");
        put(splits("\\p{N}+", "(?=(\\d{3})+(?!\\d))"), "superbpe");
        put(splits(NO_PUNCTUATION), "bloom", "poro-chat", "gpt3-finnish");
        put(splits(NO_PUNCTUATION, "\\p{N}"), "viking");
        BY_NAME.put(
                "chameleon",
                new PreTokenizer(
                        "chameleon",
                        splits(
                                "<sentinel:[0-9]+>",
                                "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
                                "([\\t\\n]|    |  )",
                                "\\p{N}",
                                "[\\p{P}!-/:-@\\[-`{-~]",
                                GPT_2),
                        false,
                        true,
                        false));
        putWhole(
                splits("\\p{N}{1,3}", CONTRACTIONS + "|" + WORD + "|\\p{N}+|" + SYMBOLS + "|" + SPACES),
                false,
                "minicpm5");
    }

    private KnownCuts() {}

    private static List<Step> deepseekLlm(Step digits) {
        return List.of(
                new Step.Split("[\\r\\n]"),
                new Step.Split(DEEPSEEK_LETTERS),
                new Step.Split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"),
                new Step.Split("\\s+$"),
                new Step.Split(DEEPSEEK_CJK),
                digits,
                new Step.Bytes(false));
    }

    /** Runs of 512, 256, … spaces before another one, as one alternative each. */
    private static String runsOfSpaces() {
        StringBuilder runs = new StringBuilder();
        for (int length = 512; length >= 4; length /= 2) {
            runs.append("\\s{").append(length).append("}(?!\\S)|");
        }
        return runs + "\\s{1,2}(?!\\S)|\\s{1}";
    }

    private static void put(List<Step> steps, String... names) {
        for (String name : names) {
            BY_NAME.put(name, new PreTokenizer(name, steps, false, false, false));
        }
    }

    private static void putComposed(List<Step> steps, String... names) {
        for (String name : names) {
            BY_NAME.put(name, new PreTokenizer(name, steps, false, false, true));
        }
    }

    private static void putWhole(List<Step> steps, boolean bos, String... names) {
        for (String name : names) {
            BY_NAME.put(name, new PreTokenizer(name, steps, true, bos, false));
        }
    }

    /** Every way, in an order in which the first name of several is the one to write. */
    static Collection<PreTokenizer> all() {
        return Collections.unmodifiableCollection(BY_NAME.values());
    }

    static Optional<PreTokenizer> named(String name) {
        return Optional.ofNullable(BY_NAME.get(name));
    }

    /** The cuts of a way's published tokenizer.json. */
    static List<Step> published(PreTokenizer way) {
        return PUBLISHED.getOrDefault(way.name(), way.steps());
    }

    static List<Step> splits(String... expressions) {
        List<Step> steps = new ArrayList<>();
        for (String expression : expressions) {
            steps.add(new Step.Split(expression));
        }
        steps.add(new Step.Bytes(false));
        return steps;
    }
}
