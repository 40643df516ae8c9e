package nibble.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.AwqLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AwqCheckpointTest {
    private static final long GB = 1_000_000_000L;

    @TempDir
    Path temp;

    @ParameterizedTest
    @CsvSource({"8192, 28672, 80, 64, 8, 36.61", "5120, 13824, 40, 40, 40, 7.25", "4096, 11008, 32, 32, 32, 3.89"})
    void llama2_sizes_follow_from_the_config(int hidden, int mlp, int layers, int heads, int kvHeads, double gigabytes)
            throws IOException {
        Path file = temp.resolve("config.json");
        Files.writeString(file, """
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d, "intermediate_size": %d,
             "num_hidden_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d, "vocab_size": 32000,
             "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "hidden_act": "silu",
             "tie_word_embeddings": false, "torch_dtype": "float16"}
            """.formatted(hidden, mlp, layers, heads, kvHeads));
        CheckpointPlan plan = CheckpointPlan.of(ModelConfig.read(file), new QuantizationSpec(4, 128), 10 * GB);
        assertThat(Math.round(plan.shardBytes() / 1e7) / 100.0).isEqualTo(gigabytes);
        plan.shards().shards().forEach(shard -> assertThat(shard.fileBytes()).isLessThanOrEqualTo(10 * GB));
    }

    @ParameterizedTest
    @CsvSource({"llama-2-70b, 36.61", "llama-2-13b, 7.25", "llama-2-7b, 3.89"})
    void the_named_shapes_are_those_models(String name, double gigabytes) {
        CheckpointPlan plan =
                CheckpointPlan.of(ModelShape.named(name).orElseThrow().config(), new QuantizationSpec(4, 128), 10 * GB);
        assertThat(Math.round(plan.shardBytes() / 1e7) / 100.0).isEqualTo(gigabytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {32, 64, -1})
    void the_written_checkpoint_is_the_planned_one_and_reads_back(int groupSize) throws IOException {
        QuantizationSpec spec = new QuantizationSpec(4, groupSize);
        try (Checkpoint source = RandomCheckpoint.open(temp.resolve("source"))) {
            Path out = Files.createDirectory(temp.resolve("out"));
            CheckpointPlan plan = RoundedCheckpoint.write(source, out, QuantizedFormat.AWQ_GEMM, spec, 30_000);

            long side = 0;
            for (Path file : source.sideFiles()) {
                side += Files.size(file);
                assertThat(out.resolve(file.getFileName())).hasSameBinaryContentAs(file);
            }
            assertThat(bytes(out, "")).isEqualTo(plan.fileBytes() + side);
            assertThat(bytes(out, "model")).isEqualTo(plan.shardBytes());

            try (Checkpoint written = Checkpoint.open(out)) {
                for (Linear linear : Linear.SEVEN) {
                    QuantizedLinear expected = RoundedCheckpoint.rounded(source, linear, 1, spec);
                    QuantizedLinear found =
                            AwqLayout.read(written, LinearModule.of(linear), 1).unpack();
                    assertThat(found.codes()).isEqualTo(expected.codes());
                    assertThat(found.zeros()).isEqualTo(expected.zeros());
                    assertThat(found.scales()).isEqualTo(expected.scales());
                }
            }
        }
    }

    @Test
    void configs_are_what_loaders_expect() throws IOException {
        try (Checkpoint source = RandomCheckpoint.open(temp.resolve("source"))) {
            CheckpointPlan plan = CheckpointPlan.of(source.config(), new QuantizationSpec(4, 64), GB);
            ObjectMapper json = new ObjectMapper();
            JsonNode config = json.readTree(plan.configs().get("config.json"));
            List<String> keys = config.propertyStream().map(Map.Entry::getKey).toList();
            JsonNode original = json.readTree(RandomCheckpoint.config());
            assertThat(keys.subList(0, keys.size() - 1))
                    .isEqualTo(original.propertyStream().map(Map.Entry::getKey).toList());
            assertThat(config.get("quantization_config").toString())
                    .isEqualTo("{\"bits\":4,\"group_size\":64,\"modules_to_not_convert\":null,\"quant_method\":\"awq\","
                            + "\"version\":\"gemm\",\"zero_point\":true}");
            assertThat(json.readTree(plan.configs().get("quant_config.json")).toString())
                    .isEqualTo("{\"zero_point\":true,\"q_group_size\":64,\"w_bit\":4,\"version\":\"GEMM\"}");
        }
    }

    @Test
    void the_dtype_key_of_the_source_is_kept() throws IOException {
        Path file = temp.resolve("config.json");
        Files.writeString(
                file, RandomCheckpoint.config().replace("\"torch_dtype\": \"float16\"", "\"dtype\": \"bfloat16\""));
        JsonNode config = new ObjectMapper()
                .readTree(CheckpointPlan.of(ModelConfig.read(file), new QuantizationSpec(4, 32), GB)
                        .configs()
                        .get("config.json"));
        assertThat(config.get("dtype").asText()).isEqualTo("float16");
        assertThat(config.has("torch_dtype")).isFalse();
    }

    @Test
    void a_carried_tensor_that_is_not_finite_is_named() throws IOException {
        Path folder = RandomCheckpoint.write(
                temp.resolve("source"), Map.of(TensorNames.EMBEDDING, Float.floatToFloat16(Float.NaN)));
        try (Checkpoint source = Checkpoint.open(folder)) {
            Path out = Files.createDirectory(temp.resolve("out"));
            CheckpointPlan plan = CheckpointPlan.of(source.config(), new QuantizationSpec(4, 32), GB);
            try (CheckpointWriter writer = CheckpointWriter.keeping(source, out, plan)) {
                assertThatThrownBy(writer::carryOuterTensors)
                        .hasMessageContaining("model.embed_tokens.weight")
                        .hasMessageContaining("[0, 5]")
                        .hasMessageContaining("NaN");
            }
        }
    }

    private static long bytes(Path folder, String prefix) throws IOException {
        long bytes = 0;
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                if (file.getFileName().toString().startsWith(prefix)) {
                    bytes += Files.size(file);
                }
            }
        }
        return bytes;
    }
}
