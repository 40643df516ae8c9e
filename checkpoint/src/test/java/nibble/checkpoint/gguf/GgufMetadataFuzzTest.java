package nibble.checkpoint.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.SequencedMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Mutations;
import nibble.checkpoint.safetensors.PlannedFile;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.Shape;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** GGUF headers with damage: their bytes, and their values with the form left whole. */
class GgufMetadataFuzzTest {
    /** What one reading may allocate: some hundred times the file, which is about twenty kilobytes. */
    private static final long MOST_BYTES = 16 << 20;

    private static final List<GgufValue> VALUES = List.of(
            new GgufValue.Text(""),
            new GgufValue.Text("llama"),
            new GgufValue.Text("\u0000\ud83d\ude00"),
            new GgufValue.Text("x".repeat(3000)),
            new GgufValue.U32(0),
            new GgufValue.U32(1),
            new GgufValue.U32(0xffffffffL),
            new GgufValue.U32(7),
            new GgufValue.U32(1 << 30),
            new GgufValue.I32(-1),
            new GgufValue.I32(Integer.MIN_VALUE),
            new GgufValue.U16(65_535),
            new GgufValue.F32(0),
            new GgufValue.F32(Float.NaN),
            new GgufValue.F32(-1e30f),
            new GgufValue.F32(Float.POSITIVE_INFINITY),
            new GgufValue.Flag(true),
            new GgufValue.Flag(false),
            new GgufValue.Texts(List.of()),
            new GgufValue.Texts(List.of("a", "")),
            new GgufValue.F32s(List.of(1f, Float.NaN)),
            new GgufValue.I32s(List.of()),
            new GgufValue.I32s(List.of(2)),
            new GgufValue.I32s(List.of(2, 3)));

    /** Keys that mean something, or nothing, put in addition. */
    private static final List<String> KEYS = List.of(
            "llama.rope.scaling.type",
            "llama.rope.scaling.factor",
            "llama.rope.scale_linear",
            "llama.expert_count",
            "llama.attention.key_length",
            "llama.attention.sliding_window",
            "llama.attention.causal",
            "llama.logit_scale",
            "general.alignment",
            "split.count",
            "split.no",
            "split.tensors.count",
            "llama.rope.freq_base",
            "general.name",
            "a",
            "");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private final List<GgufPlan.Entry> tensors = new ArrayList<>();

    private void add(String name, long... shape) {
        tensors.add(new GgufPlan.Entry(name, GgufType.F32, Shape.of(shape)));
    }

    GgufMetadataFuzzTest() {
        add("token_embd.weight", 6, 32);
        add("output_norm.weight", 32);
        add("rope_freqs.weight", 4);
        add("blk.0.attn_norm.weight", 32);
        add("blk.0.ffn_norm.weight", 32);
        add("blk.0.attn_q.weight", 32, 32);
        add("blk.0.attn_k.weight", 16, 32);
        add("blk.0.attn_v.weight", 16, 32);
        add("blk.0.attn_output.weight", 32, 32);
        add("blk.0.ffn_gate.weight", 8, 32);
        add("blk.0.ffn_up.weight", 8, 32);
        add("blk.0.ffn_down.weight", 32, 8);
    }

    private static SequencedMap<String, GgufValue> metadata() {
        SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put("general.architecture", new GgufValue.Text("llama"));
        metadata.put("llama.context_length", new GgufValue.U32(128));
        metadata.put("llama.embedding_length", new GgufValue.U32(32));
        metadata.put("llama.block_count", new GgufValue.U32(1));
        metadata.put("llama.feed_forward_length", new GgufValue.U32(8));
        metadata.put("llama.attention.head_count", new GgufValue.U32(4));
        metadata.put("llama.attention.head_count_kv", new GgufValue.U32(2));
        metadata.put("llama.attention.layer_norm_rms_epsilon", new GgufValue.F32(1e-5f));
        metadata.put("llama.rope.dimension_count", new GgufValue.U32(8));
        metadata.put("tokenizer.ggml.model", new GgufValue.Text("llama"));
        metadata.put("tokenizer.ggml.tokens", new GgufValue.Texts(List.of("<unk>", "<s>", "</s>", "a", "b", "ab")));
        metadata.put("tokenizer.ggml.scores", new GgufValue.F32s(List.of(0f, 0f, 0f, -1f, -2f, -3f)));
        metadata.put("tokenizer.ggml.token_type", new GgufValue.I32s(List.of(2, 3, 3, 1, 1, 1)));
        return metadata;
    }

    private byte[] write(SequencedMap<String, GgufValue> metadata, Random random) throws IOException {
        PlannedFile plan = GgufPlan.file("fuzz.gguf", metadata, tensors);
        try (ShardedWriter writer = ShardedWriter.replacing(folder, plan)) {
            for (GgufPlan.Entry entry : tensors) {
                byte[] data = new byte[(int) entry.bytes()];
                // Divisors of rope that are 1 as a rule, and sometimes anything.
                for (int i = 0; i < data.length; i += 4) {
                    data[i + 3] = 0x3f;
                    data[i + 2] = (byte) 0x80;
                }
                if (entry.name().equals("rope_freqs.weight") && random.nextInt(4) == 0) {
                    random.nextBytes(data);
                }
                writer.write(entry.name(), MemorySegment.ofArray(data));
            }
            writer.finish();
        }
        return Files.readAllBytes(folder.resolve("fuzz.gguf"));
    }

    @Test
    void bytes_and_pieces() throws IOException {
        byte[] whole = write(metadata(), new Random(0));
        int header = whole.length
                - (int) tensors.stream().mapToLong(GgufPlan.Entry::bytes).sum();
        Path damaged = folder.resolve("damaged.gguf");
        int rounds = Mutations.rounds(1500);
        int[] refused = new int[1];
        for (int seed = 0; seed < rounds; seed++) {
            Files.write(damaged, Mutations.of(whole, header, new Random(seed)));
            Mutations.within(seed, MOST_BYTES, refused, () -> read(damaged));
        }
        assertThat(refused[0]).as("of " + rounds).isBetween(rounds / 4, rounds);
    }

    @Test
    void values_and_keys() throws IOException {
        int rounds = Mutations.rounds(400);
        int[] refused = new int[1];
        for (int seed = 0; seed < rounds; seed++) {
            Random random = new Random(seed);
            SequencedMap<String, GgufValue> metadata = metadata();
            for (int i = random.nextInt(3); i >= 0; i--) {
                List<String> keys = new ArrayList<>(metadata.keySet());
                keys.addAll(KEYS);
                String key = keys.get(random.nextInt(keys.size()));
                if (random.nextInt(5) == 0) {
                    metadata.remove(key);
                } else {
                    metadata.put(key, VALUES.get(random.nextInt(VALUES.size())));
                }
            }
            write(metadata, random);
            Mutations.within(seed, MOST_BYTES, refused, () -> read(folder.resolve("fuzz.gguf")));
        }
        assertThat(refused[0]).as("of " + rounds).isBetween(rounds / 4, rounds);
    }

    private static void read(Path file) {
        try (Checkpoint checkpoint = Checkpoint.open(file)) {
            for (String name : checkpoint.names()) {
                assertThat(checkpoint.tensor(name).data().byteSize()).isPositive();
            }
        }
    }
}
