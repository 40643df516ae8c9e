package nibble.checkpoint.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SequencedMap;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.safetensors.PlannedFile;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorView;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A one-layer Llama of 32-wide vectors and heads of 8, in a GGUF file that tests then damage. */
class GgufCheckpointTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private final SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    private final List<GgufPlan.Entry> tensors = new ArrayList<>();

    GgufCheckpointTest() {
        metadata.put("general.architecture", new GgufValue.Text("llama"));
        metadata.put("llama.context_length", new GgufValue.U32(128));
        metadata.put("llama.embedding_length", new GgufValue.U32(32));
        metadata.put("llama.block_count", new GgufValue.U32(1));
        metadata.put("llama.feed_forward_length", new GgufValue.U32(64));
        metadata.put("llama.attention.head_count", new GgufValue.U32(4));
        metadata.put("llama.attention.head_count_kv", new GgufValue.U32(2));
        metadata.put("llama.attention.layer_norm_rms_epsilon", new GgufValue.F32(1e-5f));
        metadata.put("llama.rope.dimension_count", new GgufValue.U32(8));
        metadata.put("tokenizer.ggml.model", new GgufValue.Text("llama"));
        metadata.put("tokenizer.ggml.tokens", new GgufValue.Texts(List.of("<unk>", "<s>", "</s>", "a", "b", "ab")));
        metadata.put("tokenizer.ggml.scores", new GgufValue.F32s(List.of(0f, 0f, 0f, -1f, -2f, -3f)));
        metadata.put("tokenizer.ggml.token_type", new GgufValue.I32s(List.of(2, 3, 3, 1, 1, 1)));
        metadata.put("tokenizer.ggml.bos_token_id", new GgufValue.U32(1));
        metadata.put("tokenizer.ggml.eos_token_id", new GgufValue.U32(2));
        add("token_embd.weight", GgufType.Q8_0, 6, 32);
        add("output_norm.weight", GgufType.F32, 32);
        add("blk.0.attn_norm.weight", GgufType.F32, 32);
        add("blk.0.ffn_norm.weight", GgufType.F32, 32);
        add("blk.0.attn_q.weight", GgufType.F16, 32, 32);
        add("blk.0.attn_k.weight", GgufType.Q8_0, 16, 32);
        add("blk.0.attn_v.weight", GgufType.BF16, 16, 32);
        add("blk.0.attn_output.weight", GgufType.Q4_0, 32, 32);
        add("blk.0.ffn_gate.weight", GgufType.Q5_1, 64, 32);
        add("blk.0.ffn_up.weight", GgufType.IQ4_NL, 64, 32);
        add("blk.0.ffn_down.weight", GgufType.Q4_1, 32, 64);
    }

    private void add(String name, GgufType type, long... shape) {
        tensors.add(new GgufPlan.Entry(name, type, Shape.of(shape)));
    }

    /** Every block's scale is 1 and every F16 row r of it is r, so that an element says where it came from. */
    private Path write() throws IOException {
        Path file = folder.resolve("tiny.gguf");
        write(GgufPlan.file("tiny.gguf", metadata, tensors));
        return file;
    }

    private void write(PlannedFile planned) {
        try (ShardedWriter writer = ShardedWriter.replacing(folder, planned)) {
            List<String> names =
                    planned.slots().stream().map(PlannedFile.Slot::tensor).toList();
            for (GgufPlan.Entry entry : tensors.stream()
                    .filter(tensor -> names.contains(tensor.name()))
                    .toList()) {
                byte[] data = new byte[(int) entry.bytes()];
                ByteBuffer b = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
                int rowBytes = data.length / (int) entry.shape().dim(0);
                for (int at = 0; at < data.length; at += entry.type().blockBytes()) {
                    int row = at / rowBytes;
                    switch (entry.type()) {
                        case F32 -> b.putFloat(at, 1);
                        case F16 -> b.putShort(at, Float.floatToFloat16(row));
                        case BF16 -> b.putShort(at, (short) (Float.floatToRawIntBits(row) >> 16));
                        default -> {
                            b.putShort(at, Float.floatToFloat16(1));
                            Arrays.fill(data, at + 2, at + entry.type().blockBytes(), (byte) row);
                        }
                    }
                }
                writer.write(entry.name(), MemorySegment.ofArray(data));
            }
            writer.finish();
        }
    }

    @Test
    void split_files_are_one_model_whichever_is_asked_for() throws IOException {
        List<Path> files = split();
        assertThat(files).hasSize(5);
        Map<String, String> expected = tensorsOf(files.getFirst());
        assertThat(expected).hasSize(11);
        assertThat(tensorsOf(files.getLast())).isEqualTo(expected);
        assertThat(tensorsOf(folder)).isEqualTo(expected);
        try (Checkpoint checkpoint = Checkpoint.open(files.getFirst())) {
            assertThat(checkpoint.weightFiles()).isEqualTo(files);
        }
        files.forEach(file -> file.toFile().delete());
        assertThat(tensorsOf(write())).isEqualTo(expected);
    }

    @Test
    void split_files_that_do_not_belong_together_are_refused_by_name() throws IOException {
        List<Path> files = split();
        byte[] second = Files.readAllBytes(files.get(1));
        Files.delete(files.get(1));
        assertThatThrownBy(() -> Checkpoint.open(files.getFirst()))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("m-00002-of-00005.gguf")
                .hasMessageContaining("is missing, one of 5");
        Files.copy(files.get(2), files.get(1));
        assertThatThrownBy(() -> Checkpoint.open(files.getFirst()))
                .hasMessageContaining("split.no 2 of split.count 5, expected 1 of 5");
        Files.write(files.get(1), second);
        Path renamed = Files.copy(files.get(3), folder.resolve("other.gguf"));
        assertThatThrownBy(() -> Checkpoint.open(renamed)).hasMessageContaining("MODEL-00001-of-00005.gguf");
    }

    private static String hex(byte[] bytes) {
        return java.util.HexFormat.of().formatHex(bytes);
    }

    private List<Path> split() {
        List<PlannedFile> files = GgufPlan.files("m", metadata, tensors, 2500);
        files.forEach(this::write);
        return files.stream().map(file -> folder.resolve(file.name())).toList();
    }

    private static Map<String, String> tensorsOf(Path path) {
        Map<String, String> data = new java.util.TreeMap<>();
        try (Checkpoint checkpoint = Checkpoint.open(path)) {
            for (String name : checkpoint.names()) {
                data.put(name, hex(checkpoint.tensor(name).data().toArray(ValueLayout.JAVA_BYTE)));
                // By rows it is the same.
                StoredTensor stored = checkpoint.stored(name).orElseThrow();
                java.io.ByteArrayOutputStream rows = new java.io.ByteArrayOutputStream();
                stored.forEachPart(300, part -> rows.writeBytes(part.toArray(ValueLayout.JAVA_BYTE)));
                assertThat(hex(rows.toByteArray())).as(name).isEqualTo(data.get(name));
            }
        }
        return data;
    }

    @Test
    void a_file_opens_by_its_path_and_in_a_folder_with_its_config_and_rows_reordered() throws IOException {
        Path file = write();
        for (Path path : List.of(file, folder)) {
            try (Checkpoint checkpoint = Checkpoint.open(path)) {
                ModelConfig config = checkpoint.config();
                assertThat(config.headDim()).isEqualTo(8);
                assertThat(config.rmsNormEps()).isEqualTo(1e-5);
                assertThat(config.vocabularySize()).isEqualTo(6);
                assertThat(config.tiedEmbeddings()).isTrue();
                assertThat(config.rope()).isEqualTo(new Rope(10_000, new Rope.None()));
                TensorView q = checkpoint.tensor("model.layers.0.self_attn.q_proj.weight");
                TensorView k = checkpoint.tensor("model.layers.0.self_attn.k_proj.weight");
                assertThat(q.dtype()).isEqualTo(DType.F16);
                assertThat(k.dtype()).isEqualTo(DType.F32);
                // Halves from pairs: rows 0 2 4 6 1 3 5 7 of each head of eight.
                int[] expected = {0, 2, 4, 6, 1, 3, 5, 7};
                for (int row = 0; row < 16; row++) {
                    int from = row / 8 * 8 + expected[row % 8];
                    assertThat(Float.float16ToFloat(q.data().get(ValueLayout.JAVA_SHORT_UNALIGNED, 64L * row)))
                            .isEqualTo(from);
                    assertThat(k.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 128L * row))
                            .isEqualTo(from);
                }
                assertThat(checkpoint
                                .stored("model.layers.0.mlp.up_proj.weight")
                                .orElseThrow()
                                .storage())
                        .isEqualTo("IQ4_NL");
                assertThat(new String(
                                checkpoint.madeFiles().get("tokenizer.json"), java.nio.charset.StandardCharsets.UTF_8))
                        .contains("\"merges\":[[\"a\",\"b\"]]");
            }
        }
    }

    @Test
    void what_is_not_supported_is_refused_by_name() throws IOException {
        refused(
                m -> m.put("general.architecture", new GgufValue.Text("qwen2moe")),
                "qwen2moe",
                "supported: llama, smollm3, seed_oss, qwen2, qwen3, phi3, gemma, gemma2, gemma3, granite, olmo2");
        refused(m -> m.put("llama.expert_count", new GgufValue.U32(8)), "llama.expert_used_count", "missing");
        refused(m -> m.put("split.count", new GgufValue.U32(3)), "split.count", "tiny.gguf", "00001-of-00003");
        refused(
                m -> m.put("llama.rope.scaling.type", new GgufValue.Text("ntk")),
                "\"ntk\" is not supported",
                "longrope");
        refused(
                m -> m.put("llama.attention.head_count", new GgufValue.Text("four")),
                "llama.attention.head_count",
                "whole number");
        refused(m -> m.put("llama.rope.dimension_count", new GgufValue.U32(4)), "4 rotated", "all three");
        refused(m -> m.remove("llama.block_count"), "llama.block_count is missing");
        refused(m -> m.put("llama.block_count", new GgufValue.U32(2)), "blk.1.attn_norm.weight");
        refused(m -> m.put("llama.attention.causal", new GgufValue.Flag(false)), "llama.attention.causal", "encoder");
        refused(m -> m.put("llama.logit_scale", new GgufValue.F32(0.0625f)), "llama.logit_scale is 0.0625");
        refused(m -> m.put("llama.attention.scale", new GgufValue.F32(0.01f)), "llama.attention.scale");
        refused(
                m -> m.put("llama.rope.scaling.attn_factor", new GgufValue.F32(1.2f)),
                "llama.rope.scaling.attn_factor");
        refused(m -> m.put("general.alignment", new GgufValue.U32(24)), "alignment 24");
        refused(m -> m.put("tokenizer.ggml.scores", new GgufValue.F32s(List.of(1f))), "1 scores");
        refused(
                m -> {
                    m.put("tokenizer.ggml.model", new GgufValue.Text("gpt2"));
                    m.put("tokenizer.ggml.pre", new GgufValue.Text("kimi-k2"));
                },
                "kimi-k2",
                "llama-bpe");
        add("blk.0.attn_q.bias", GgufType.F32, 32);
        refused(m -> {}, "attn_q.bias", "no such bias");
        tensors.removeLast();
        add("blk.0.attn_sinks.weight", GgufType.F32, 4);
        refused(m -> {}, "tensor blk.0.attn_sinks.weight is not one that \"llama\" has");
    }

    @Test
    void experts_and_layers_that_a_small_file_only_claims_are_refused_before_any_is_listed() throws IOException {
        refused(m -> m.put("llama.block_count", new GgufValue.U32(1 << 30)), "1073741824 layers of 0 experts");
        metadata.put("llama.expert_count", new GgufValue.U32(2));
        metadata.put("llama.expert_used_count", new GgufValue.U32(1));
        refused(m -> m.put("llama.expert_count", new GgufValue.U32(16_385)), "16385 experts", "16384 experts in one");
        refused(
                m -> {
                    m.put("llama.block_count", new GgufValue.U32(9000));
                    m.put("llama.expert_count", new GgufValue.U32(16_384));
                },
                "9000 layers of 16384 experts",
                "131072 in all");
        add("blk.0.ffn_up_exps.weight", GgufType.F16, 3, 1, 32);
        refused(m -> {}, "tensor blk.0.ffn_up_exps.weight is [3, 1, 32]", "a matrix for each of 2 experts");
        tensors.removeLast();
        add("blk.1.ffn_up_exps.weight", GgufType.F16, 2, 1, 32);
        refused(m -> {}, "tensor blk.1.ffn_up_exps.weight", "expected in layers 0 to 0");
    }

    /** llama.cpp's load_hparams: the type is linear unless given, the old key stands for the new one, 0 is none. */
    @ParameterizedTest
    @CsvSource({
        "'', '', 4, Linear[factor=4.0]",
        "'', 4, '', Linear[factor=4.0]",
        "'', 2, 8, Linear[factor=2.0]",
        "linear, '', 4, Linear[factor=4.0]",
        "linear, 4, '', Linear[factor=4.0]",
        "linear, '', '', None[]",
        "linear, 0, '', None[]",
        "'', 1, '', None[]",
        "none, 4, '', None[]",
        "none, '', 4, None[]",
        "yarn, 1, '', None[]",
        "longrope, '', '', None[]",
    })
    void rope_is_scaled_as_llama_cpp_reads_it(String type, String factor, String old, String expected)
            throws IOException {
        if (!type.isEmpty()) {
            metadata.put("llama.rope.scaling.type", new GgufValue.Text(type));
        }
        if (!factor.isEmpty()) {
            metadata.put("llama.rope.scaling.factor", new GgufValue.F32(Float.parseFloat(factor)));
        }
        if (!old.isEmpty()) {
            metadata.put("llama.rope.scale_linear", new GgufValue.F32(Float.parseFloat(old)));
        }
        try (Checkpoint checkpoint = Checkpoint.open(write())) {
            assertThat(checkpoint.config().rope().scaling()).hasToString(expected);
        }
    }

    @Test
    void divisors_that_are_all_one_scale_nothing_and_others_do_not_mix_with_a_factor() throws IOException {
        add("rope_freqs.weight", GgufType.F32, 4);
        metadata.put("llama.rope.scale_linear", new GgufValue.F32(4));
        try (Checkpoint checkpoint = Checkpoint.open(write())) {
            assertThat(checkpoint.config().rope().scaling()).isEqualTo(new Rope.Linear(4));
        }
    }

    @Test
    void a_number_for_each_layer_is_taken_where_all_are_alike() throws IOException {
        metadata.put("llama.attention.head_count_kv", new GgufValue.I32s(List.of(2)));
        metadata.put("llama.feed_forward_length", new GgufValue.I32s(List.of(64)));
        try (Checkpoint checkpoint = Checkpoint.open(write())) {
            assertThat(checkpoint.config().kvHeads()).isEqualTo(2);
        }
        refused(
                m -> m.put("llama.attention.head_count_kv", new GgufValue.I32s(List.of(2, 4))),
                "llama.attention.head_count_kv",
                "differs from layer to layer");
    }

    @Test
    void a_file_without_the_suffix_or_beside_a_config_json_opens() throws IOException {
        Map<String, String> expected = tensorsOf(write());
        Files.writeString(folder.resolve("config.json"), "{}");
        assertThat(tensorsOf(folder)).isEqualTo(expected);
        Path blob = Files.move(folder.resolve("tiny.gguf"), folder.resolve("sha256-abcdef"));
        assertThat(tensorsOf(blob)).isEqualTo(expected);
        assertThat(tensorsOf(folder)).isEqualTo(expected);
    }

    private void refused(Consumer<SequencedMap<String, GgufValue>> change, String... parts) throws IOException {
        SequencedMap<String, GgufValue> kept = new LinkedHashMap<>(metadata);
        change.accept(metadata);
        Path file = write();
        assertThatThrownBy(() -> {
                    try (Checkpoint checkpoint = Checkpoint.open(file)) {
                        checkpoint.tokenizer();
                    }
                })
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("tiny.gguf")
                .hasMessageContainingAll(parts);
        metadata.clear();
        metadata.putAll(kept);
    }

    @Test
    void a_file_of_an_unknown_type_version_or_cut_short_is_refused_with_its_byte() throws IOException {
        byte[] whole = Files.readAllBytes(write());
        assertThatThrownBy(() -> open(Arrays.copyOf(whole, whole.length - 300)))
                .hasMessageContaining("ffn_down")
                .hasMessageContaining("cut short");
        assertThatThrownBy(() -> open(Arrays.copyOf(whole, 100)))
                .hasMessageContaining("byte")
                .hasMessageContaining("cut short");
        byte[] version = whole.clone();
        version[4] = 9;
        assertThatThrownBy(() -> open(version)).hasMessageContaining("byte 8").hasMessageContaining("version 9");
        assertThatThrownBy(() -> open("not a model".getBytes(java.nio.charset.StandardCharsets.UTF_8)))
                .hasMessageContaining("no \"GGUF\"");
    }

    /** Whatever bytes change, the reader answers with a model or with its own refusal, and soon. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 20261124})
    void damaged_files_are_refused_and_never_break_the_reader(long seed) throws IOException {
        byte[] whole = Files.readAllBytes(write());
        Random random = new Random(seed);
        int header = whole.length
                - (int) tensors.stream().mapToLong(GgufPlan.Entry::bytes).sum();
        for (int round = 0; round < 300; round++) {
            byte[] changed = round % 5 == 0 ? Arrays.copyOf(whole, random.nextInt(whole.length)) : whole.clone();
            for (int i = random.nextInt(4); i >= 0 && changed.length > 0; i--) {
                changed[random.nextInt(Math.min(header, changed.length))] = (byte) random.nextInt(256);
            }
            try {
                open(changed);
            } catch (BadCheckpointException e) {
                assertThat(e.getMessage()).contains("fuzz.gguf");
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ", round " + round, e);
            }
        }
    }

    private void open(byte[] bytes) throws IOException {
        try (Checkpoint checkpoint = Checkpoint.open(Files.write(folder.resolve("fuzz.gguf"), bytes))) {
            assertThat(checkpoint.names()).isNotEmpty();
            checkpoint.tokenizer();
        }
    }
}
