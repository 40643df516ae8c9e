package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

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

    /** What the step of this name finds: ASCII's symbols, too. */
    private static final String PUNCTUATION = "[\\p{P}!-/:-@\\[-`{-~]";

    public PreTokenizer {
        steps = List.copyOf(steps);
    }

    /** A way that a file gives the expression of, and that GGUF may have no name for. */
    static PreTokenizer splitting(String expression) {
        return new PreTokenizer("", KnownCuts.splits(expression), true, true, false);
    }

    /** GGUF's names of the ways known here. */
    static List<String> names() {
        return KnownCuts.all().stream().map(PreTokenizer::name).sorted().toList();
    }

    static Optional<PreTokenizer> named(String name) {
        return KnownCuts.named(name);
    }

    /**
     * Returns the way of a tokenizer.json, if GGUF has a name for it: one that cuts every text alike. Whether words
     * that are tokens are taken whole must be the same, too, unless merges make those tokens anyway.
     */
    public static Optional<PreTokenizer> of(JsonNode tokenizer) {
        List<Step> steps = stepsOf(tokenizer.path("pre_tokenizer"));
        boolean wholeWords = tokenizer.at("/model/ignore_merges").asBoolean(false);
        boolean composed = tokenizer.path("normalizer").toString().contains("\"NFC\"");
        List<PreTokenizer> alike = alike(steps);
        Comparator<PreTokenizer> likelier = Comparator.comparing(way -> way.composed() != composed);
        return alike.stream()
                .filter(way -> way.wholeWords() == wholeWords)
                .min(likelier)
                .or(() -> alike.stream().min(likelier).filter(_ -> MergedWords.makeEveryToken(tokenizer)));
    }

    private static List<PreTokenizer> alike(List<Step> steps) {
        List<PreTokenizer> written = KnownCuts.all().stream()
                .filter(way -> sameCut(way.steps(), steps) || sameCut(KnownCuts.published(way), steps))
                .toList();
        return written.isEmpty() ? TextCuts.alike(steps) : written;
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

    /** Describes a tokenizer.json's way in its own words, for a message. */
    public static String describe(JsonNode tokenizer) {
        return tokenizer.path("pre_tokenizer") + ", with ignore_merges "
                + tokenizer.at("/model/ignore_merges").asBoolean(false);
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
                            .asText(literal(part.at("/pattern/String").asText()));
                    steps.add(new Step.Split(alone ? expression : part.toString()));
                }
                case "Punctuation" -> {
                    String behavior = part.path("behavior").asText("Isolated");
                    switch (behavior) {
                        case "Isolated" -> steps.add(new Step.Split(PUNCTUATION));
                        case "Contiguous" -> steps.add(new Step.Split(PUNCTUATION + "+"));
                        default -> steps.add(new Step.Split(part.toString()));
                    }
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

    /** An expression that finds a text as it is. */
    private static String literal(String text) {
        return text.replaceAll("[\\\\.\\[\\](){}*+?^$|]", "\\\\$0");
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
