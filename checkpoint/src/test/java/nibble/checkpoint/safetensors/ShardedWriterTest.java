package nibble.checkpoint.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import nibble.files.output.OutputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardedWriterTest {
    @TempDir
    Path folder;

    @Test
    void a_tiny_file_has_these_bytes() throws IOException {
        // Made with Python's struct and json modules, not with this code.
        String golden =
                "90000000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a227074227d2c2261223a7b226474"
                    + "797065223a22463136222c227368617065223a5b325d2c22646174615f6f666673657473223a5b302c345d7d2c226222"
                    + "3a7b226474797065223a22493332222c227368617065223a5b312c315d2c22646174615f6f666673657473223a5b342c"
                    + "385d7d7d20202020003c00c0feffffff";
        ShardPlan plan = ShardPlan.of(
                List.of(new TensorSpec("a", DType.F16, Shape.of(2)), new TensorSpec("b", DType.I32, Shape.of(1, 1))),
                100);
        try (ShardedWriter writer = new ShardedWriter(folder, plan)) {
            writer.write("b", MemorySegment.ofArray(new int[] {-2}));
            writer.write("a", MemorySegment.ofArray(new short[] {0x3c00, (short) 0xc000}));
            writer.finish();
        }

        byte[] written = Files.readAllBytes(folder.resolve("model.safetensors"));
        assertThat(HexFormat.of().formatHex(written)).isEqualTo(golden);
        assertThat(plan.fileBytes()).isEqualTo(written.length);
        assertThat(names()).containsExactly("model.safetensors");
    }

    @Test
    void an_index_has_these_bytes() throws IOException {
        ShardPlan plan = ShardPlan.of(
                List.of(new TensorSpec("b", DType.U8, Shape.of(3)), new TensorSpec("a\"", DType.U8, Shape.of(2))), 3);
        writeAll(plan, new Random(1));

        assertThat(folder.resolve("model.safetensors.index.json")).hasContent("""
            {
              "metadata": {
                "total_size": 5
              },
              "weight_map": {
                "a\\"": "model-00002-of-00002.safetensors",
                "b": "model-00001-of-00002.safetensors"
              }
            }
            """);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 40, 1000, 5000, 1L << 40})
    void what_is_written_is_read_back_and_takes_the_planned_bytes(long maxShardBytes) throws IOException {
        Random random = new Random(maxShardBytes);
        // Of the types whose elements share bytes not every shape has whole ones.
        List<DType> types = Stream.of(DType.values())
                .filter(type -> !Set.of(DType.F6_E2M3, DType.F6_E3M2, DType.F4).contains(type))
                .toList();
        List<TensorSpec> specs = new ArrayList<>();
        for (int i = 0; i < 60; i++) {
            long[] dims = random.longs(random.nextInt(4), 0, 9).toArray();
            specs.add(new TensorSpec("tensor." + i + ".é", types.get(i % types.size()), Shape.of(dims)));
        }
        ShardPlan plan = ShardPlan.of(specs, maxShardBytes);
        Map<String, byte[]> data = writeAll(plan, random);

        long bytes = 0;
        for (String name : names()) {
            bytes += Files.size(folder.resolve(name));
        }
        assertThat(bytes).isEqualTo(plan.fileBytes());
        assertThat(plan.totalSize())
                .isEqualTo(specs.stream().mapToLong(TensorSpec::bytes).sum());
        List<TensorSpec> read = new ArrayList<>();
        try (Arena arena = Arena.ofConfined()) {
            for (ShardPlan.Shard shard : plan.shards()) {
                SafetensorsFile file = SafetensorsFile.open(folder.resolve(shard.fileName()), arena);
                assertThat(Files.size(file.path())).isEqualTo(shard.fileBytes());
                assertThat(file.dataStart() % 8).isZero();
                assertThat(file.metadata()).isEqualTo(Map.of("format", "pt"));
                for (TensorSpec spec : shard.tensors()) {
                    TensorView view = file.tensor(spec.name());
                    assertThat(view.data().toArray(ValueLayout.JAVA_BYTE)).isEqualTo(data.get(spec.name()));
                    read.add(view.spec());
                }
                assertThat(shard.dataBytes() <= maxShardBytes
                                || shard.tensors().stream()
                                                .filter(spec -> spec.bytes() > 0)
                                                .count()
                                        == 1)
                        .isTrue();
            }
        }
        assertThat(read).isEqualTo(specs);
        if (plan.shards().size() > 1) {
            assertThat(SafetensorsIndex.read(folder.resolve(SafetensorsIndex.FILE_NAME))
                            .weightMap())
                    .hasSize(specs.size())
                    .containsEntry(
                            specs.getFirst().name(), plan.shards().getFirst().fileName());
        }
    }

    @Test
    void data_larger_than_a_staging_buffer_is_written_whole_from_heap_and_native_memory() throws IOException {
        int length = (1 << 20) * 2 + 12_345;
        byte[] data = new byte[length];
        new Random(3).nextBytes(data);
        ShardPlan plan = ShardPlan.of(
                List.of(
                        new TensorSpec("heap", DType.U8, Shape.of(length)),
                        new TensorSpec("native", DType.U8, Shape.of(length))),
                Long.MAX_VALUE);
        try (ShardedWriter writer = new ShardedWriter(folder, plan);
                Arena arena = Arena.ofShared()) {
            writer.write("native", arena.allocateFrom(ValueLayout.JAVA_BYTE, data));
            writer.write("heap", MemorySegment.ofArray(data).asReadOnly());
            writer.finish();
        }
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile file = SafetensorsFile.open(folder.resolve("model.safetensors"), arena);
            assertThat(file.tensor("heap").data().mismatch(MemorySegment.ofArray(data)))
                    .isEqualTo(-1);
            assertThat(file.tensor("native").data().mismatch(MemorySegment.ofArray(data)))
                    .isEqualTo(-1);
        }
    }

    @Test
    void nothing_is_left_when_closed_before_the_end() throws IOException {
        ShardPlan plan = ShardPlan.of(
                List.of(new TensorSpec("a", DType.U8, Shape.of(3)), new TensorSpec("b", DType.U8, Shape.of(2))), 3);
        try (ShardedWriter writer = new ShardedWriter(folder, plan)) {
            writer.write("a", MemorySegment.ofArray(new byte[3]));
            assertThat(names()).allMatch(name -> name.endsWith(".partial"));
            assertThatIllegalStateException().isThrownBy(writer::finish).withMessageContaining("b");
        }
        assertThat(names()).isEmpty();
    }

    @Test
    void tensors_that_are_not_planned_so_are_refused() {
        ShardPlan plan = ShardPlan.of(List.of(new TensorSpec("a", DType.U8, Shape.of(3))), 3);
        try (ShardedWriter writer = new ShardedWriter(folder, plan)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> writer.write("x", MemorySegment.ofArray(new byte[3])));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> writer.write("a", MemorySegment.ofArray(new byte[4])));
            writer.write("a", MemorySegment.ofArray(new byte[3]));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> writer.write("a", MemorySegment.ofArray(new byte[3])));
        }
    }

    @Test
    void a_plan_larger_than_the_disk_is_refused_before_anything_is_written() throws IOException {
        ShardPlan plan = ShardPlan.of(List.of(new TensorSpec("a", DType.U8, Shape.of(1L << 61))), Long.MAX_VALUE);
        assertThatThrownBy(() -> new ShardedWriter(folder, plan))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining(folder.toString())
                .hasMessageContaining("free some space");
        assertThat(names()).isEmpty();
    }

    @Test
    void a_folder_that_is_gone_is_said() {
        ShardPlan plan = ShardPlan.of(List.of(new TensorSpec("a", DType.U8, Shape.of(1))), 9);
        assertThatThrownBy(() -> new ShardedWriter(folder.resolve("gone"), plan))
                .isInstanceOf(OutputException.class);
    }

    @Test
    void a_full_disk_is_said_with_what_to_do() {
        OutputException full = OutputException.of(folder, "writing", new IOException("No space left on device"));
        assertThat(full).hasMessageContaining("No space left on device; free some disk space");
    }

    @Test
    void plans_that_make_no_sense_are_refused() {
        TensorSpec a = new TensorSpec("a", DType.U8, Shape.of(1));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> ShardPlan.of(List.of(a, a), 9))
                .withMessageContaining("twice");
        assertThatIllegalArgumentException().isThrownBy(() -> ShardPlan.of(List.of(a), 0));
    }

    private Map<String, byte[]> writeAll(ShardPlan plan, Random random) {
        List<TensorSpec> specs = new ArrayList<>();
        plan.shards().forEach(shard -> specs.addAll(shard.tensors()));
        Collections.shuffle(specs, random);
        Map<String, byte[]> data = new HashMap<>();
        try (ShardedWriter writer = new ShardedWriter(folder, plan)) {
            for (TensorSpec spec : specs) {
                byte[] bytes = new byte[(int) spec.bytes()];
                random.nextBytes(bytes);
                data.put(spec.name(), bytes);
                writer.write(spec.name(), MemorySegment.ofArray(bytes));
            }
            writer.finish();
        }
        return data;
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
