package nibble.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import nibble.convert.CheckpointConverter.Target;
import nibble.convert.verify.CheckpointVerification;
import nibble.pack.ActOrderLinear;
import nibble.pack.Brain;
import nibble.pack.Half;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;
import nibble.pack.layout.GptqLayout;
import nibble.pack.layout.PackedLinears;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointConverterTest {
    private static final long SHARD = 30_000;
    private static final Target DENSE = new Target.Safetensors(Optional.empty());

    @TempDir
    Path temp;

    @ParameterizedTest
    @ValueSource(ints = {32, 128, -1})
    void awq_to_gptq_to_compressed_tensors_and_back_gives_the_same_bytes(int groupSize) throws IOException {
        Path awq = awq(groupSize, RandomCheckpoint.config());
        Path gptq = convert(awq, "gptq", packed(QuantizedFormat.GPTQ_V2));
        Path compressed = convert(gptq, "compressed", packed(QuantizedFormat.COMPRESSED_TENSORS));
        Path back = convert(compressed, "back", packed(QuantizedFormat.AWQ_GEMM));

        assertThat(tensors(gptq))
                .containsKey("model.layers.0.mlp.up_proj.g_idx")
                .isNotEqualTo(tensors(awq));
        assertThat(tensors(compressed)).containsKey("model.layers.0.mlp.up_proj.weight_packed");
        assertThat(tensors(back)).isEqualTo(tensors(awq));
        assertThat(back.resolve("generation_config.json"))
                .hasSameBinaryContentAs(awq.resolve("generation_config.json"));
        assertThat(json(back.resolve("config.json"))).isEqualTo(json(awq.resolve("config.json")));
        assertThat(json(back.resolve("quant_config.json"))).isEqualTo(json(awq.resolve("quant_config.json")));
        // Whatever the format, the dequantized model is the same.
        assertThat(tensors(convert(gptq, "dense-gptq", DENSE))).isEqualTo(tensors(convert(awq, "dense-awq", DENSE)));
        assertThat(tensors(convert(compressed, "dense-ct", DENSE))).isEqualTo(tensors(temp.resolve("dense-awq")));
    }

    @ParameterizedTest
    @EnumSource(QuantizedFormat.class)
    void configs_say_what_loaders_expect(QuantizedFormat format) throws IOException {
        Path awq = awq(32, RandomCheckpoint.config());
        JsonNode found =
                json(convert(awq, "out", packed(format)).resolve("config.json")).get("quantization_config");
        assertThat(found.get("quant_method").asText()).isEqualTo(format.method());
        switch (format) {
            case AWQ_GEMM -> assertThat(found.get("version").asText()).isEqualTo("gemm");
            case GPTQ, GPTQ_V2 -> {
                assertThat(found.get("checkpoint_format").asText()).isEqualTo(format.version());
                assertThat(found.get("sym").asBoolean()).isFalse();
                assertThat(json(temp.resolve("out/quantize_config.json"))
                                .get("group_size")
                                .asInt())
                        .isEqualTo(32);
            }
            case COMPRESSED_TENSORS -> {
                assertThat(found.get("format").asText()).isEqualTo("pack-quantized");
                assertThat(found.at("/config_groups/group_0/weights").toString())
                        .isEqualTo("{\"num_bits\":4,\"type\":\"int\",\"symmetric\":false,\"dynamic\":false,"
                                + "\"strategy\":\"group\",\"group_size\":32}");
            }
        }
    }

    @Test
    void zeros_of_0_are_refused_by_the_first_gptq() throws IOException {
        Path changed = temp.resolve("changed");
        String zeros = "model.layers.1.self_attn.v_proj.qzeros";
        rewrite(awq(-1, RandomCheckpoint.config()), changed, zeros, MemorySegment.ofArray(new int[8]));
        assertThatThrownBy(() -> convert(changed, "out", packed(QuantizedFormat.GPTQ)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("model.layers.1.self_attn.v_proj: it has zeros of 0");
        assertThat(temp.resolve("out")).doesNotExist();
        assertThat(tensors(convert(
                        convert(changed, "v2", packed(QuantizedFormat.GPTQ_V2)),
                        "back",
                        packed(QuantizedFormat.AWQ_GEMM))))
                .isEqualTo(tensors(changed));
    }

    @Test
    void symmetric_zeros_survive_the_first_gptq_and_leave_compressed_tensors_without_zero_points() throws IOException {
        Path symmetric = symmetricGptq();
        Path compressed = convert(symmetric, "compressed", packed(QuantizedFormat.COMPRESSED_TENSORS));
        assertThat(tensors(compressed).keySet()).noneMatch(name -> name.endsWith("zero_point"));
        Path back = convert(compressed, "back", packed(QuantizedFormat.GPTQ));
        assertThat(tensors(back)).isEqualTo(tensors(symmetric));
        for (Path folder : new Path[] {symmetric, compressed, back}) {
            // The codes are random and so not about 0; loaders have no objection.
            assertThat(CheckpointVerification.of(folder, Optional.empty(), 1, bytes -> {})
                            .findings())
                    .filteredOn(finding -> finding.severity() == Finding.Severity.ERROR)
                    .extracting(Finding::check)
                    .isSubsetOf("tokenizer");
        }
        try (Checkpoint checkpoint = Checkpoint.open(back)) {
            TensorView zeros = checkpoint.tensor("model.layers.1.self_attn.v_proj.qzeros");
            assertThat(zeros.data().get(ValueLayout.JAVA_INT_UNALIGNED, 0)).isEqualTo(0x77777777);
        }
    }

    @Test
    void columns_in_order_of_activation_dequantize_and_are_refused_elsewhere() throws IOException {
        Path gptq = symmetricGptq();
        Path ordered = temp.resolve("ordered");
        int[] groups = new int[64];
        Random random = new Random(5);
        for (int i = 0; i < groups.length; i++) {
            groups[i] = random.nextInt(2);
        }
        rewrite(gptq, ordered, "model.layers.0.self_attn.k_proj.g_idx", MemorySegment.ofArray(groups));

        assertThatThrownBy(() -> convert(ordered, "awq", packed(QuantizedFormat.AWQ_GEMM)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContainingAll("model.layers.0.self_attn.k_proj", "g_idx", "convert to safetensors");
        try (Checkpoint plain = Checkpoint.open(gptq);
                Checkpoint checkpoint = Checkpoint.open(ordered);
                Checkpoint dense = Checkpoint.open(convert(ordered, "dense", DENSE))) {
            QuantizedLinear linear = (QuantizedLinear) PackedLinears.read(plain, Linear.K, 0);
            assertThat(PackedLinears.read(checkpoint, Linear.K, 0)).isInstanceOf(ActOrderLinear.class);
            MemorySegment weights =
                    dense.tensor("model.layers.0.self_attn.k_proj.weight").data();
            for (int row = 0; row < linear.outFeatures(); row++) {
                for (int column = 0; column < 64; column++) {
                    float scale = Float.float16ToFloat(linear.scales()[row * linear.groups() + groups[column]]);
                    assertThat(Float.float16ToFloat(weights.get(Words.SHORT, 2L * (row * 64 + column))))
                            .isEqualTo(Half.round((linear.code(row, column) - 8) * scale));
                }
            }
        }

        groups[3] = 2;
        Path wrong = temp.resolve("wrong");
        rewrite(gptq, wrong, "model.layers.0.self_attn.k_proj.g_idx", MemorySegment.ofArray(groups));
        assertThatThrownBy(() -> convert(wrong, "out", DENSE))
                .hasMessageContaining("column 3 is of group 2, there are 2");
        assertThat(temp.resolve("out")).doesNotExist();
    }

    @Test
    void a_dense_model_is_resharded_to_the_same_tensors_and_unused_ones_are_named() throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("source"));
        Path out = temp.resolve("out");
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            ConversionReport report = CheckpointConverter.convert(checkpoint, out, DENSE, 10_000, fraction -> {});
            assertThat(report.dropped()).isEmpty();
            assertThat(report.underflows()).isEmpty();
            assertThat(report.inputBytes()).isEqualTo(checkpoint.tensorBytes());
        }
        assertThat(tensors(out)).isEqualTo(tensors(source));
        assertThat(json(out.resolve("config.json"))).isEqualTo(json(source.resolve("config.json")));
        assertThatThrownBy(() -> convert(source, "awq", packed(QuantizedFormat.AWQ_GEMM)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("nibble quantize");
    }

    @Test
    void what_fp16_loses_of_bf16_is_counted_and_what_it_cannot_hold_is_refused() throws IOException {
        Path source = bfloat16(1e-6f, 1e-9f);
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            ConversionReport report = CheckpointConverter.convert(
                    checkpoint,
                    temp.resolve("out"),
                    new Target.Safetensors(Optional.of(DType.F16)),
                    SHARD,
                    fraction -> {});
            assertThat(report.underflows())
                    .containsExactly(new ConversionReport.Underflow(
                            TensorNames.EMBEDDING, 2, 1, "[0, 5]", Float.intBitsToFloat(Brain.bits(1e-6f) << 16)));
            assertThat(report.dropped()).containsExactly("model.layers.0.self_attn.rotary_emb.inv_freq");
        }
        assertThat(json(temp.resolve("out/config.json")).get("torch_dtype").asText())
                .isEqualTo("float16");
        assertThat(json(convert(source, "kept", DENSE).resolve("config.json"))
                        .get("torch_dtype")
                        .asText())
                .isEqualTo("bfloat16");

        Path large = bfloat16(70_000f, -1e30f);
        assertThatThrownBy(() -> convert(large, "large", new Target.Safetensors(Optional.of(DType.F16))))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContainingAll(TensorNames.EMBEDDING, "2 of 3072", "[0, 5]", "--type BF16");
        assertThat(temp.resolve("large")).doesNotExist();
        try (Stream<Path> left = Files.list(temp)) {
            assertThat(left.map(path -> path.getFileName().toString())).noneMatch(name -> name.contains("partial"));
        }
    }

    private Path bfloat16(float first, float second) throws IOException {
        Path folder = Files.createDirectories(temp.resolve("bf16-" + first));
        Files.writeString(
                folder.resolve("config.json"), RandomCheckpoint.config().replace("float16", "bfloat16"));
        List<TensorSpec> specs = new ArrayList<>(nibble.checkpoint.model.ModelConfig.read(folder.resolve("config.json"))
                .tensors());
        TensorSpec rotary = new TensorSpec("model.layers.0.self_attn.rotary_emb.inv_freq", DType.F32, Shape.of(8));
        specs.add(rotary);
        try (ShardedWriter writer = new ShardedWriter(folder, ShardPlan.of(specs, 1_000_000))) {
            for (TensorSpec spec : specs) {
                short[] values = new short[(int) (spec.bytes() / 2)];
                java.util.Arrays.fill(values, Brain.bits(0.5f));
                if (spec.name().equals(TensorNames.EMBEDDING)) {
                    values[5] = Brain.bits(first);
                    values[70] = Brain.bits(second);
                }
                writer.write(spec.name(), MemorySegment.ofArray(values));
            }
            writer.finish();
        }
        return folder;
    }

    private static Target packed(QuantizedFormat format) {
        return new Target.Packed(format);
    }

    private Path convert(Path source, String name, Target target) {
        Path out = temp.resolve(name);
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            CheckpointConverter.convert(checkpoint, out, target, SHARD, fraction -> {});
        }
        return out;
    }

    /** The tiny model, rounded, as AWQ writes it. */
    private Path awq(int groupSize, String config) throws IOException {
        QuantizationSpec spec = new QuantizationSpec(4, groupSize);
        Path out = Files.createDirectory(temp.resolve("awq"));
        String wide = config.replace("\"hidden_size\": 64", "\"hidden_size\": 128");
        try (Checkpoint source = Checkpoint.open(RandomCheckpoint.write(temp.resolve("original"), Map.of(), wide))) {
            RoundedCheckpoint.write(source, out, QuantizedFormat.AWQ_GEMM, spec, SHARD);
        }
        return out;
    }

    /** A checkpoint of GPTQ's first version with random codes and zeros of 8. */
    private Path symmetricGptq() throws IOException {
        Path folder = Files.createDirectory(temp.resolve("symmetric"));
        ObjectNode config = (ObjectNode) new ObjectMapper().readTree(RandomCheckpoint.config());
        config.putObject("quantization_config")
                .put("quant_method", "gptq")
                .put("bits", 4)
                .put("group_size", 32)
                .put("sym", true);
        Files.writeString(folder.resolve("config.json"), config.toString());
        var llama = nibble.checkpoint.model.ModelConfig.read(folder.resolve("config.json"));
        QuantizationSpec spec = new QuantizationSpec(4, 32);
        List<TensorSpec> specs = new ArrayList<>();
        List<MemorySegment> data = new ArrayList<>();
        Random random = new Random(9);
        for (TensorSpec tensor : llama.tensors()) {
            if (!tensor.name().contains("_proj")) {
                specs.add(tensor);
                data.add(MemorySegment.ofArray(new byte[(int) tensor.bytes()]));
                continue;
            }
            int out = (int) tensor.shape().dim(0);
            int in = (int) tensor.shape().dim(1);
            QuantizedLinear linear = QuantizedLinear.blank(out, in, spec);
            random.nextBytes(linear.codes());
            for (int i = 0; i < linear.scales().length; i++) {
                linear.zeros()[i] = 8;
                linear.scales()[i] = Float.floatToFloat16(0.001f + random.nextFloat());
            }
            String module = tensor.name().replace(".weight", "");
            specs.addAll(QuantizedFormat.GPTQ.tensors(module, out, in, in / 32, 4, true));
            data.addAll(List.of(GptqLayout.pack(linear, true)));
            // As AutoGPTQ does.
            specs.add(new TensorSpec(module + ".bias", DType.F16, Shape.of(out)));
            data.add(MemorySegment.ofArray(new byte[2 * out]));
        }
        write(folder, specs, data);
        return folder;
    }

    private static void rewrite(Path source, Path out, String changed, MemorySegment value) throws IOException {
        Files.createDirectories(out);
        Files.copy(source.resolve("config.json"), out.resolve("config.json"));
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            List<TensorSpec> specs = new ArrayList<>();
            List<MemorySegment> data = new ArrayList<>();
            for (String name : checkpoint.names()) {
                TensorView tensor = checkpoint.tensor(name);
                specs.add(tensor.spec());
                data.add(name.equals(changed) ? value : tensor.data());
            }
            write(out, specs, data);
        }
    }

    private static void write(Path folder, List<TensorSpec> specs, List<MemorySegment> data) {
        try (ShardedWriter writer = new ShardedWriter(folder, ShardPlan.of(specs, 1_000_000))) {
            for (int i = 0; i < specs.size(); i++) {
                writer.write(specs.get(i).name(), data.get(i));
            }
            writer.finish();
        }
    }

    /** Every tensor that matters: type, shape and bytes by name. */
    private static Map<String, String> tensors(Path folder) {
        Map<String, String> found = new TreeMap<>();
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            for (String name : checkpoint.names()) {
                TensorView tensor = checkpoint.tensor(name);
                if (!name.endsWith(".bias")) {
                    ByteBuffer bytes = tensor.data().asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
                    byte[] content = new byte[bytes.remaining()];
                    bytes.get(content);
                    found.put(
                            name,
                            tensor.dtype() + " " + tensor.shape() + " "
                                    + java.util.HexFormat.of().formatHex(content));
                }
            }
        }
        return found;
    }

    private static JsonNode json(Path file) throws IOException {
        return new ObjectMapper().readTree(file.toFile());
    }
}
