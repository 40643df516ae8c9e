package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The 46 vocabulary cases of llama.cpp, on the tokenizers of real models. */
class TokenizerCasesTest {
    private static final String SEPARATOR = "\n__ggml_vocab_test__\n";

    @TestFactory
    Stream<DynamicTest> llama2() throws IOException {
        return cases("llama2", "llama-spm");
    }

    @TestFactory
    Stream<DynamicTest> llama3() throws IOException {
        return cases("llama3", "llama-bpe");
    }

    @TestFactory
    Stream<DynamicTest> qwen3() throws IOException {
        return cases("qwen3", "qwen2");
    }

    /** This Llama 3's post-processor puts no BOS in front, and transformers 5.17 gives "Hello" the one id 9906. */
    @ParameterizedTest
    @CsvSource({"llama2,1,32000", "llama3,-1,128256", "qwen3,-1,151669"})
    void bos_and_vocabulary_are_the_models_own(String model, int bos, int vocabulary) {
        try (Tokenizer tokenizer = Tokenizers.open(TestFolders.shared("data/tokenizers/" + model))) {
            int[] expected = bos < 0 ? new int[0] : new int[] {bos};
            assertThat(tokenizer.encode("", true)).isEqualTo(expected);
            assertThat(tokenizer.encode("", false)).isEmpty();
            assertThat(tokenizer.vocabularySize()).isEqualTo(vocabulary);
        }
    }

    @Test
    void llama2_encodes_the_gptq_test_text_to_341469_ids() {
        try (Tokenizer tokenizer = Tokenizers.open(TestFolders.shared("data/tokenizers/llama2"))) {
            assertThat(tokenizer.encode(TextDataset.wikitext2Test().text(), true))
                    .hasSize(341_469);
            assertThat(tokenizer.encode(Wikitext2.test(), true)).hasSize(335_688);
            assertThat(tokenizer.encode(Wikitext2.trainExcerpt(), true)).hasSize(254_702);
            assertThat(tokenizer.encode(Wikitext2.validation(), true)).hasSize(295_043);
        }
    }

    @Test
    void llama2_decodes_what_it_encoded() {
        try (Tokenizer tokenizer = Tokenizers.open(TestFolders.shared("data/tokenizers/llama2"))) {
            String text = Wikitext2.validation();
            assertThat(tokenizer.decode(tokenizer.encode(text, true))).isEqualTo(text);
        }
    }

    private static Stream<DynamicTest> cases(String model, String name) throws IOException {
        Path folder = TestFolders.shared("data/tokenizers");
        String[] texts =
                Files.readString(folder.resolve("cases/" + name + ".inp")).split(SEPARATOR, -1);
        List<String> expected = Files.readAllLines(folder.resolve("cases/" + name + ".out"));
        // The last separator ends the last case.
        assertThat(texts).hasSize(47);
        assertThat(texts[46]).isEmpty();
        assertThat(expected).hasSize(46);
        Tokenizer tokenizer = Tokenizers.open(folder.resolve(model));
        return IntStream.range(0, 46)
                .mapToObj(i -> DynamicTest.dynamicTest(model + " case " + (i + 1), () -> {
                    int[] ids = Arrays.stream(expected.get(i).strip().split("\\s+"))
                            .filter(id -> !id.isEmpty())
                            .mapToInt(Integer::parseInt)
                            .toArray();
                    assertThat(tokenizer.encode(texts[i], false)).isEqualTo(ids);
                }))
                .onClose(tokenizer::close);
    }
}
