package nibble.checkpoint.vocabulary;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A tokenizer.json's way to cut text has a name in GGUF, however the file writes it. */
class PreTokenizerTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String BYTES = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}";
    private static final String WORDS = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}";
    private static final String O200K_LETTERS = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
            + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?"
            + "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
    private static final String O200K =
            O200K_LETTERS + "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    private static ObjectNode tokenizer(boolean wholeWords, String... steps) throws JsonProcessingException {
        ObjectNode json = JSON.createObjectNode();
        json.putNull("normalizer");
        json.set(
                "pre_tokenizer",
                JSON.readTree("{\"type\":\"Sequence\",\"pretokenizers\":[" + String.join(",", steps) + "]}"));
        json.putObject("model").put("ignore_merges", wholeWords).putObject("vocab");
        return json;
    }

    private static String split(String expression) {
        return JSON.createObjectNode()
                .put("type", "Split")
                .put("behavior", "Isolated")
                .<ObjectNode>set("pattern", JSON.createObjectNode().put("Regex", expression))
                .toString();
    }

    private static Optional<String> name(JsonNode tokenizer) {
        return PreTokenizer.of(tokenizer).map(PreTokenizer::name);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            quoteCharacter = '"',
            value = {
                // tiktoken's own spelling of GPT-4's expression.
                "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|"
                        + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+; dbrx",
                "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,2}|"
                        + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s; none",
                "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                        + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+; stablelm2",
                "'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+; gpt-2",
                "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+|\\p{N}; none",
                "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{Lu}+| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+; none",
                "\" ?[^(\\s|[.,!?…。，、।۔،])]+\"; bloom",
                "(a+)+$; none",
                // GPT-2's, but it would try for years on a run of spaces before it goes on.
                "\\s*\\s*\\s*\\s*\\s*\\s*[^\\s\\S]|'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                        + " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+; none",
                // GPT-2's, but what looks at no letter is tried 10^12 times first.
                "(?:(?:(?:(?:^){1000}){1000}){1000}){1000}[^\\s\\S]|'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                        + " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+; none",
                "[; none",
                "\\p{Nonsense}; none"
            })
    void an_expression_that_cuts_every_text_alike_has_the_name(String expression, String name) throws Exception {
        assertThat(name(tokenizer(false, split(expression), BYTES)).orElse("none"))
                .isEqualTo(name);
    }

    @Test
    void steps_that_cut_every_text_alike_have_the_name() throws Exception {
        assertThat(name(tokenizer(false, split("\\p{N}"), WORDS))).contains("smollm");
        assertThat(name(tokenizer(false, "{\"type\":\"Digits\",\"individual_digits\":true}", WORDS)))
                .contains("smollm");
        assertThat(name(tokenizer(
                        false,
                        split("\\p{N}"),
                        split("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"),
                        BYTES)))
                .contains("smollm");
        assertThat(name(tokenizer(false, "{\"type\":\"Digits\",\"individual_digits\":false}", WORDS)))
                .isEmpty();
        assertThat(name(tokenizer(false, "{\"type\":\"Whitespace\"}", WORDS))).isEmpty();
        assertThat(name(tokenizer(
                        false,
                        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{N}\"},\"behavior\":\"MergedWithNext\"}",
                        WORDS)))
                .isEmpty();
    }

    @Test
    void a_file_that_composes_characters_keeps_a_name_that_does() throws Exception {
        ObjectNode digits = tokenizer(false, "{\"type\":\"Digits\",\"individual_digits\":true}", WORDS);
        digits.putObject("normalizer").put("type", "NFC");
        assertThat(name(digits)).contains("command-r");
        ObjectNode words = tokenizer(false, WORDS);
        words.putObject("normalizer").put("type", "NFC");
        assertThat(name(words)).contains("olmo");
        for (String name : List.of("command-r", "olmo", "qwen2")) {
            assertThat(ByteLevelJson.of(
                                    List.of(),
                                    List.of(),
                                    PreTokenizer.named(name).orElseThrow(),
                                    false)
                            .path("normalizer")
                            .path("type")
                            .asText())
                    .isEqualTo("NFC");
        }
    }

    /** gpt-oss and Llama 4 say that words which are tokens are taken whole; llama.cpp's gpt-4o does not do so. */
    @Test
    void words_taken_whole_do_not_matter_where_merges_make_every_token() throws Exception {
        ObjectNode tokenizer = tokenizer(true, split(O200K), BYTES);
        ObjectNode model = (ObjectNode) tokenizer.get("model");
        ObjectNode vocabulary = (ObjectNode) model.get("vocab");
        for (String token : List.of("a", "b", "c", "ab", "bc", "abc")) {
            vocabulary.put(token, vocabulary.size());
        }
        model.putArray("merges").add("a b").add("b c").add("ab c");
        assertThat(name(tokenizer)).contains("gpt-4o");

        // "bca" is reached by no merge: b and c are merged first, and bc with a is not.
        vocabulary.put("bca", vocabulary.size());
        assertThat(name(tokenizer)).isEmpty();
        tokenizer.putArray("added_tokens").addObject().put("content", "bca");
        assertThat(name(tokenizer)).contains("gpt-4o");
        tokenizer.putArray("added_tokens");
        model.putArray("merges").addArray().add("b").add("c");
        assertThat(name(tokenizer)).isEmpty();
        model.put("ignore_merges", false);
        assertThat(name(tokenizer)).contains("gpt-4o");
    }

    @Test
    void more_merging_than_a_published_vocabulary_needs_is_given_up() throws Exception {
        ObjectNode tokenizer = tokenizer(true, split(O200K), BYTES);
        ObjectNode model = (ObjectNode) tokenizer.get("model");
        ObjectNode vocabulary = (ObjectNode) model.get("vocab");
        ArrayNode merges = model.putArray("merges");
        for (char letter = 'a'; letter <= 'z'; letter++) {
            String text = String.valueOf(letter);
            for (int length = 1; length < 4096; length *= 2) {
                merges.add(text.repeat(length) + " " + text.repeat(length));
            }
            vocabulary.put(text.repeat(4096), vocabulary.size());
        }
        assertThat(name(tokenizer)).isEmpty();
        // One of them by itself is made.
        vocabulary.retain("a".repeat(4096));
        assertThat(name(tokenizer)).contains("gpt-4o");
    }

    @Test
    void llama_3s_cut_has_one_name_for_words_taken_whole_and_another_for_merges() throws Exception {
        String cut = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+"
                + "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        assertThat(name(tokenizer(true, split(cut), BYTES))).contains("llama-bpe");
        assertThat(name(tokenizer(false, split(cut), BYTES))).contains("dbrx");
    }

    @Test
    void every_known_way_is_found_by_its_own_json() {
        for (PreTokenizer way : KnownCuts.all()) {
            ObjectNode json = ByteLevelJson.of(List.of(), List.of(), way, false);
            PreTokenizer found = PreTokenizer.of(json).orElseThrow();
            assertThat(found.steps()).as(way.name()).isEqualTo(way.steps());
            assertThat(found.wholeWords()).as(way.name()).isEqualTo(way.wholeWords());
            assertThat(found.composed()).as(way.name()).isEqualTo(way.composed());
        }
    }
}
