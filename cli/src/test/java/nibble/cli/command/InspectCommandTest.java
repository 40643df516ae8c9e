package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * {@code nibble inspect} on every kind of file, and what every command says of an architecture that is not supported.
 */
class InspectCommandTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    /** Types and sizes as the {@code gguf} package 0.19.0 lists them for these files. */
    @ParameterizedTest
    @CsvSource({"Q4_1, 5", "Q4_K_M, 4.9", "Q8_0, 8.5", "F16, 16"})
    void a_gguf_file_is_named_by_its_type_and_its_tensors_are_a_choice(String type, double leastBits)
            throws IOException {
        Path gguf = folder.resolve("gguf");
        done("convert", MODEL.toString(), gguf.toString(), "--format", "gguf", "--type", type);
        Path file = gguf.resolve("wiki-7m-" + type + ".gguf");
        String summary = done("inspect", file.toString());
        assertThat(summary)
                .contains(
                        "GGUF " + type + ",",
                        "llama: 6 layers, hidden 256, mlp 768, 4 heads (2 key/value), vocabulary 4096, context 4096")
                .contains(
                        "tokenizer.ggml.tokens",
                        "4,096 texts",
                        "Nibble takes it: inspect, plan, quantize, eval",
                        "57 tensors; --tensors")
                .doesNotContain("blk.0.", "unquantized");
        assertThat(done("inspect", file.toString(), "--tensors"))
                .contains("blk.0.attn_q.weight", "blk.5.ffn_down.weight");
        assertThat(done("inspect", file.toString(), "--layer", "3"))
                .contains("blk.3.attn_q.weight")
                .doesNotContain("blk.0.");
        JsonNode json = json(file);
        assertThat(json.get("format").asText()).isEqualTo("GGUF " + type);
        assertThat(json.get("weights").asLong()).isEqualTo(6_819_072);
        double bits = json.get("bits_per_weight").asDouble();
        assertThat(bits).isBetween(leastBits - 0.01, leastBits + 1.2);
        assertThat(json.get("types").findValues("bytes").stream()
                        .mapToLong(JsonNode::asLong)
                        .sum())
                .isEqualTo(json.get("tensor_bytes").asLong())
                .isEqualTo(Math.round(bits * 6_819_072 / 8));
        assertThat(json.get("tensors")).hasSize(57);
    }

    @Test
    void a_dense_and_a_quantized_folder_have_their_bits_per_weight() throws IOException {
        JsonNode dense = json(MODEL);
        assertThat(dense.get("format").asText()).isEqualTo("safetensors, not quantized, F16");
        assertThat(dense.get("weights").asLong()).isEqualTo(6_819_072);
        assertThat(dense.get("bits_per_weight").asDouble()).isEqualTo(16);
        assertThat(dense.get("commands").toString()).contains("quantize").doesNotContain("publish");
        Path awq = folder.resolve("awq");
        done("quantize", MODEL.toString(), awq.toString(), "--method", "rtn");
        for (String format : new String[] {"awq", "gptq", "compressed-tensors"}) {
            Path out = awq;
            if (!format.equals("awq")) {
                out = folder.resolve(format);
                done("convert", awq.toString(), out.toString(), "--format", format);
            }
            JsonNode packed = json(out);
            assertThat(packed.get("format").asText()).startsWith("safetensors, " + format + " 4-bit group 128 (");
            assertThat(packed.get("weights").asLong()).as(format).isEqualTo(6_819_072);
            // Linears at 4 bits and 0.156 of scales and zeros; embedding and head, 31 % of the weights, at 16.
            assertThat(packed.get("bits_per_weight").asDouble()).isCloseTo(7.80, within(0.1));
            assertThat(packed.get("commands").toString()).contains("publish").doesNotContain("quantize");
        }
    }

    @Test
    void one_safetensors_file_is_listed_and_its_folder_is_named_for_more() throws IOException {
        String summary = done(
                "inspect", MODEL.resolve("model-00002-of-00003.safetensors").toString());
        assertThat(summary)
                .contains("safetensors, not quantized, F16", "Nibble does no more than list it: one file of weights");
    }

    @Test
    void types_that_nibble_does_not_compute_with_are_listed_all_the_same() throws IOException {
        String header = "{\"__metadata__\":{\"format\":\"pt\"},"
                + "\"a.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[4,8],\"data_offsets\":[0,32]},"
                + "\"a.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[32,36]},"
                + "\"b.weight\":{\"dtype\":\"F4\",\"shape\":[4,8],\"data_offsets\":[36,52]},"
                + "\"c_blocks\":{\"dtype\":\"U8\",\"shape\":[4,8],\"data_offsets\":[52,84]},"
                + "\"c_scales\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[84,88]}}";
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        Path file = folder.resolve("odd.safetensors");
        Files.write(
                file,
                ByteBuffer.allocate(8 + text.length + 88)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(text.length)
                        .put(text)
                        .array());
        JsonNode json = json(file);
        assertThat(json.get("weights").asLong()).isEqualTo(32 + 32 + 64);
        assertThat(json.get("types").findValuesAsText("type")).containsExactlyInAnyOrder("F8_E4M3", "F4", "U8", "F32");
        assertThat(json.get("metadata").get("format").asText()).isEqualTo("pt");
    }

    @Test
    void gguf_of_an_unknown_architecture_is_listed_and_named_as_not_supported() throws IOException {
        Path falcon = falcon(folder.resolve("falcon.gguf"));
        String summary = done("inspect", falcon.toString());
        assertThat(summary)
                .contains("GGUF IQ2_XXS", "falcon: 2 layers, hidden 256")
                .contains("Nibble does no more than list it: architecture \"falcon\" is not yet supported")
                .contains("1 and \\u001b[31mred\\nline");
        assertThat(summary).doesNotContain("\u001b");
        JsonNode json = json(falcon);
        assertThat(json.get("commands")).hasSize(1);
        assertThat(json.get("obstacle").asText()).contains("falcon", "supported: llama");
        assertThat(json.get("types").findValuesAsText("type")).containsExactly("IQ2_XXS", "F32");
        assertThat(json.get("bits_per_weight").asDouble()).isCloseTo(8.0 * (2 * 66 + 1024) / 768, within(1e-9));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "plan",
                "quantize",
                "generate",
                "eval perplexity",
                "eval tasks",
                "eval mt-bench",
                "convert",
                "verify"
            })
    void every_command_says_that_falcon_is_not_yet_supported(String command) throws IOException {
        Path gguf = falcon(folder.resolve("falcon.gguf"));
        Path hub = Files.createDirectory(folder.resolve("hub"));
        for (String file : List.of(
                "tokenizer.json",
                "model-00001-of-00003.safetensors",
                "model-00002-of-00003.safetensors",
                "model-00003-of-00003.safetensors",
                "model.safetensors.index.json")) {
            Files.copy(MODEL.resolve(file), hub.resolve(file));
        }
        ObjectNode config =
                (ObjectNode) JSON.readTree(MODEL.resolve("config.json").toFile());
        config.putArray("architectures").add("FalconForCausalLM");
        Files.writeString(
                hub.resolve("config.json"), config.put("model_type", "falcon").toString());
        assertThat(done("inspect", hub.toString())).contains("FalconForCausalLM: 6 layers", "is not yet supported");
        for (Path model : command.equals("verify") ? List.of(hub) : List.of(gguf, hub)) {
            List<String> words = new ArrayList<>(List.of(command.split(" ")));
            words.add(model.toString());
            switch (command) {
                case "quantize" -> words.add(folder.resolve("out").toString());
                case "convert" -> words.addAll(List.of(folder.resolve("out").toString(), "--format", "safetensors"));
                case "generate" -> words.addAll(List.of("--prompt", "x", "--template", "model"));
                case "eval tasks" -> words.addAll(List.of("--tasks", "arc_easy"));
                case "eval mt-bench" ->
                    words.addAll(
                            List.of("--output", folder.resolve("answers.jsonl").toString()));
                default -> {}
            }
            TerminalCapture terminal = new TerminalCapture();
            assertThat(terminal.run(words.toArray(String[]::new)))
                    .as(terminal.err())
                    .isEqualTo(ExitCode.BAD_INPUT);
            assertThat(terminal.out() + terminal.err())
                    .as(String.join(" ", words))
                    .containsIgnoringCase("falcon")
                    .contains("not yet supported", "supported: ");
        }
        assertThat(folder.resolve("out")).doesNotExist();
    }

    private static JsonNode json(Path path) throws IOException {
        return JSON.readTree(done("inspect", path.toString(), "--json", "-"));
    }

    private static String done(String... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return terminal.out();
    }

    /** A file of two tensors: an IQ2_XXS one of two blocks and an F32 one. */
    private static Path falcon(Path file) throws IOException {
        GgufBytes bytes = new GgufBytes();
        bytes.begin(2, 6);
        bytes.text("general.architecture", "falcon");
        bytes.u32("falcon.block_count", 2);
        bytes.u32("falcon.embedding_length", 256);
        bytes.u32("falcon.attention.head_count", 4);
        bytes.u32("general.file_type", 19);
        bytes.text("general.description", "1 and \u001b[31mred\nline");
        bytes.tensor("blk.0.attn_q.weight", 16, 0, 256, 2);
        bytes.tensor("token_embd.weight", 0, 160, 256);
        bytes.data(160 + 1024);
        Files.write(file, bytes.out.toByteArray());
        return file;
    }

    /** GGUF by hand. */
    private static final class GgufBytes {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        void begin(long tensors, long pairs) {
            out.writeBytes("GGUF".getBytes(StandardCharsets.US_ASCII));
            u32(3);
            u64(tensors);
            u64(pairs);
        }

        void text(String key, String value) {
            text(key);
            u32(8);
            text(value);
        }

        void u32(String key, int value) {
            text(key);
            u32(4);
            u32(value);
        }

        void tensor(String name, int type, long offset, long... extents) {
            text(name);
            u32(extents.length);
            for (long extent : extents) {
                u64(extent);
            }
            u32(type);
            u64(offset);
        }

        void data(int bytes) {
            out.writeBytes(new byte[(32 - out.size() % 32) % 32 + bytes]);
        }

        private void text(String value) {
            byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
            u64(bytes.length);
            out.writeBytes(bytes);
        }

        private void u32(int value) {
            out.writeBytes(ByteBuffer.allocate(4)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(value)
                    .array());
        }

        private void u64(long value) {
            out.writeBytes(ByteBuffer.allocate(8)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(value)
                    .array());
        }
    }
}
