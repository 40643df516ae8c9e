package nibble.cli.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.cli.TerminalCapture;
import nibble.pack.WeightReader;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A small model whose weights and config tests change. */
abstract class ModelDataCase {
    static final Path MODELS =
            Path.of(System.getProperty("nibble.root"), "checkpoint", "src", "test", "resources", "architectures");

    static final ObjectMapper JSON = new ObjectMapper();

    static final String HEAD = "lm_head.weight";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path folder;

    final TerminalCapture terminal = new TerminalCapture();

    @SuppressWarnings("NullAway.Init")
    Path model;

    @BeforeEach
    void text() throws IOException {
        model = folder.resolve("model");
        Files.writeString(folder.resolve("text.txt"), "The nibble is four bits, and four bits are enough. ".repeat(40));
    }

    /** A tiny model of random weights as bf16, with changed weights and config. */
    void write(Consumer<Map<String, float[]>> weights, Consumer<ObjectNode> config) throws IOException {
        Files.createDirectories(model);
        Map<String, float[]> values = new LinkedHashMap<>();
        Map<String, nibble.checkpoint.tensor.Shape> shapes = new LinkedHashMap<>();
        try (Checkpoint source = Checkpoint.open(MODELS.resolve("smollm"))) {
            for (String name : source.names()) {
                values.put(name, WeightReader.floats(source.tensor(name), model));
                shapes.put(name, source.tensor(name).shape());
            }
        }
        weights.accept(values);
        List<TensorSpec> specs = new ArrayList<>();
        values.forEach((name, data) -> {
            String plain = name.replace("module.", "").replace(HEAD, "model.embed_tokens.weight");
            specs.add(new TensorSpec(name, DType.BF16, shapes.get(plain)));
        });
        try (ShardedWriter writer = new ShardedWriter(model, ShardPlan.of(specs, Long.MAX_VALUE))) {
            for (Map.Entry<String, float[]> tensor : values.entrySet()) {
                ByteBuffer bytes =
                        ByteBuffer.allocate(2 * tensor.getValue().length).order(ByteOrder.LITTLE_ENDIAN);
                for (float value : tensor.getValue()) {
                    bytes.putShort((short) (Float.floatToRawIntBits(value) >>> 16));
                }
                writer.write(tensor.getKey(), MemorySegment.ofArray(bytes.array()));
            }
            writer.finish();
        }
        ObjectNode json = (ObjectNode)
                JSON.readTree(MODELS.resolve("smollm").resolve("config.json").toFile());
        json.put("dtype", "bfloat16");
        config.accept(json);
        Files.writeString(model.resolve("config.json"), json.toString());
        Files.copy(MODELS.resolve("tokenizer.json"), model.resolve("tokenizer.json"));
        Files.writeString(
                model.resolve("tokenizer_config.json"),
                "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_bos_token\":false}");
    }

    int run(String... arguments) {
        return terminal.run(arguments);
    }

    static JsonNode read(Path file) throws IOException {
        return JSON.readTree(file.toFile());
    }
}
