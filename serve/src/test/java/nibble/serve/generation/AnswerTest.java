package nibble.serve.generation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.engine.batch.Ending;
import nibble.engine.batch.ScoredToken;
import nibble.serve.api.CompletionCall;
import nibble.serve.api.TextOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Text out of tokens, piece by piece, with the bundled model's tokenizer, which writes rare characters in bytes. */
class AnswerTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final TokenizerDescription DESCRIBED =
            Checkpoint.tokenizer(MODEL).orElseThrow();

    private static TextOptions options(String fields) throws Exception {
        ObjectNode body = (ObjectNode) new ObjectMapper().readTree("{\"prompt\": \"a\"" + fields + "}");
        return CompletionCall.read(body, 4096).options();
    }

    private static String decoded(Tokenizer tokenizer, int[] prompt, int[] ids) {
        int[] all = Arrays.copyOf(prompt, prompt.length + ids.length);
        System.arraycopy(ids, 0, all, prompt.length, ids.length);
        return tokenizer.decode(all).substring(tokenizer.decode(prompt).length());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "日本語の文",
                "emoji 👩‍👩‍👧 and 🏳️‍🌈 end",
                "naïve Ω café",
                "plain text, twice  spaced",
                "\n\ttabs\r\n"
            })
    void pieces_are_whole_characters_and_join_to_the_whole_text(String text) throws Exception {
        try (Tokenizer tokenizer = Tokenizers.of(DESCRIBED)) {
            int[] prompt = tokenizer.encode("The city of", true);
            int[] ids = tokenizer.encode(text, false);
            Answer answer = new Answer(0, prompt, tokenizer, options(""));
            StringBuilder joined = new StringBuilder();
            List<Integer> taken = new ArrayList<>();
            for (int id : ids) {
                assertThat(answer.add(ScoredToken.unscored(id))).isTrue();
                String piece = answer.takeText();
                assertThat(piece).doesNotContain("\uFFFD");
                answer.takeTokens().forEach(token -> taken.add(token.id()));
                joined.append(piece);
            }
            answer.ended(Ending.LENGTH);
            joined.append(answer.takeText());
            answer.takeTokens().forEach(token -> taken.add(token.id()));
            assertThat(joined.toString())
                    .isEqualTo(decoded(tokenizer, prompt, ids))
                    .endsWith(text);
            assertThat(taken).isEqualTo(Arrays.stream(ids).boxed().toList());
        }
    }

    /**
     * Whole characters alone: the tokenizer makes replacement characters of a whole run of byte tokens, once a byte of
     * it fits nowhere, and what was sent cannot be called back.
     */
    @Test
    void ids_of_random_characters_join_to_what_they_mean_together() throws Exception {
        Random random = new Random(3);
        try (Tokenizer tokenizer = Tokenizers.of(DESCRIBED)) {
            int[] prompt = tokenizer.encode("The", true);
            for (int round = 0; round < 50; round++) {
                StringBuilder text = new StringBuilder();
                for (int i = 0; i < 20; i++) {
                    int point = random.nextInt(random.nextBoolean() ? 0x80 : 0x1f000) + 0x20;
                    text.appendCodePoint(point >= 0xd800 && point < 0xe000 ? 'x' : point);
                }
                int[] ids = tokenizer.encode(text.toString(), false);
                Answer answer = new Answer(0, prompt, tokenizer, options(""));
                StringBuilder joined = new StringBuilder();
                for (int id : ids) {
                    answer.add(ScoredToken.unscored(id));
                    joined.append(answer.takeText());
                }
                answer.ended(Ending.STOP);
                joined.append(answer.takeText());
                assertThat(joined.toString()).isEqualTo(decoded(tokenizer, prompt, ids));
                assertThat(answer.tokens()).isEqualTo(ids.length + 1);
            }
        }
    }

    @Test
    void a_stop_text_in_the_middle_of_a_token_cuts_it_and_tokens_behind_it_are_not_told() throws Exception {
        try (Tokenizer tokenizer = Tokenizers.of(DESCRIBED)) {
            int[] ids = tokenizer.encode("The city of Paris is large", false);
            Answer answer = new Answer(0, new int[] {1}, tokenizer, options(", \"stop\": [\"f Par\", \"large\"]"));
            int fed = 0;
            while (answer.add(ScoredToken.unscored(ids[fed]))) {
                fed++;
            }
            String text = answer.takeText();
            assertThat(text.strip()).isEqualTo("The city o");
            assertThat(answer.finish()).contains(new Answer.Finish("stop", "f Par"));
            int told = answer.takeTokens().size();
            assertThat(told).isLessThanOrEqualTo(fed + 1);
            assertThat(tokenizer.decode(Arrays.copyOf(ids, told))).doesNotContain("Par");
            assertThat(answer.add(ScoredToken.unscored(ids[fed]))).isFalse();
            assertThat(answer.takeText()).isEmpty();
        }
    }

    @Test
    void the_bytes_of_tokens_join_to_the_text_and_their_characters_to_its_length() {
        TokenTexts texts = new TokenTexts(DESCRIBED);
        String text = "日本 naïve 👩‍👧 end";
        try (Tokenizer tokenizer = Tokenizers.of(DESCRIBED)) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            int characters = 0;
            for (int id : tokenizer.encode(text, false)) {
                bytes.writeBytes(texts.bytes(id));
                characters += texts.characters(id);
            }
            // The tokenizer puts a space in front.
            assertThat(bytes.toString(StandardCharsets.UTF_8)).isEqualTo(" " + text);
            assertThat(characters).isEqualTo(1 + text.codePointCount(0, text.length()));
        }
        assertThat(texts.text(3 + 0xe2, "bytes:")).isEqualTo("bytes:\\xe2");
        assertThat(texts.text(3 + 'A', "bytes:")).isEqualTo("A");
        assertThat(texts.text(1, "")).isEqualTo("<s>");
    }
}
