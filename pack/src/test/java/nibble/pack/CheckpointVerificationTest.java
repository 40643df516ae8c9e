package nibble.pack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.Checksums;
import nibble.convert.Finding;
import nibble.convert.LinearModule;
import nibble.convert.LlamaLinear;
import nibble.convert.TensorNames;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A good quantized checkpoint has no findings; each planted defect is found, by its check, with a message that names it. */
class CheckpointVerificationTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String INDEX = "model.safetensors.index.json";

    @TempDir
    Path temp;

    private Path source;
    private Path good;

    /** A change of a folder that may fail. */
    interface Defect {
        void plant(Path folder) throws IOException;
    }

    @BeforeEach
    void write() throws IOException {
        source = TinyCheckpoint.write(temp.resolve("source"));
        good = quantize(source, temp.resolve("good"));
    }

    @Test
    void aGoodCheckpointHasNoFindings() {
        CheckpointVerification found = verify(good, Optional.of(source));
        // Four heads on eight devices: all there is to say.
        assertThat(found.findings()).allMatch(finding -> finding.check().equals("tensor-parallel"));
        assertThat(found.errors()).isZero();
        assertThat(found.files()).extracting(file -> file.path()).contains("config.json", INDEX, "tokenizer.json");
        assertThat(found.tensorParallel()).extracting(TensorParallelSplit::devices).containsExactly(1, 2, 4, 8);
        assertThat(found.source().orElseThrow().linears())
                .hasSize(7)
                .allSatisfy(linear -> assertThat(linear.relativeError()).isBetween(1e-4, 0.05));
    }

    static Stream<Arguments> defects() {
        return Stream.of(
                defect("a shard cut short", "shards", "cut short", f -> truncate(shard(f, 1), 100)),
                defect("a shard missing", "shards", "-of-", f -> Files.delete(shard(f, 1))),
                defect("a header without format", "shards", "no format", f -> inHeader(shard(f, 1), "\"format\":\"pt\"", "\"forma_\":\"pt\"")),
                defect("a wrong total", "index", "total_size", f -> editIndex(f, json -> ((ObjectNode) json.get("metadata")).put("total_size", 7))),
                defect("an index without a total", "index", "missing", f -> editIndex(f, json -> ((ObjectNode) json).remove("metadata"))),
                defect("a tensor the index leaves out", "index", "not a tensor of this model", f -> editIndex(f, json -> ((ObjectNode) json.get("weight_map")).remove("model.norm.weight"))),
                defect("an index that names another shard", "index", "should be in", CheckpointVerificationTest::swapShard),
                defect("an old weights file", "index", "does not name this file", f -> Files.copy(shard(f, 1), f.resolve("old.safetensors"))),
                defect("a pickle beside the weights", "shards", "pickle", f -> Files.writeString(f.resolve("pytorch_model.bin"), "x")),
                defect("config.json of another width", "tensors", "config.json asks for", f -> edit(f, "config.json", "\"hidden_size\" : 64", "\"hidden_size\" : 72")),
                defect("group sizes that disagree", "quantization-config", "group_size is 64", f -> edit(f, "quant_config.json", "\"q_group_size\" : 32", "\"q_group_size\" : 64")),
                defect("bits that disagree in GPTQ's file", "quantization-config", "bits is 8", f -> Files.writeString(f.resolve("quantize_config.json"), "{\"bits\": 8, \"group_size\": 32}")),
                defect("no quantization_config", "quantization-config", "as if it were not quantized", f -> editConfig(f, json -> json.remove("quantization_config"))),
                defect("bfloat16 in the config", "config", "bfloat16", f -> edit(f, "config.json", "\"float16\"", "\"bfloat16\"")),
                defect("no tokenizer", "tokenizer", "neither tokenizer.json", f -> Files.delete(f.resolve("tokenizer.json"))),
                defect("a larger tokenizer", "tokenizer", "another model's", f -> edit(f, "tokenizer.json", "\"b\":1", "\"b\":48")),
                defect("a broken tokenizer", "tokenizer", "tokenizer.json", f -> edit(f, "tokenizer.json", "}", "")),
                defect("no chat template", "chat-template", "chat_template", f -> Files.writeString(f.resolve("tokenizer_config.json"), "{}")),
                defect("a temperature without sampling", "generation-config", "do_sample", f -> Files.writeString(f.resolve("generation_config.json"), "{\"temperature\": 0.6}")),
                defect("an end that no token has", "generation-config", "outside the vocabulary", f -> Files.writeString(f.resolve("generation_config.json"), "{\"eos_token_id\": [2, 48]}")),
                defect("what a stopped copy leaves", "files", "stopped program", f -> Files.writeString(f.resolve("model.safetensors.tmp"), "x")),
                defect("a scale that is not a number", "scales", "NaN", f -> poke(f, scales(), 3, (short) 0x7e00)),
                defect("an infinite scale", "scales", "Infinity", f -> poke(f, scales(), 5, (short) 0x7c00)),
                defect("a negative scale", "scales", "scales are above 0", f -> poke(f, scales(), 5, (short) 0xb000)),
                defect("a scale of zero", "scales", "1 scales of 0", f -> poke(f, scales(), 5, (short) 0)),
                defect("an infinite gain", "numbers", "Infinity", f -> poke(f, TensorNames.FINAL_NORM, 1, (short) 0x7c00)),
                defect("zero points less one", "zeros", "GPTQ", CheckpointVerificationTest::lessOne),
                defect("codes in another order", "source", "another order", CheckpointVerificationTest::otherOrder),
                defect("a bit that flipped after checksums were written", "sha256", "has changed since", f -> poke(f, TensorNames.EMBEDDING, 0, (short) 0x0101)));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("defects")
    void aPlantedDefectIsFound(String name, String check, String fragment, Defect defect) throws IOException {
        if (check.equals("sha256")) {
            Checksums.write(good, verify(good, Optional.empty()).files());
        }
        defect.plant(good);

        CheckpointVerification found = verify(good, Optional.of(source));

        assertThat(found.findings())
                .as(name)
                .anySatisfy(finding -> {
                    assertThat(finding.check()).isEqualTo(check);
                    assertThat(finding.message()).contains(fragment);
                });
        assertThat(found.findings().stream().map(Finding::message).distinct().count())
                .as("nothing is said twice")
                .isEqualTo(found.findings().size());
    }

    @Test
    void splitsThatDoNotAlignAreNamed() throws IOException {
        Path wide = quantize(source, temp.resolve("wide"), new QuantizationSpec(4, 64));
        CheckpointVerification found = verify(wide, Optional.empty());
        assertThat(found.errors()).isZero();
        assertThat(found.tensorParallel()).extracting(TensorParallelSplit::aligned).containsExactly(true, false, false, false);
        assertThat(found.tensorParallel().get(1).obstacle()).contains("o_proj", "64", "group size");
    }

    @Test
    void aSourceOfAnotherShapeIsRefusedAndAFileIsNoCheckpoint() throws IOException {
        Path other = TinyCheckpoint.write(
                temp.resolve("other"),
                Map.of(),
                TinyCheckpoint.config().replace("\"intermediate_size\": 128", "\"intermediate_size\": 64"));
        CheckpointVerification found = verify(good, Optional.of(other));
        assertThat(found.findings()).anySatisfy(f -> assertThat(f.message()).contains("other shapes"));
        assertThatThrownBy(() -> verify(good.resolve("config.json"), Optional.empty()))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("give the checkpoint's folder");
    }

    private static CheckpointVerification verify(Path folder, Optional<Path> source) {
        return CheckpointVerification.of(folder, source, 2, bytes -> {});
    }

    private static Arguments defect(String name, String check, String fragment, Defect defect) {
        return arguments(name, check, fragment, defect);
    }

    private static Path quantize(Path source, Path out) throws IOException {
        return quantize(source, out, new QuantizationSpec(4, 32));
    }

    private static Path quantize(Path source, Path out, QuantizationSpec spec) throws IOException {
        Files.createDirectory(out);
        try (Checkpoint model = Checkpoint.open(source)) {
            AwqCheckpointPlan plan = AwqCheckpointPlan.of(model.config(), spec, 30_000);
            try (AwqCheckpointWriter writer = new AwqCheckpointWriter(model, out, plan)) {
                writer.carryOuterTensors();
                for (int layer = 0; layer < model.config().layers(); layer++) {
                    writer.carry(TensorNames.inputNorm(layer));
                    writer.carry(TensorNames.postAttentionNorm(layer));
                    for (LlamaLinear linear : LlamaLinear.values()) {
                        String name = linear.module(layer) + ".weight";
                        Path file = model.fileOf(name);
                        float[] weights = WeightReader.floats(model.tensor(name), file);
                        int rows = model.config().outFeatures(linear);
                        int columns = model.config().inFeatures(linear);
                        writer.write(LinearModule.of(linear), layer, Rounding.round(file, name, weights, rows, columns, spec, null));
                    }
                }
                writer.finish();
            }
        }
        Files.writeString(out.resolve("tokenizer.json"), "{\"model\":{\"vocab\":{\"a\":0,\"b\":1}},\"added_tokens\":[]}");
        Files.writeString(out.resolve("tokenizer_config.json"), "{\"chat_template\": \"{{ messages }}\"}");
        return out;
    }

    private static String scales() {
        return LlamaLinear.UP.module(1) + ".scales";
    }

    private static Path shard(Path folder, int number) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().startsWith("model-0000" + number))
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static void truncate(Path file, int bytes) throws IOException {
        Files.write(file, Arrays.copyOf(Files.readAllBytes(file), (int) Files.size(file) - bytes));
    }

    /** Replaces text of a safetensors header by text of the same length. */
    private static void inHeader(Path file, String from, String to) throws IOException {
        String bytes = Files.readString(file, StandardCharsets.ISO_8859_1);
        assertThat(bytes).contains(from);
        Files.writeString(file, bytes.replace(from, to), StandardCharsets.ISO_8859_1);
    }

    private static void edit(Path folder, String name, String from, String to) throws IOException {
        String text = Files.readString(folder.resolve(name));
        assertThat(text).contains(from);
        Files.writeString(folder.resolve(name), text.replace(from, to));
    }

    private static void editIndex(Path folder, Consumer<JsonNode> change) throws IOException {
        JsonNode json = JSON.readTree(folder.resolve(INDEX).toFile());
        change.accept(json);
        JSON.writeValue(folder.resolve(INDEX).toFile(), json);
    }

    private static void editConfig(Path folder, Consumer<ObjectNode> change) throws IOException {
        ObjectNode json = (ObjectNode) JSON.readTree(folder.resolve("config.json").toFile());
        change.accept(json);
        JSON.writeValue(folder.resolve("config.json").toFile(), json);
    }

    private static void swapShard(Path folder) throws IOException {
        editIndex(folder, json -> {
            ObjectNode map = (ObjectNode) json.get("weight_map");
            String where = map.get(TensorNames.EMBEDDING).asText();
            List<String> others = new ArrayList<>(map.findValuesAsText("x"));
            map.properties().forEach(entry -> others.add(entry.getValue().asText()));
            map.put(TensorNames.EMBEDDING, others.stream().filter(name -> !name.equals(where)).findFirst().orElseThrow());
        });
    }

    /** Overwrites a 16-bit element of a tensor where it lies in its file. */
    private static void poke(Path folder, String tensor, int element, short value) throws IOException {
        patch(folder, tensor, bytes -> {
            bytes[2 * element] = (byte) value;
            bytes[2 * element + 1] = (byte) (value >> 8);
        });
    }

    private static void lessOne(Path folder) throws IOException {
        patch(folder, LlamaLinear.DOWN.module(1) + ".qzeros", bytes -> {
            for (int i = 0; i < bytes.length; i++) {
                int low = Math.max(0, (bytes[i] & 15) - 1);
                int high = Math.max(0, (bytes[i] >> 4 & 15) - 1);
                bytes[i] = (byte) (low | high << 4);
            }
        });
    }

    /** The two nibbles of every byte change places. */
    private static void otherOrder(Path folder) throws IOException {
        patch(folder, LlamaLinear.GATE.module(1) + ".qweight", bytes -> {
            for (int i = 0; i < bytes.length; i++) {
                bytes[i] = (byte) ((bytes[i] & 15) << 4 | bytes[i] >> 4 & 15);
            }
        });
    }

    private static void patch(Path folder, String tensor, Consumer<byte[]> change) throws IOException {
        JsonNode index = JSON.readTree(folder.resolve(INDEX).toFile());
        Path file = folder.resolve(index.get("weight_map").get(tensor).asText());
        try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
            long headerBytes = Long.reverseBytes(access.readLong());
            byte[] header = new byte[(int) headerBytes];
            access.readFully(header);
            JsonNode offsets = JSON.readTree(header).get(tensor).get("data_offsets");
            byte[] data = new byte[offsets.get(1).asInt() - offsets.get(0).asInt()];
            access.seek(8 + headerBytes + offsets.get(0).asLong());
            access.readFully(data);
            change.accept(data);
            access.seek(8 + headerBytes + offsets.get(0).asLong());
            access.write(data);
        }
    }
}
