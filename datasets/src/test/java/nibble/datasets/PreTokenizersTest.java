package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.vocabulary.Piece;
import nibble.checkpoint.vocabulary.PreTokenizer;
import nibble.checkpoint.vocabulary.StatedFlags;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.checkpoint.vocabulary.Vocabulary;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Texts by every {@code tokenizer.ggml.pre} of llama.cpp's language models, as llama.cpp 0.5.0 reads them
 * ({@code checkpoint/fixtures/pre_tokenizers.py}). The vocabulary is one whose merges go across every cut.
 */
class PreTokenizersTest {
    /** llama.cpp takes combining marks for no letters here, the published files do. */
    private static final Set<String> WITHOUT_MARKS =
            Set.of("tekken", "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2");

    /** Published files cut these before a capital letter, and no digits before a letter; llama.cpp does otherwise. */
    private static final Set<String> OTHER_CUTS = Set.of("tiny_aya", "cohere2moe", "youtu");

    private static JsonNode recorded = new ObjectMapper().nullNode();

    @BeforeAll
    static void read() throws IOException {
        try (InputStream in = PreTokenizersTest.class.getResourceAsStream("pre-tokenizers.json")) {
            recorded = new ObjectMapper().readTree(Objects.requireNonNull(in));
        }
    }

    private static Stream<String> names() throws IOException {
        read();
        List<String> names = new ArrayList<>();
        recorded.path("ways").forEach(way -> way.path("names").forEach(name -> names.add(name.asText())));
        return names.stream();
    }

    private static List<String> texts(String list) {
        List<String> texts = new ArrayList<>();
        recorded.path(list).forEach(text -> texts.add(text.asText()));
        return texts;
    }

    private static TokenizerDescription described(String pre) {
        return new Vocabulary(
                        Vocabulary.BYTE_LEVEL,
                        pre,
                        texts("tokens").stream()
                                .map(text -> new Piece(text, 0, Piece.Kind.NORMAL))
                                .toList(),
                        texts("merges"),
                        -1,
                        -1,
                        -1,
                        -1,
                        -1,
                        false,
                        false,
                        false,
                        new StatedFlags(Optional.empty(), Optional.empty(), Optional.empty(), new LinkedHashMap<>()),
                        new ChatTemplates(new LinkedHashMap<>()))
                .description(Path.of("tiny.gguf"), Optional.empty(), false);
    }

    private static JsonNode ids(String pre) {
        for (JsonNode way : recorded.path("ways")) {
            for (JsonNode name : way.path("names")) {
                if (name.asText().equals(pre)) {
                    return way.path("ids");
                }
            }
        }
        throw new AssertionError(pre);
    }

    @ParameterizedTest
    @MethodSource("names")
    void a_text_has_the_ids_that_llama_cpp_gives_it(String pre) {
        List<String> texts = texts("texts");
        try (Tokenizer tokenizer = Tokenizers.of(described(pre))) {
            for (int i = 0; i < texts.size(); i++) {
                boolean last = i == texts.size() - 1;
                if (last && WITHOUT_MARKS.contains(pre)
                        || OTHER_CUTS.contains(pre) && (last || texts.get(i).matches("(?s).*([a-zé][A-ZÉ]|\\d).*"))) {
                    continue;
                }
                List<Integer> expected = new ArrayList<>();
                ids(pre).path(i).forEach(id -> expected.add(id.intValue()));
                assertThat(tokenizer.encode(texts.get(i), false))
                        .as(texts.get(i))
                        .containsExactly(
                                expected.stream().mapToInt(Integer::intValue).toArray());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void a_vocabulary_goes_back_to_gguf_under_a_name_with_the_same_ids(String pre) {
        String written = PreTokenizer.of(described(pre).json()).orElseThrow().name();

        assertThat(ids(written)).as(written).isEqualTo(ids(pre));
    }

    /** The names that remain are of encoders, of Kimi K2, which merges in a way of its own, and of Sarvam's pieces. */
    @Test
    void every_name_of_llama_cpps_language_models_is_known() throws IOException {
        Set<String> known = new TreeSet<>(names().toList());

        assertThat(known).hasSize(81);
        assertThat(known).allSatisfy(name -> assertThat(described(name)).isNotNull());
    }
}
