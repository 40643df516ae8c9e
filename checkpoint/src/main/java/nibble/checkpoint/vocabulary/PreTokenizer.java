package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * Names how a byte-level vocabulary cuts text before merging, by GGUF's name ({@code tokenizer.ggml.pre}) and as a
 * tokenizer.json says it. What llama.cpp assumes of a name is a property of it: {@link #wholeWords} and {@link #bos}.
 *
 * @param name GGUF's
 * @param steps each cuts what the one before it left whole
 * @param wholeWords whether a word that is a token is taken as that token whatever its merges
 * @param bos whether a BOS leads where the file does not say
 * @param composed whether text is brought to Unicode's composed form first
 */
public record PreTokenizer(String name, List<Step> steps, boolean wholeWords, boolean bos, boolean composed) {
    /** One cut. */
    sealed interface Step {
        /** Lets matches stand alone. */
        record Split(String expression) implements Step {}

        /** Lets digits stand alone, each by itself or runs of them. */
        record Digits(boolean single) implements Step {}

        /** Turns bytes into letters; with {@code words}, after GPT-2's own cut into words. */
        record Bytes(boolean words) implements Step {}
    }

    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
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
    private static final String GPT_2 =
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    private static final String PUNCTUATION_OR_WORD = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r"
            + "\\n"
            + "\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+";
    private static final String CJK = "[一-龥぀-ゟ゠-ヿ]+";
    private static final String NO_PUNCTUATION = " ?[^(\\s|.,!?…。，、।۔،)]+";
    private static final String DEEPSEEK_LETTERS =
            "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ"
                + "\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
                + "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
    private static final String DEEPSEEK_CJK = "[一-龥ࠀ-一가-퟿]+";
    private static final Step WORDS = new Step.Bytes(true);
    private static final Step DIGITS = new Step.Digits(true);

    static {
        // The first name of a way is the one that is written. A name's place does not matter otherwise.
        put(
                List.of(WORDS),
                "gpt-2",
                "phi-2",
                "mpt",
                "olmo",
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
        put(
                List.of(DIGITS, WORDS),
                "smollm",
                "starcoder",
                "refact",
                "command-r",
                "codeshell",
                "exaone",
                "minerva-7b",
                "mellum2");
        for (String name : List.of(
                "llama-bpe",
                "llama3",
                "llama-v3",
                "falcon3",
                "falcon-h1",
                "pixtral",
                "midm-2.0",
                "lfm2",
                "jina-v5-nano")) {
            BY_NAME.put(name, new PreTokenizer(name, splits(LLAMA_3), true, true, false));
        }
        put(splits(LLAMA_3), "dbrx", "smaug-bpe", "glm4", "chatglm-bpe");
        for (String name : List.of("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez")) {
            BY_NAME.put(name, new PreTokenizer(name, splits(QWEN_2), false, false, true));
        }
        put(splits(QWEN_2), "stablelm2", "hunyuan", "solar-open", "grok-2");
        put(
                splits(CONTRACTIONS
                        + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
                        + SPACES),
                "qwen35");
        BY_NAME.put("tekken", new PreTokenizer("tekken", splits(TEKKEN), true, true, false));
        put(splits(GPT_4O), "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2");
        put(
                splits("\\p{N}{1,3}", CJK, PUNCTUATION_OR_WORD + "[\\r\\n]*|" + SPACES),
                "deepseek-v3",
                "hunyuan-dense",
                "joyai-llm",
                "hy_v4");
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
                splits("'(?i:[sdmt]|ll|ve|re)|[^\\r"
                        + "\\n"
                        + "\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r"
                        + "\\n"
                        + "]*|\\s*[\\r"
                        + "\\n"
                        + "]|\\s+(?!\\S)|\\s+"),
                "bailingmoe",
                "bailingmoe2",
                "llada-moe");
        put(splits(NO_PUNCTUATION), "bloom", "poro-chat", "gpt3-finnish");
        put(splits(NO_PUNCTUATION, "\\p{N}"), "viking");
        BY_NAME.put(
                "minicpm5",
                new PreTokenizer(
                        "minicpm5",
                        splits("\\p{N}{1,3}", CONTRACTIONS + "|" + WORD + "|\\p{N}+|" + SYMBOLS + "|" + SPACES),
                        true,
                        false,
                        false));
    }

    public PreTokenizer {
        steps = List.copyOf(steps);
    }

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

    private static void put(List<Step> steps, String... names) {
        for (String name : names) {
            BY_NAME.put(name, new PreTokenizer(name, steps, false, false, false));
        }
    }

    private static List<Step> splits(String... expressions) {
        List<Step> steps = new ArrayList<>();
        for (String expression : expressions) {
            steps.add(new Step.Split(expression));
        }
        steps.add(new Step.Bytes(false));
        return steps;
    }

    /** A way that a file gives the expression of, and that GGUF may have no name for. */
    static PreTokenizer splitting(String expression) {
        return new PreTokenizer("", splits(expression), true, true, false);
    }

    /** GGUF's names of the ways known here. */
    static List<String> names() {
        return BY_NAME.keySet().stream().sorted().toList();
    }

    static Optional<PreTokenizer> named(String name) {
        return Optional.ofNullable(BY_NAME.get(name));
    }

    /** Returns the way of a tokenizer.json, if GGUF has a name for it. */
    public static Optional<PreTokenizer> of(JsonNode tokenizer) {
        List<Step> steps = stepsOf(tokenizer.path("pre_tokenizer"));
        boolean wholeWords = tokenizer.at("/model/ignore_merges").asBoolean(false);
        boolean composed = tokenizer.path("normalizer").toString().contains("\"NFC\"");
        List<PreTokenizer> alike = BY_NAME.values().stream()
                .filter(way ->
                        sameCut(way.steps(), steps) || sameCut(PUBLISHED.getOrDefault(way.name(), way.steps()), steps))
                .toList();
        return alike.stream()
                .filter(way -> way.wholeWords() == wholeWords && way.composed() == composed)
                .findFirst()
                .or(() -> alike.stream()
                        .filter(way -> way.wholeWords() == wholeWords)
                        .findFirst());
    }

    /** Files write line ends and bytes of an expression both literally and as escapes. */
    private static boolean sameCut(List<Step> known, List<Step> found) {
        return known.stream()
                .map(PreTokenizer::canonical)
                .toList()
                .equals(found.stream().map(PreTokenizer::canonical).toList());
    }

    private static Step canonical(Step step) {
        return step instanceof Step.Split(String expression)
                ? new Step.Split(expression.replace("\\r", "\r").replace("\\n", "\n"))
                : step;
    }

    /** Describes a tokenizer.json in words, for a message. */
    public static String describe(JsonNode tokenizer) {
        return String.valueOf(tokenizer.path("pre_tokenizer"));
    }

    private static List<Step> stepsOf(JsonNode before) {
        List<Step> steps = new ArrayList<>();
        Iterable<JsonNode> parts =
                before.path("type").asText().equals("Sequence") ? before.path("pretokenizers") : List.of(before);
        for (JsonNode part : parts) {
            switch (part.path("type").asText()) {
                case "Split" -> {
                    boolean alone = part.path("behavior").asText().equals("Isolated")
                            || part.path("behavior").asText().equals("Removed")
                                    && part.path("invert").asBoolean();
                    String expression = part.at("/pattern/Regex")
                            .asText(part.at("/pattern/String").asText());
                    steps.add(new Step.Split(alone ? expression : part.toString()));
                }
                case "Digits" ->
                    steps.add(new Step.Digits(part.path("individual_digits").asBoolean()));
                case "ByteLevel" ->
                    steps.add(new Step.Bytes(part.path("use_regex").asBoolean(true)));
                default -> steps.add(new Step.Split(part.toString()));
            }
        }
        return steps;
    }

    /** As a tokenizer.json's {@code pre_tokenizer}. */
    ObjectNode json(boolean spaceInFront) {
        ObjectNode sequence = JSON.objectNode().put("type", "Sequence");
        ArrayNode parts = sequence.putArray("pretokenizers");
        for (Step step : steps) {
            parts.add(
                    switch (step) {
                        case Step.Split(String expression) -> split(expression);
                        case Step.Digits(boolean single) ->
                            JSON.objectNode().put("type", "Digits").put("individual_digits", single);
                        case Step.Bytes(boolean words) -> byteLevel(words, spaceInFront);
                    });
        }
        return sequence;
    }

    private static ObjectNode split(String expression) {
        ObjectNode step = JSON.objectNode().put("type", "Split");
        step.putObject("pattern").put("Regex", expression);
        return step.put("behavior", "Isolated").put("invert", false);
    }

    static ObjectNode byteLevel(boolean words, boolean spaceInFront) {
        return JSON.objectNode()
                .put("type", "ByteLevel")
                .put("add_prefix_space", spaceInFront)
                .put("trim_offsets", true)
                .put("use_regex", words);
    }
}
