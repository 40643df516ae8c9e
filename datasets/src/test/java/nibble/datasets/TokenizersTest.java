package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class TokenizersTest {
    private static Tokenizer tokenizer;

    @BeforeAll
    static void open() {
        tokenizer = Tokenizers.open(TestFolders.wikiTokenizer());
    }

    @AfterAll
    static void close() {
        tokenizer.close();
    }

    @Test
    @Timeout(30) // About one second; a quadratic encoder would take hours.
    void the_gptq_test_text_encodes_to_404072_ids() {
        String text = TextDataset.wikitext2Test().text();
        int[] ids = tokenizer.encode(text, true);
        assertThat(ids).hasSize(404_072).startsWith(1);
    }

    @Test
    void long_text_is_never_cut() {
        String text = "word ".repeat(200_000);
        int[] ids = tokenizer.encode(text, false);
        assertThat(tokenizer.decode(ids)).isEqualTo(text);
    }

    @Test
    void a_leading_bos_is_the_only_difference_it_makes() {
        int[] plain = tokenizer.encode("Hello world", false);
        int[] led = tokenizer.encode("Hello world", true);
        assertThat(led[0]).isEqualTo(1);
        assertThat(led).hasSize(plain.length + 1).endsWith(plain);
    }

    @Test
    void every_character_survives_encoding_and_decoding() {
        String text = "tab\t nul\0 é ½ \u00a0 \u2581 \u65e5\u672c \ud83d\ude80 \ud83c\uddea\ud83c\uddfa\r\n\n  end ";
        // The marker for a space decodes as a space: SentencePiece cannot tell them apart.
        assertThat(tokenizer.decode(tokenizer.encode(text, true))).isEqualTo(text.replace('\u2581', ' '));
    }

    @Test
    void the_vocabulary_is_4096() {
        assertThat(tokenizer.vocabularySize()).isEqualTo(4096);
    }

    @Test
    void many_threads_get_the_same_ids() {
        String text = Wikitext2.trainExcerpt().substring(0, 20_000);
        int[] expected = tokenizer.encode(text, true);
        assertThat(IntStream.range(0, 16).parallel().mapToObj(i -> tokenizer.encode(text, true)))
                .allSatisfy(ids -> assertThat(ids).isEqualTo(expected));
    }

    @Test
    void half_a_surrogate_pair_is_refused_with_its_place() {
        assertThatThrownBy(() -> tokenizer.encode("ab\ud83d", true))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("U+D83D")
                .hasMessageContaining("character 2");
    }

    @Test
    void a_closed_tokenizer_says_so_and_closes_again_quietly() {
        Tokenizer closed = Tokenizers.open(TestFolders.wikiTokenizer());
        closed.close();
        closed.close();
        assertThatThrownBy(() -> closed.encode("a", true)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void a_folder_without_tokenizer_json_says_what_was_looked_for(@TempDir Path folder) throws IOException {
        assertThatThrownBy(() -> Tokenizers.open(folder))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining(folder.toString())
                .hasMessageContaining("looked for tokenizer.json");
        Files.writeString(folder.resolve("tokenizer.model"), "x");
        assertThatThrownBy(() -> Tokenizers.open(folder))
                .hasMessageContaining("neither SentencePiece's BPE nor tiktoken's list");
    }

    @Test
    void a_damaged_tokenizer_json_is_named(@TempDir Path folder) throws IOException {
        byte[] whole = Files.readAllBytes(TestFolders.wikiTokenizer().resolve("tokenizer.json"));
        for (byte[] damaged : new byte[][] {
            {},
            "{}".getBytes(),
            "[1]".getBytes(),
            "{\"model\":{\"vocab\":{\"a\":0}}}".getBytes(),
            java.util.Arrays.copyOf(whole, whole.length / 2)
        }) {
            Files.write(folder.resolve("tokenizer.json"), damaged);
            assertThatThrownBy(() -> Tokenizers.open(folder))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining("tokenizer.json");
        }
    }

    /**
     * transformers 5.17 goes by the post-processor alone where there is a tokenizer.json, whatever add_bos_token says.
     */
    @Test
    void what_leads_a_text_is_what_the_post_processor_puts_there(@TempDir Path folder) throws IOException {
        String json = Files.readString(TestFolders.wikiTokenizer().resolve("tokenizer.json"));
        String without = json.replaceFirst(
                "(?s)\"post_processor\"\\s*:\\s*\\{.*?\\},\\s*\"decoder\"", "\"post_processor\": null, \"decoder\"");
        assertThat(without).isNotEqualTo(json);
        for (String config :
                new String[] {"{\"bos_token\": \"<s>\"}", "{\"bos_token\": \"<s>\", \"add_bos_token\": true}"}) {
            Files.writeString(folder.resolve("tokenizer_config.json"), config);
            Files.writeString(folder.resolve("tokenizer.json"), without);
            assertThat(bos(folder)).isEmpty();
            Files.writeString(folder.resolve("tokenizer.json"), json);
            assertThat(bos(folder)).containsExactly(1);
        }
    }

    /**
     * No file names a class: as llama.cpp de3ff81, transformers 4.51 and SentencePiece read the file, whose normalizer
     * asks for a space in front. transformers 5.17 ignores that and puts no BOS, [4014, 478, 3977, 969] for the first.
     */
    @Test
    void a_sentence_piece_model_alone_gets_the_space_it_asks_for_and_a_bos(@TempDir Path folder) throws IOException {
        copyModel(folder);
        for (String config : new String[] {"", "{}"}) {
            if (!config.isEmpty()) {
                Files.writeString(folder.resolve("tokenizer_config.json"), config);
            }
            assertThat(encoded(folder, "Hello world")).containsExactly(1, 357, 478, 3977, 969);
            assertThat(encoded(folder, " Hello world")).containsExactly(1, 3971, 357, 478, 3977, 969);
            assertThat(encoded(folder, "a  b")).containsExactly(1, 261, 3971, 284);
            assertThat(encoded(folder, "Hello</s>world")).containsExactly(1, 357, 478, 3977, 2, 969);
            assertThat(encoded(folder, "été\n1")).containsExactly(1, 3971, 4048, 3973, 4048, 13, 3998);
        }
    }

    /** As transformers 5.17: the class adds a BOS only if it is asked to, and a space to the first part only. */
    @Test
    void a_sentence_piece_model_of_a_named_class_gets_what_that_class_adds(@TempDir Path folder) throws IOException {
        copyModel(folder);
        Path config = folder.resolve("tokenizer_config.json");
        Files.writeString(config, "{\"tokenizer_class\": \"LlamaTokenizer\"}");
        assertThat(encoded(folder, "Hello world")).containsExactly(357, 478, 3977, 969);
        assertThat(encoded(folder, "Hello</s>world")).containsExactly(357, 478, 3977, 2, 3990, 698);
        Files.writeString(config, "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_bos_token\": true}");
        assertThat(encoded(folder, "a  b")).containsExactly(1, 261, 3971, 284);
    }

    private static void copyModel(Path folder) throws IOException {
        Files.copy(Path.of("../models/wiki-7m/tokenizer.model"), folder.resolve("tokenizer.model"));
    }

    private static int[] encoded(Path folder, String text) {
        try (Tokenizer opened = Tokenizers.ofModel(folder)) {
            return opened.encode(text, true);
        }
    }

    private static int[] bos(Path folder) {
        try (Tokenizer opened = Tokenizers.open(folder)) {
            return opened.encode("", true);
        }
    }
}
