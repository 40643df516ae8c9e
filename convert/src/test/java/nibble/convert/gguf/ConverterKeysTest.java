package nibble.convert.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Keys and values are those that llama.cpp's convert_hf_to_gguf.py of 2026-11 wrote for the same files. */
class ConverterKeysTest {
    private static final Path ROOT =
            Path.of(System.getProperty("nibble.root", "..")).toAbsolutePath().normalize();
    private static final Path WIKI = ROOT.resolve("models/wiki-7m");
    private static final Path ARCHITECTURES = ROOT.resolve("checkpoint/src/test/resources/architectures");
    private static final String TOKENIZER = "tokenizer.ggml.";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    @Test
    void a_llama_with_sentence_pieces_has_the_converters_keys_and_no_others() throws IOException {
        List<String> model = keys(
                "llama.",
                "attention.head_count attention.head_count_kv attention.layer_norm_rms_epsilon block_count"
                        + " context_length embedding_length feed_forward_length rope.dimension_count rope.freq_base"
                        + " vocab_size");
        List<String> tokenizer = keys(
                TOKENIZER,
                "add_bos_token add_eos_token add_sep_token bos_token_id eos_token_id model pre scores token_type"
                        + " tokens unknown_token_id");
        try (Arena arena = Arena.ofConfined()) {
            GgufFile file = GgufFile.open(export(wiki(_ -> {}, _ -> {})), arena);
            assertThat(file.values().keySet().stream().filter(key -> !key.startsWith("general.")))
                    .containsExactlyInAnyOrderElementsOf(
                            Stream.concat(model.stream(), tokenizer.stream()).toList());
            assertThat(file.values()).containsEntry(TOKENIZER + "add_sep_token", false);
        }
    }

    @Test
    void what_the_tokenizers_config_says_is_said() throws IOException {
        Path model = wiki(
                config -> config.put("add_sep_token", true)
                        .put("add_prefix_space", true)
                        .put("sep_token", "</s>")
                        .put("mask_token", "<unk>"),
                config -> config.put("head_dim", 64).put("pad_token_id", 0).put("cls_token_id", 5));
        try (Arena arena = Arena.ofConfined()) {
            GgufFile file = GgufFile.open(export(model), arena);
            assertThat(file.values())
                    .containsEntry(TOKENIZER + "add_sep_token", true)
                    .containsEntry(TOKENIZER + "add_space_prefix", true)
                    .containsEntry(TOKENIZER + "seperator_token_id", 2L)
                    .containsEntry(TOKENIZER + "mask_token_id", 0L)
                    .containsEntry(TOKENIZER + "cls_token_id", 5L)
                    .containsEntry(TOKENIZER + "padding_token_id", 0L)
                    .containsEntry("llama.attention.key_length", 64L)
                    .containsEntry("llama.attention.value_length", 64L);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "qwen2, qwen2, rope.freq_base",
        "qwen3, qwen3, rope.freq_base attention.key_length attention.value_length",
        "phi3, phi3, rope.freq_base rope.dimension_count",
        "gemma, gemma, attention.key_length attention.value_length",
        "smollm, llama, rope.freq_base rope.dimension_count vocab_size attention.key_length attention.value_length"
    })
    void an_architecture_has_the_keys_that_its_converter_writes(String name, String architecture, String written)
            throws IOException {
        Path model = Files.createDirectory(temp.resolve(name));
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(ARCHITECTURES.resolve(name).resolve(file), model.resolve(file));
        }
        Files.copy(ARCHITECTURES.resolve("tokenizer.json"), model.resolve("tokenizer.json"));
        Set<String> chosen = new TreeSet<>(keys(
                architecture + ".",
                "rope.freq_base rope.dimension_count vocab_size attention.key_length attention.value_length"));
        try (Arena arena = Arena.ofConfined()) {
            chosen.retainAll(GgufFile.open(export(model), arena).values().keySet());
        }
        assertThat(chosen).containsExactlyInAnyOrderElementsOf(keys(architecture + ".", written));
    }

    private static List<String> keys(String before, String ends) {
        return Arrays.stream(ends.split(" ")).map(end -> before + end).collect(Collectors.toList());
    }

    private Path wiki(Consumer<ObjectNode> tokenizerConfig, Consumer<ObjectNode> config) throws IOException {
        Path model = Files.createDirectory(temp.resolve("wiki"));
        try (Stream<Path> files = Files.list(WIKI)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(String.valueOf(file.getFileName())));
            }
        }
        edit(model.resolve("tokenizer_config.json"), tokenizerConfig);
        edit(model.resolve("config.json"), config);
        return model;
    }

    private static void edit(Path file, Consumer<ObjectNode> change) throws IOException {
        ObjectMapper mapper = new ObjectMapper();
        ObjectNode json = (ObjectNode) mapper.readTree(file.toFile());
        change.accept(json);
        mapper.writeValue(file.toFile(), json);
    }

    private Path export(Path model) throws IOException {
        Path out = temp.resolve("out");
        try (Checkpoint source = Checkpoint.open(model)) {
            GgufExporter.export(source, out, GgufMix.F16, 2, _ -> {});
        }
        try (Stream<Path> files = Files.list(out)) {
            return files.filter(file -> file.toString().endsWith(".gguf"))
                    .findFirst()
                    .orElseThrow();
        }
    }
}
