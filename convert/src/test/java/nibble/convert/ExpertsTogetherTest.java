package nibble.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import nibble.convert.CheckpointConverter.Target;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.pack.Words;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Experts of Llama 4 and gpt-oss in 16 bits, in the tensors that transformers wrote the models with. */
class ExpertsTogetherTest {
    private static final Path MODELS =
            Path.of(System.getProperty("nibble.root", "..")).resolve("checkpoint/src/test/resources/architectures");

    @TempDir
    Path temp;

    @ParameterizedTest
    @ValueSource(strings = {"llama4", "gpt-oss"})
    void a_tensor_of_each_expert_becomes_the_tensors_that_transformers_wrote(String name) throws IOException {
        Path apart = apart(name, "none");
        assertThat(stored(apart).keySet()).anyMatch(tensor -> tensor.contains(".experts.3.up_proj"));
        Path out = convert(apart, Optional.empty(), new StopSignal());
        assertThat(stored(out)).isEqualTo(stored(MODELS.resolve(name)));
        try (Stream<Path> files = Files.list(out)) {
            assertThat(files.filter(file -> file.toString().endsWith(".safetensors")))
                    .hasSizeGreaterThan(3);
        }
        assertThat(read(out)).isEqualTo(read(apart));
    }

    @Test
    void a_matrix_of_many_tiles_comes_with_each_element_in_its_place() throws IOException {
        Path source = Files.createDirectory(temp.resolve("source"));
        String json = Files.readString(MODELS.resolve("llama4/config.json"))
                .replaceFirst("\"hidden_size\": 32", "\"hidden_size\": 136")
                .replaceFirst("\"intermediate_size\": 32", "\"intermediate_size\": 200");
        RandomCheckpoint.write(source, Map.of(), json);
        Path out = convert(source, Optional.of(DType.F32), new StopSignal());
        try (Checkpoint from = Checkpoint.open(source);
                Arena arena = Arena.ofConfined()) {
            TensorView gate = from.tensor("model.layers.1.feed_forward.experts.5.gate_proj.weight");
            TensorView up = from.tensor("model.layers.1.feed_forward.experts.5.up_proj.weight");
            TensorView together = file(out, "model.layers.1.feed_forward.experts.gate_up_proj", arena);
            assertThat(together.shape().toString()).isEqualTo("[6, 136, 400]");
            for (int row : new int[] {0, 63, 64, 130, 199}) {
                for (int column : new int[] {0, 63, 64, 135}) {
                    long at = ((5L * 136 + column) * 400 + row) * 4;
                    assertThat(float32(together, at)).isEqualTo(float16(gate, 2L * (row * 136 + column)));
                    assertThat(float32(together, at + 800)).isEqualTo(float16(up, 2L * (row * 136 + column)));
                }
            }
        }
    }

    @Test
    void experts_of_several_types_are_refused_unless_a_type_is_given() throws IOException {
        String odd = "model.layers.1.feed_forward.experts.2.up_proj.weight";
        Path apart = apart("llama4", odd);
        assertThatThrownBy(() -> convert(apart, Optional.empty(), new StopSignal()))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("tensor " + odd + " is F32 and")
                .hasMessageContaining("experts.0.gate_proj.weight is F16")
                .hasMessageContaining("give a type for all (--type)");
        assertThat(temp.resolve("out")).doesNotExist();
        assertThat(stored(convert(apart, Optional.of(DType.F16), new StopSignal())))
                .isEqualTo(stored(MODELS.resolve("llama4")));
    }

    @Test
    void a_stop_takes_effect_between_two_experts() throws IOException {
        Path apart = apart("gpt-oss", "none");
        StopSignal stop = new StopSignal();
        List<String> begun = new ArrayList<>();
        try (Checkpoint source = Checkpoint.open(apart)) {
            ConversionOptions whole = ConversionOptions.of(temp.resolve("out"), 30_000, done -> {});
            ConversionOptions options = new ConversionOptions(
                            whole.out(), 30_000, 1, false, stop, whole.note(), whole.progress())
                    .with(new ConversionShare.Part(items -> items.stream()
                            .filter(item -> item.outputs().getFirst().endsWith("experts.gate_up_proj"))
                            .forEach(item -> item.body().write((tensor, part) -> {
                                begun.add(tensor);
                                stop.raise();
                            }))));
            assertThatThrownBy(() ->
                            CheckpointConverter.convert(source, new Target.Safetensors(Optional.empty()), options))
                    .isInstanceOf(StoppedException.class);
        }
        assertThat(begun).containsExactly("model.layers.0.mlp.experts.gate_up_proj");
    }

    private Path convert(Path from, Optional<DType> type, StopSignal stop) {
        Path out = temp.resolve("out");
        try (Checkpoint source = Checkpoint.open(from)) {
            ConversionReport report = CheckpointConverter.convert(
                    source,
                    new Target.Safetensors(type),
                    new ConversionOptions(out, 30_000, 1, false, stop, note -> {}, done -> {}));
            assertThat(report.notes()).isEmpty();
        }
        return out;
    }

    /** A tiny model with a tensor for each expert, as earlier versions wrote it; one of them is F32. */
    private Path apart(String name, String odd) throws IOException {
        Path folder = Files.createDirectory(temp.resolve("apart"));
        Files.copy(MODELS.resolve(name).resolve("config.json"), folder.resolve("config.json"));
        try (Checkpoint model = Checkpoint.open(MODELS.resolve(name))) {
            List<TensorView> tensors = model.config().tensors().stream()
                    .map(spec -> model.tensor(spec.name()))
                    .map(tensor -> tensor.name().equals(odd) ? floats(tensor) : tensor)
                    .toList();
            List<TensorSpec> specs = tensors.stream().map(TensorView::spec).toList();
            try (ShardedWriter writer = new ShardedWriter(folder, ShardPlan.of(specs, 1 << 20))) {
                tensors.forEach(tensor -> writer.write(tensor.name(), tensor.data()));
                writer.finish();
            }
        }
        return folder;
    }

    private static TensorView floats(TensorView half) {
        TypeConversion conversion = new TypeConversion(half.spec(), DType.F32, Path.of("source"));
        return new TensorView(half.name(), DType.F32, half.shape(), conversion.convert(half.data()));
    }

    /** Tensors as the files have them, by name: type, shape and bytes. */
    private static TreeMap<String, List<Object>> stored(Path folder) throws IOException {
        TreeMap<String, List<Object>> tensors = new TreeMap<>();
        try (Arena arena = Arena.ofConfined();
                Stream<Path> files = Files.list(folder)) {
            for (Path file : files.filter(path -> path.toString().endsWith("model.safetensors")
                            || path.getFileName().toString().startsWith("model-"))
                    .toList()) {
                SafetensorsFile opened = SafetensorsFile.open(file, arena);
                opened.names().forEach(name -> tensors.put(name, contents(opened.tensor(name))));
            }
        }
        return tensors;
    }

    /** The same as the reader gives them. */
    private static TreeMap<String, List<Object>> read(Path folder) {
        TreeMap<String, List<Object>> tensors = new TreeMap<>();
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            ModelConfig config = checkpoint.config();
            config.tensors().forEach(spec -> tensors.put(spec.name(), contents(checkpoint.tensor(spec.name()))));
        }
        return tensors;
    }

    private static List<Object> contents(TensorView tensor) {
        byte[] bytes = new byte[Math.toIntExact(tensor.data().byteSize())];
        MemorySegment.copy(tensor.data(), 0, MemorySegment.ofArray(bytes), 0, bytes.length);
        return List.of(tensor.dtype(), tensor.shape().toString(), HexFormat.of().formatHex(bytes));
    }

    private static TensorView file(Path folder, String name, Arena arena) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(path -> path.toString().endsWith(".safetensors"))
                    .map(path -> SafetensorsFile.open(path, arena).find(name))
                    .flatMap(Optional::stream)
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static float float32(TensorView tensor, long at) {
        return Float.intBitsToFloat(tensor.data().get(Words.INT, at));
    }

    private static float float16(TensorView tensor, long at) {
        return Float.float16ToFloat(tensor.data().get(Words.SHORT, at));
    }
}
