package nibble.pack;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.DoubleConsumer;
import java.util.stream.Stream;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.DType;
import nibble.convert.LinearModule;
import nibble.convert.LlamaConfig;
import nibble.convert.OutputException;
import nibble.convert.OutputFolder;
import nibble.convert.QuantizationConfig;
import nibble.convert.QuantizedFormat;
import nibble.convert.ShardPlan;
import nibble.convert.ShardedWriter;
import nibble.convert.StoredTensor;
import nibble.convert.TensorSpec;
import nibble.convert.TensorView;

/**
 * From one checkpoint format to another, a tensor at a time. Between the 4-bit formats codes, zeros and scales stay as they
 * are; to dense safetensors a 4-bit weight becomes the fp16 numbers that loaders reconstruct from it.
 */
public final class CheckpointConverter {
    /** What to convert to. */
    public sealed interface Target {
        /** Dense safetensors; without a type, F16, BF16 and F32 tensors keep theirs. */
        record Safetensors(Optional<DType> type) implements Target {}

        /** A 4-bit format, from a 4-bit format. */
        record Packed(QuantizedFormat format) implements Target {}
    }

    /** One or more tensors of the output that are made together. */
    private record Item(List<TensorSpec> specs, long inputBytes, Producer data) {}

    private interface Producer {
        List<MemorySegment> make(Arena arena);
    }

    private final Checkpoint source;
    private final LlamaConfig config;
    private final Target target;
    private final List<ConversionReport.Underflow> underflows = new ArrayList<>();
    private final Set<String> used = new HashSet<>();

    private CheckpointConverter(Checkpoint source, Target target) {
        this.source = source;
        this.config = source.config();
        this.target = target;
    }

    /**
     * Converts {@code source} into the folder {@code out}, which appears whole or not at all.
     *
     * @param out must not exist yet, or be empty
     * @param maxShardBytes most tensor bytes of a file
     * @param progress told the fraction done, 0 to 1
     * @throws BadCheckpointException if the target cannot hold the source, naming the first tensor that it cannot
     * @throws OutputException if the folder is occupied or the disk is full or refuses
     */
    public static ConversionReport convert(
            Checkpoint source, Path out, Target target, long maxShardBytes, DoubleConsumer progress) {
        return new CheckpointConverter(source, target).run(out, maxShardBytes, progress);
    }

    private ConversionReport run(Path out, long maxShardBytes, DoubleConsumer progress) {
        long start = System.nanoTime();
        List<Item> items = items();
        List<TensorSpec> specs =
                items.stream().flatMap(item -> item.specs().stream()).toList();
        long total = Math.max(1, items.stream().mapToLong(Item::inputBytes).sum());
        long bytes;
        try (OutputFolder folder = OutputFolder.begin(out)) {
            try (ShardedWriter writer = new ShardedWriter(folder.path(), ShardPlan.of(specs, maxShardBytes))) {
                long done = 0;
                for (Item item : items) {
                    write(writer, item);
                    done += item.inputBytes();
                    progress.accept((double) done / total);
                }
                writer.finish();
            }
            writeTexts(folder.path(), texts(specs));
            bytes = bytesOf(folder.path());
            folder.commit();
        }
        return new ConversionReport(
                describe(config),
                describe(target),
                source.tensorBytes(),
                bytes,
                specs.size(),
                underflows,
                source.names().stream().filter(name -> !used.contains(name)).toList(),
                List.of(),
                (System.nanoTime() - start) / 1e9);
    }

    private static void write(ShardedWriter writer, Item item) {
        try (Arena arena = Arena.ofConfined()) {
            List<MemorySegment> data = item.data().make(arena);
            for (int i = 0; i < data.size(); i++) {
                writer.write(item.specs().get(i).name(), data.get(i));
            }
        }
    }

    private List<Item> items() {
        Map<String, Item> linears = new LinkedHashMap<>();
        if (config.quantization().isPresent()) {
            for (int layer = 0; layer < config.layers(); layer++) {
                for (LinearModule module : config.modules()) {
                    linears.put(module.name(layer) + ".weight", linear(module, layer, config.quantization().get()));
                }
            }
        } else if (target instanceof Target.Packed(QuantizedFormat format)) {
            throw new BadCheckpointException(
                    source.folder(), "is not quantized, and to " + format.method()
                            + " only 4-bit checkpoints are converted; quantize it first (nibble quantize)");
        }
        List<Item> items = new ArrayList<>();
        for (TensorSpec tensor : config.tensors()) {
            Item packed = linears.get(tensor.name());
            items.add(packed != null ? packed : dense(tensor.name()));
        }
        return items;
    }

    private Item dense(String name) {
        used.add(name);
        StoredTensor stored = source.stored(name).orElseThrow();
        DType type =
                switch (target) {
                    case Target.Safetensors(Optional<DType> wanted) -> wanted.orElseGet(() -> keptType(stored));
                    case Target.Packed _ -> DType.F16;
                };
        TensorSpec spec = new TensorSpec(name, type, stored.spec().shape());
        return new Item(List.of(spec), stored.storedBytes(), arena -> List.of(convert(stored.view(), stored.file(), type, arena)));
    }

    /** Block types of GGUF read as F32, which only fp16's range and more digits than they have tell from F16. */
    private static DType keptType(StoredTensor stored) {
        return stored.storage().equals(stored.spec().dtype().name()) ? stored.spec().dtype() : DType.F16;
    }

    private MemorySegment convert(TensorView tensor, Path file, DType type, Arena arena) {
        TypeConversion.Converted converted = TypeConversion.convert(tensor, type, file, arena);
        if (converted.loss() != null) {
            underflows.add(converted.loss());
        }
        return converted.data();
    }

    private Item linear(LinearModule linear, int layer, QuantizationConfig quantization) {
        String module = linear.name(layer);
        long inputBytes = 0;
        for (String name : source.names()) {
            if (name.startsWith(module + ".") && !name.endsWith(".bias")) {
                used.add(name);
                inputBytes += source.stored(name).orElseThrow().storedBytes();
            }
        }
        int out = config.outFeatures(linear);
        int in = config.inFeatures(linear);
        return switch (target) {
            case Target.Safetensors(Optional<DType> wanted) -> {
                DType type = wanted.orElse(DType.F16);
                String name = module + ".weight";
                TensorSpec spec = config.spec(linear, layer);
                yield new Item(
                        List.of(new TensorSpec(name, type, spec.shape())),
                        inputBytes,
                        arena -> List.of(convert(
                                Dequantized.half(name, PackedLinears.read(source, linear, layer)),
                                source.folder(),
                                type,
                                arena)));
            }
            case Target.Packed(QuantizedFormat format) ->
                new Item(
                        specs(format, module, out, in, quantization),
                        inputBytes,
                        _ -> repack(linear, layer, format, quantization));
        };
    }

    private List<TensorSpec> specs(
            QuantizedFormat format, String module, int out, int in, QuantizationConfig quantization) {
        try {
            return PackedLinears.specs(format, module, out, in, spec(quantization), quantization.symmetric());
        } catch (IllegalArgumentException e) {
            throw new BadCheckpointException(source.folder(), e.getMessage(), e);
        }
    }

    private List<MemorySegment> repack(
            LinearModule linear, int layer, QuantizedFormat format, QuantizationConfig quantization) {
        return switch (PackedLinears.read(source, linear, layer)) {
            case QuantizedLinear plain -> {
                try {
                    yield PackedLinears.pack(format, plain, quantization.symmetric());
                } catch (IllegalArgumentException e) {
                    throw new BadCheckpointException(source.folder(), linear.name(layer) + ": " + e.getMessage(), e);
                }
            }
            case ActOrderLinear _ ->
                throw new BadCheckpointException(
                        source.folder(), linear.name(layer) + ": its columns are in order of activation (g_idx), which "
                                + format.method() + " is not written with; convert to safetensors instead, which dequantizes");
        };
    }

    private static QuantizationSpec spec(QuantizationConfig quantization) {
        return new QuantizationSpec(quantization.bits(), quantization.groupSize());
    }

    /** Name and content of the text files that are made, not copied. */
    private Map<String, String> texts(List<TensorSpec> specs) {
        Map<String, String> texts = new LinkedHashMap<>();
        switch (target) {
            case Target.Safetensors _ ->
                texts.put(
                        "config.json",
                        QuantizationJson.pretty(QuantizationJson.dense(config, specs.getFirst().dtype())));
            case Target.Packed(QuantizedFormat format) -> {
                QuantizationConfig from = config.quantization().orElseThrow();
                texts.put(
                        "config.json",
                        QuantizationJson.pretty(
                                QuantizationJson.quantized(config, format, spec(from), from.symmetric())));
                texts.putAll(QuantizationJson.beside(format, spec(from), from.symmetric()));
            }
        }
        return texts;
    }

    private void writeTexts(Path folder, Map<String, String> texts) {
        Path file = folder;
        try {
            for (Map.Entry<String, String> text : texts.entrySet()) {
                file = folder.resolve(text.getKey());
                Files.writeString(file, text.getValue());
            }
            for (Path side : source.sideFiles()) {
                file = folder.resolve(side.getFileName());
                Files.copy(side, file);
            }
            for (Map.Entry<String, byte[]> made : source.madeFiles().entrySet()) {
                file = folder.resolve(made.getKey());
                Files.write(file, made.getValue());
            }
        } catch (IOException e) {
            throw OutputException.of(file, "writing", e);
        }
    }

    private static long bytesOf(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            long bytes = 0;
            for (Path file : files.toList()) {
                bytes += Files.size(file);
            }
            return bytes;
        } catch (IOException e) {
            throw OutputException.of(folder, "listing", e);
        }
    }

    private static String describe(LlamaConfig config) {
        return config.quantization()
                .map(q -> describe(q.format()) + ", 4 bits, group size " + q.groupSize())
                .orElse("dense " + config.dtype());
    }

    private static String describe(Target target) {
        return switch (target) {
            case Target.Safetensors(Optional<DType> type) -> "safetensors" + type.map(t -> " " + t).orElse("");
            case Target.Packed(QuantizedFormat format) -> describe(format);
        };
    }

    private static String describe(QuantizedFormat format) {
        return format.method() + " (" + format.version() + ")";
    }
}
