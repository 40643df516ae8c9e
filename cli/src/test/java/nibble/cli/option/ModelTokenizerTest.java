package nibble.cli.option;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.convert.gguf.GgufExporter;
import nibble.convert.gguf.GgufMix;
import nibble.datasets.Tokenizer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What a checkpoint's tokenizer files mean together. The ids are those of transformers 5.17 (AutoTokenizer), tiktoken
 * 0.14 and mistral-common 1.13.1 for the same files, on 2026-11-25.
 */
class ModelTokenizerTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Byte strings behind the 256 single bytes, by rank. */
    private static final List<String> WORDS = List.of("th", "the", " the", "12", "ca", "cat", " cat");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private void copy(String... names) throws IOException {
        for (String name : names) {
            Files.copy(MODEL.resolve(name), folder.resolve(name));
        }
    }

    private void write(String name, String text) throws IOException {
        Files.writeString(folder.resolve(name), text);
    }

    private int[] ids(String text) {
        try (Tokenizer tokenizer = ModelTokenizer.open(folder)) {
            return tokenizer.encode(text, true);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\"add_bos_token\": true,", "\"add_bos_token\": false,"})
    void a_tokenizer_json_without_a_post_processor_puts_no_bos_in_front_whatever_its_config_names(String flag)
            throws IOException {
        ObjectNode json =
                (ObjectNode) JSON.readTree(MODEL.resolve("tokenizer.json").toFile());
        write("tokenizer.json", json.putNull("post_processor").toString());
        write("tokenizer_config.json", "{" + flag + "\"bos_token\": \"<s>\", \"tokenizer_class\": \"GPT2Tokenizer\"}");
        assertThat(ids("The city")).containsExactly(329, 956);
        TokenizerDescription described = ModelTokenizer.describe(folder);
        assertThat(described.leadingIds()).isEmpty();
        assertThat(described.id("bos_token")).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void added_tokens_of_a_sentencepiece_model_are_whole_and_in_the_tokenizer_json_that_is_made(boolean decoder)
            throws IOException {
        copy("tokenizer.model");
        String added = decoder
                ? ", \"added_tokens_decoder\": {\"4097\": {\"content\": \"<|im_end|>\", \"special\": true},"
                        + " \"4096\": {\"content\": \"<|im_start|>\", \"special\": true}}"
                : "";
        write(
                "tokenizer_config.json",
                "{\"bos_token\": \"<s>\", \"eos_token\": \"<|im_end|>\", \"add_bos_token\": true,"
                        + " \"tokenizer_class\": \"LlamaTokenizer\"" + added + "}");
        if (!decoder) {
            write("added_tokens.json", "{\"<|im_end|>\": 4097, \"<|im_start|>\": 4096}");
        }
        assertThat(ids("<|im_start|>user\nThe city<|im_end|>\n"))
                .containsExactly(1, 4096, 323, 264, 13, 1212, 956, 4097, 13);
        assertThat(ids("The <|im_end|> The")).containsExactly(1, 329, 3971, 4097, 329);
        TokenizerDescription described = ModelTokenizer.describe(folder);
        assertThat(described.stopIds()).containsExactly(4097);
        JsonNode made = JSON.readTree(described.madeFiles().get("tokenizer.json"));
        assertThat(made.get("added_tokens").findValuesAsText("content"))
                .containsExactly("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>");
        assertThat(made.at("/model/vocab/<|im_start|>").asInt()).isEqualTo(4096);
    }

    @Test
    void tokens_that_only_special_tokens_map_names_are_known() throws IOException {
        copy("tokenizer.json");
        write("tokenizer_config.json", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
        write(
                "special_tokens_map.json",
                "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}, \"additional_special_tokens\":"
                        + " [\"▁the\", \"<|x|>\"]}");
        assertThat(ids("of the<|x|> city")).containsExactly(1, 278, 263, 4096, 3971, 956);
        TokenizerDescription described = ModelTokenizer.describe(folder);
        assertThat(described.text("eos_token")).isEqualTo("</s>");
        assertThat(described.stopIds()).containsExactly(2);
        assertThat(described.madeFiles()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"extra_special_tokens", "additional_special_tokens"})
    void special_tokens_beside_the_usual_ones_are_known_as_a_list_or_by_name(String key) throws IOException {
        copy("tokenizer.json");
        write("tokenizer_config.json", "{\"pad_token\": \"[PAD]\", \"" + key + "\": [\"<|x|>\", \"city\"]}");
        assertThat(ids("of the<|x|> city")).containsExactly(1, 278, 263, 4097, 3971, 3971, 4098);
        assertThat(ids("a[PAD] b")).containsExactly(1, 261, 4096, 3971, 284);
        write("tokenizer_config.json", "{\"pad_token\": \"[PAD]\", \"" + key + "\": {\"x_token\": \"<|x|>\"}}");
        assertThat(ids("of the<|x|> city")).containsExactly(1, 278, 263, 4097, 3971, 956);
        assertThat(ModelTokenizer.describe(folder).text("x_token")).isEqualTo("<|x|>");
    }

    @Test
    void a_vocabulary_and_merges_alone_are_gpt_2s_or_qwens() throws IOException {
        ObjectNode vocabulary = JSON.createObjectNode();
        for (String token : letters()) {
            vocabulary.put(token, vocabulary.size());
        }
        vocabulary.put("<|endoftext|>", 263);
        write("vocab.json", vocabulary.toString());
        write("merges.txt", "#version: 0.2\nt h\nth e\nĠ the\n1 2\nc a\nca t\nĠ cat\n");
        write("added_tokens.json", "{\"<|im_end|>\": 264}");
        write("tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
        assertThat(ids("the the<|endoftext|>12")).containsExactly(257, 258, 263, 259);
        assertThat(ids(" cathe 1212é")).containsExactly(32, 260, 257, 32, 259, 259, 195, 169);
        assertThat(ids("<|im_end|> the")).containsExactly(264, 258);
        write("tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_bos_token\": true}");
        assertThat(ids("the cat")).containsExactly(263, 257, 262);
        write("tokenizer_config.json", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}");
        assertThat(ids("the the<|endoftext|>12")).containsExactly(257, 258, 263, 49, 50);
    }

    @Test
    void a_tiktoken_list_alone_is_llama_3s() throws IOException {
        StringBuilder list = new StringBuilder();
        int rank = 0;
        for (byte[] token : tokens()) {
            list.append(Base64.getEncoder().encodeToString(token))
                    .append(' ')
                    .append(rank++)
                    .append('\n');
        }
        write("tokenizer.model", list.toString());
        assertThat(ids("<|begin_of_text|>the<|eot_id|>")).containsExactly(263, 263, 257, 272);
        assertThat(ids(" cathe 1212é")).containsExactly(263, 32, 260, 257, 32, 259, 49, 50, 195, 169);
        TokenizerDescription described = ModelTokenizer.describe(folder);
        assertThat(described.stopIds()).containsExactly(264, 271, 272);
        assertThat(described.madeFiles()).containsOnlyKeys("tokenizer.json", "tokenizer_config.json");
    }

    @Test
    void a_tekken_json_alone_is_mistrals() throws IOException {
        ObjectNode tekken = JSON.createObjectNode();
        tekken.putObject("config")
                .put(
                        "pattern",
                        "[^\\r"
                            + "\\n"
                            + "\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r"
                            + "\\n"
                            + "\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|"
                            + " ?[^\\s\\p{L}\\p{N}]+[\\r"
                            + "\\n"
                            + "/]*|\\s*[\\r"
                            + "\\n"
                            + "]+|\\s+(?!\\S)|\\s+")
                .put("default_vocab_size", 293)
                .put("default_num_special_tokens", 30);
        for (byte[] token : tokens()) {
            tekken.withArray("vocab")
                    .addObject()
                    .put("rank", tekken.withArray("vocab").size() - 1)
                    .put("token_bytes", Base64.getEncoder().encodeToString(token));
        }
        tekken.withArray("vocab").addObject().put("rank", 263).put("token_bytes", "YTA=");
        write("tekken.json", tekken.toString());
        assertThat(ids("the cat")).containsExactly(1, 287, 292);
        assertThat(ids(" cathe 1212é")).containsExactly(1, 62, 290, 287, 62, 79, 80, 79, 80, 225, 199);
        assertThat(ids("[INST]the[/INST]")).containsExactly(1, 3, 287, 4);
        assertThat(ModelTokenizer.describe(folder).stopIds()).isEqualTo(Set.of(2));
    }

    /** "The" is 329 with a space before it and 1212 without. */
    @Test
    void a_space_that_only_the_pre_tokenizer_puts_in_front_is_in_the_gguf_file() throws IOException {
        copy("config.json", "tokenizer.model", "model.safetensors.index.json");
        for (int shard = 1; shard <= 3; shard++) {
            copy("model-0000" + shard + "-of-00003.safetensors");
        }
        ObjectNode json =
                (ObjectNode) JSON.readTree(MODEL.resolve("tokenizer.json").toFile());
        json.putNull("normalizer")
                .putObject("pre_tokenizer")
                .put("type", "Metaspace")
                .put("replacement", "▁")
                .put("prepend_scheme", "first")
                .put("split", false);
        write("tokenizer.json", json.toString());
        assertThat(ids("The")).containsExactly(1, 329);
        Path out = folder.resolve("out");
        try (Checkpoint source = Checkpoint.open(folder)) {
            GgufExporter.export(source, out, GgufMix.Q8_0, 2, _ -> {});
        }
        TokenizerDescription described = ModelTokenizer.describe(out);
        assertThat(described.spaceInFront()).isTrue();
        try (Tokenizer tokenizer = ModelTokenizer.open(described)) {
            assertThat(tokenizer.encode("The", true)).containsExactly(1, 329);
        }
    }

    private static List<byte[]> tokens() {
        List<byte[]> tokens = new java.util.ArrayList<>();
        for (int b = 0; b < 256; b++) {
            tokens.add(new byte[] {(byte) b});
        }
        WORDS.forEach(word -> tokens.add(word.getBytes(StandardCharsets.UTF_8)));
        return tokens;
    }

    /** In GPT-2's letters for bytes. */
    private static List<String> letters() {
        List<String> letters = new java.util.ArrayList<>();
        int next = 256;
        for (int b = 0; b < 256; b++) {
            boolean prints = b >= 33 && b <= 126 || b >= 161 && b <= 172 || b >= 174;
            letters.add(String.valueOf((char) (prints ? b : next++)));
        }
        WORDS.forEach(word -> letters.add(word.replace(' ', 'Ġ')));
        return letters;
    }
}
