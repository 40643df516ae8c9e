package nibble.convert;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.DoubleConsumer;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.origin.Origin;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import nibble.convert.ConversionRun.Item;
import nibble.files.output.OutputException;
import nibble.pack.ActOrderLinear;
import nibble.pack.Dequantized;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.Layout;
import nibble.pack.layout.PackedLinears;
import nibble.pack.layout.PackedTensor;
import nibble.pack.layout.QuantizationJson;
import org.jspecify.annotations.Nullable;

/**
 * Converts from one checkpoint format to another, a tensor at a time. Between quantized formats codes, zeros and scales
 * stay as they are; to dense safetensors a quantized weight becomes the fp16 numbers that loaders reconstruct from it.
 */
public final class CheckpointConverter {
    /** Says what to convert to. */
    public sealed interface Target {
        /** Asks for dense safetensors; without a type, F16, BF16 and F32 tensors keep theirs. */
        record Safetensors(Optional<DType> type) implements Target {}

        /** Asks for a quantized format, from a quantized format. */
        record Packed(QuantizedFormat format) implements Target {}
    }

    /** The report's name in the output folder: what it was converted from and to, and where the model came from. */
    public static final String REPORT = "conversion_report.json";

    /** What 'nibble quantize' tells of codes, which are the same in another layout. */
    private static final String QUANTIZATION_REPORT = "quantization_report.json";

    private static final ObjectMapper JSON = new ObjectMapper();

    /** Dense tensors are converted so much at a time, or a row. */
    private static final long PART_BYTES = 16 << 20;

    private final Checkpoint source;
    private final ModelConfig config;
    private final Target target;
    private final List<TensorSpec> specs = new ArrayList<>();
    private final Set<String> used = new HashSet<>();
    /** What an item makes, by its first tensor. */
    private final Map<String, List<TensorSpec>> made = new HashMap<>();

    private CheckpointConverter(Checkpoint source, Target target) {
        this.source = source;
        this.config = source.config();
        this.target = target;
    }

    /** Converts from the beginning; see {@link #convert(Checkpoint, Target, ConversionOptions)}. */
    public static ConversionReport convert(
            Checkpoint source, Path out, Target target, long maxShardBytes, DoubleConsumer progress) {
        return convert(source, target, ConversionOptions.of(out, maxShardBytes, progress));
    }

    /**
     * Converts {@code source} into a folder, which appears complete or not at all. An unfinished run stays beside it
     * and can be resumed ({@link ConversionRun}).
     *
     * @throws BadCheckpointException if the target cannot hold the source, naming the first tensor that it cannot
     * @throws OutputException if the folder is occupied or the disk is full or refuses
     */
    public static ConversionReport convert(Checkpoint source, Target target, ConversionOptions options) {
        return new CheckpointConverter(source, target).run(options);
    }

    private ConversionReport run(ConversionOptions options) {
        long start = System.nanoTime();
        List<Item> items = items(options);
        CheckpointPlan plan = plan(options.maxShardBytes());
        Map<String, String> texts = new LinkedHashMap<>(plan.configs());
        texts.put(REPORT, QuantizationJson.pretty(reportJson()));
        CheckpointFiles files = new CheckpointFiles(source, texts);
        String[] alsoCopied = target instanceof Target.Packed ? new String[] {QUANTIZATION_REPORT} : new String[0];
        Map<String, String> decisive = new LinkedHashMap<>();
        decisive.put("--format", describe(target));
        decisive.put("--max-shard-size", options.maxShardBytes() + " bytes");
        List<ConversionReport.Underflow> underflows = ConversionRun.run(
                source,
                Fingerprint.of(decisive, source),
                new ConversionRun.Output(
                        plan.shards().files(), plan.shards().indexBytes(), folder -> files.write(folder, alsoCopied)),
                items,
                options);
        return new ConversionReport(
                describeSource(),
                describe(target),
                source.tensorBytes(),
                bytesOf(options.out()),
                specs.size(),
                underflows,
                source.names().stream().filter(name -> !used.contains(name)).toList(),
                notes(),
                (System.nanoTime() - start) / 1e9);
    }

    /** What a card later tells of the conversion. It holds no times: the same inputs give the same bytes. */
    private ObjectNode reportJson() {
        ObjectNode json = JSON.createObjectNode().put("from", describeSource()).put("to", describe(target));
        Origin origin = Origin.of(source.folder());
        if (!origin.isUnknown()) {
            json.set("source", JSON.valueToTree(origin));
        }
        return json;
    }

    private List<String> notes() {
        Optional<String> ofFormat = target instanceof Target.Packed(QuantizedFormat format)
                ? format.loaderNote(
                        config.quantization().map(QuantizationConfig::symmetric).orElse(false),
                        config.experts().isPresent())
                : Optional.empty();
        Optional<String> ofExperts =
                target instanceof Target.Packed ? config.architecture().expertsNote() : Optional.empty();
        return Stream.concat(ofExperts.stream(), ofFormat.stream()).toList();
    }

    private List<Item> items(ConversionOptions options) {
        Map<String, Item> linears = new LinkedHashMap<>();
        if (config.quantization().isPresent()) {
            for (int layer = 0; layer < config.layers(); layer++) {
                for (LinearModule module : config.modules(layer)) {
                    linears.put(
                            module.name(layer) + ".weight",
                            linear(module, layer, config.quantization().get()));
                }
            }
        } else if (target instanceof Target.Packed(QuantizedFormat format)) {
            throw new BadCheckpointException(
                    source.folder(),
                    "is not quantized, and to " + format.method()
                            + " only quantized checkpoints are converted; quantize it first (nibble quantize)");
        }
        List<Item> items = new ArrayList<>();
        for (TensorSpec tensor : config.tensors()) {
            Item packed = linears.get(tensor.name());
            items.add(packed != null ? packed : dense(tensor.name()));
        }
        if (target instanceof Target.Safetensors) {
            items = ExpertsTogether.join(source, items, made, options.stop());
        }
        items.forEach(item -> specs.addAll(made.getOrDefault(item.outputs().getFirst(), List.of())));
        return items;
    }

    private Item dense(String name) {
        used.add(name);
        StoredTensor stored = source.stored(name).orElseThrow();
        DType others = switch (target) {
            case Target.Safetensors(Optional<DType> wanted) -> wanted.orElseGet(() -> keptType(stored));
            case Target.Packed _ -> DType.F16;
        };
        DType type = TensorNames.type(name, others);
        TensorSpec spec = new TensorSpec(name, type, stored.spec().shape());
        return item(List.of(spec), List.of(name), stored.storedBytes(), sink -> {
            TypeConversion conversion = new TypeConversion(stored.spec(), type, stored.file());
            stored.forEachPart(PART_BYTES, part -> sink.write(name, conversion.convert(part)));
            return loss(conversion);
        });
    }

    private Item item(List<TensorSpec> specs, List<String> sources, long inputBytes, ConversionRun.Body body) {
        made.put(specs.getFirst().name(), specs);
        return new Item(specs.stream().map(TensorSpec::name).toList(), sources, inputBytes, body);
    }

    private static List<ConversionReport.Underflow> loss(TypeConversion conversion) {
        ConversionReport.@Nullable Underflow loss = conversion.finish();
        return loss == null ? List.of() : List.of(loss);
    }

    /** Block types of GGUF read as F32, which only fp16's range and more digits than they have tell from F16. */
    private static DType keptType(StoredTensor stored) {
        return stored.storage().equals(stored.spec().dtype().name())
                ? stored.spec().dtype()
                : DType.F16;
    }

    private Item linear(LinearModule linear, int layer, QuantizationConfig quantization) {
        String module = linear.name(layer);
        long inputBytes = 0;
        List<String> sources = new ArrayList<>();
        for (String name : source.names()) {
            if (name.startsWith(module + ".") && !name.endsWith(".bias")) {
                used.add(name);
                sources.add(name);
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
                yield item(List.of(new TensorSpec(name, type, spec.shape())), sources, inputBytes, sink -> {
                    TensorView half = Dequantized.half(name, PackedLinears.read(source, linear, layer));
                    TypeConversion conversion = new TypeConversion(half.spec(), type, source.folder());
                    sink.write(name, conversion.convert(half.data()));
                    return loss(conversion);
                });
            }
            case Target.Packed(QuantizedFormat format) -> {
                List<TensorSpec> packed = specs(format, module, out, in, quantization);
                yield item(packed, sources, inputBytes, sink -> {
                    repack(linear, layer, format, quantization)
                            .forEach(tensor -> sink.write(tensor.name(), tensor.data()));
                    return List.of();
                });
            }
        };
    }

    private List<TensorSpec> specs(
            QuantizedFormat format, String module, int out, int in, QuantizationConfig quantization) {
        try {
            return Layout.of(format).tensors(module, out, in, QuantizationSpec.of(quantization));
        } catch (IllegalArgumentException e) {
            throw new BadCheckpointException(source.folder(), e.getMessage(), e);
        }
    }

    private List<PackedTensor> repack(
            LinearModule linear, int layer, QuantizedFormat format, QuantizationConfig quantization) {
        return switch (PackedLinears.read(source, linear, layer)) {
            case QuantizedLinear plain -> {
                try {
                    yield Layout.of(format).pack(linear.name(layer), plain, quantization.symmetric());
                } catch (IllegalArgumentException e) {
                    throw new BadCheckpointException(source.folder(), linear.name(layer) + ": " + e.getMessage(), e);
                }
            }
            case ActOrderLinear _ ->
                throw new BadCheckpointException(
                        source.folder(),
                        linear.name(layer) + ": its columns are in order of activation (g_idx), which "
                                + format.method()
                                + " is not written with; convert to safetensors instead, which dequantizes");
        };
    }

    private CheckpointPlan plan(long maxShardBytes) {
        return switch (target) {
            case Target.Safetensors _ -> CheckpointPlan.dense(config, specs, maxShardBytes);
            case Target.Packed(QuantizedFormat format) -> {
                QuantizationConfig from = config.quantization().orElseThrow();
                yield CheckpointPlan.quantized(config, format, QuantizationSpec.of(from), maxShardBytes);
            }
        };
    }

    private static long bytesOf(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            long bytes = 0;
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                bytes += Files.size(file);
            }
            return bytes;
        } catch (IOException e) {
            throw OutputException.of(folder, "listing", e);
        }
    }

    private String describeSource() {
        if (config.quantization().isPresent()) {
            QuantizationConfig from = config.quantization().get();
            return describe(from.format()) + ", " + from.bits() + " bits, group size " + from.groupSize();
        }
        List<String> blocks = source.names().stream()
                .map(name -> source.stored(name).orElseThrow().storage())
                .filter(type -> DType.named(type).isEmpty())
                .distinct()
                .sorted()
                .toList();
        return blocks.isEmpty() ? "dense " + config.dtype() : "GGUF " + String.join(", ", blocks);
    }

    private static String describe(Target target) {
        return switch (target) {
            case Target.Safetensors(Optional<DType> type) ->
                "safetensors" + type.map(t -> " " + t).orElse("");
            case Target.Packed(QuantizedFormat format) -> describe(format);
        };
    }

    private static String describe(QuantizedFormat format) {
        return format.method() + " (" + format.version() + ")";
    }
}
