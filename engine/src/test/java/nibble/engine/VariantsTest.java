package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Models whose config.json says a thing in another way, or whose tensors lie there in another way, against
 * transformers' logits in fp64; convert/src/test/scripts/variants.py made variants.jsonl and says what a line holds.
 */
class VariantsTest {
    private static final Path FOLDER = Path.of("..", "checkpoint", "src", "test", "resources", "architectures");
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String HEAD = "lm_head.weight";
    private static final String EMBEDDING = "model.embed_tokens.weight";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    static List<String> lines() throws IOException {
        return Files.readAllLines(FOLDER.resolve("variants.jsonl"));
    }

    @ParameterizedTest
    @MethodSource("lines")
    void logits_are_those_of_transformers(String line) throws IOException {
        JsonNode variant = JSON.readTree(line);
        write(variant);
        int[] ids = new int[variant.get("ids").size()];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = variant.get("ids").get(i).intValue();
        }
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = Backends.open("reference", 1);
                Llama llama = Llama.load(checkpoint, backend)) {
            float[] logits = llama.logits(ids);
            int last = logits.length - logits.length / ids.length;
            double magnitude = 0;
            for (int i = last; i < logits.length; i++) {
                magnitude += Math.abs(logits[i]);
            }
            for (int i = 0; i < variant.get("first").size(); i++) {
                assertThat(logits[last + i])
                        .isCloseTo(
                                variant.get("first").get(i).floatValue(), org.assertj.core.data.Offset.offset(2e-4f));
            }
            assertThat(magnitude)
                    .isCloseTo(variant.get("magnitude").doubleValue(), org.assertj.core.data.Offset.offset(1e-2));
            boolean differs = variant.get("tensors").asText().equals("reversed_head");
            assertThat(checkpoint.remarks()).hasSize(differs ? 1 : 0);
            if (differs) {
                assertThat(checkpoint.config().tiedEmbeddings()).isFalse();
                assertThat(checkpoint.config().json().get("tie_word_embeddings").booleanValue())
                        .isFalse();
                assertThat(checkpoint.remarks().getFirst().message())
                        .contains("tie_word_embeddings is true", "differs");
            }
        }
    }

    private void write(JsonNode variant) throws IOException {
        Path model = FOLDER.resolve(variant.get("model").asText());
        ObjectNode config =
                (ObjectNode) JSON.readTree(model.resolve("config.json").toFile());
        variant.get("config").properties().forEach(change -> {
            config.remove(change.getKey());
            if (change.getValue().asText().equals("null") && change.getValue().isTextual()) {
                config.putNull(change.getKey());
            } else if (!change.getValue().isNull()) {
                config.set(change.getKey(), change.getValue());
            }
        });
        Files.writeString(folder.resolve("config.json"), config.toString());
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile file = SafetensorsFile.open(model.resolve("model.safetensors"), arena);
            SequencedMap<TensorSpec, MemorySegment> tensors = new LinkedHashMap<>();
            for (String name : file.names()) {
                TensorSpec spec = file.tensor(name).spec();
                MemorySegment data = file.tensor(name).data();
                switch (variant.get("tensors").asText()) {
                    case "unchanged" -> tensors.put(spec, data);
                    case "without_model" -> tensors.put(named(spec, name.replaceFirst("^model\\.", "")), data);
                    case "model_twice" -> tensors.put(named(spec, "model." + name), data);
                    case "without_head_bias" -> putUnless(name.equals("lm_head.bias"), tensors, spec, data);
                    case "without_attention_biases" ->
                        putUnless(name.matches(".*self_attn.*bias"), tensors, spec, data);
                    case "only_head" -> tensors.put(name.equals(EMBEDDING) ? named(spec, HEAD) : spec, data);
                    case "same_head", "reversed_head" -> {
                        tensors.put(spec, data);
                        if (name.equals(EMBEDDING)) {
                            boolean same = variant.get("tensors").asText().equals("same_head");
                            tensors.put(
                                    named(spec, HEAD),
                                    same
                                            ? data
                                            : reversed(data, (int) spec.shape().dim(0)));
                        }
                    }
                    default -> throw new IllegalArgumentException(line(variant));
                }
            }
            try (ShardedWriter writer =
                    new ShardedWriter(folder, ShardPlan.of(new ArrayList<>(tensors.keySet()), Long.MAX_VALUE))) {
                for (Map.Entry<TensorSpec, MemorySegment> tensor : tensors.entrySet()) {
                    writer.write(tensor.getKey().name(), tensor.getValue());
                }
                writer.finish();
            }
        }
    }

    private static void putUnless(
            boolean left, Map<TensorSpec, MemorySegment> tensors, TensorSpec spec, MemorySegment data) {
        if (!left) {
            tensors.put(spec, data);
        }
    }

    private static String line(JsonNode variant) {
        return variant.toString();
    }

    private static TensorSpec named(TensorSpec spec, String name) {
        return new TensorSpec(name, spec.dtype(), spec.shape());
    }

    private static MemorySegment reversed(MemorySegment data, int rows) {
        byte[] bytes = data.toArray(ValueLayout.JAVA_BYTE);
        byte[] reversed = new byte[bytes.length];
        int row = bytes.length / rows;
        for (int i = 0; i < rows; i++) {
            System.arraycopy(bytes, i * row, reversed, (rows - 1 - i) * row, row);
        }
        return MemorySegment.ofArray(reversed);
    }
}
