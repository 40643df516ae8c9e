package nibble.convert;

import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.pack.QuantizationSpec;
import nibble.pack.layout.Layout;
import nibble.pack.layout.QuantizationJson;

/**
 * Plans everything about a checkpoint to be written that follows from the model's config alone, before any weight is
 * read: which tensors are in which shard, the config files, and the bytes of them all.
 *
 * @param shards the safetensors files and their index
 * @param configs name and content of config.json and of what older loaders read beside it
 */
public record CheckpointPlan(ShardPlan shards, SortedMap<String, String> configs) {
    private static final String CONFIG = "config.json";

    public CheckpointPlan {
        configs = Collections.unmodifiableSortedMap(new TreeMap<>(configs));
    }

    /**
     * Returns an AWQ checkpoint of a model that is not quantized yet, as {@link #of(ModelConfig, QuantizedFormat,
     * QuantizationSpec, long)}.
     */
    public static CheckpointPlan of(ModelConfig config, QuantizationSpec spec, long maxShardBytes) {
        return of(config, QuantizedFormat.AWQ_GEMM, spec, maxShardBytes);
    }

    /**
     * Plans the output for a model that is not quantized yet; its zeros are any.
     *
     * @param maxShardBytes most bytes of a shard
     * @throws IllegalArgumentException if a linear's shape does not fit the spec or the layout, naming the tensor
     */
    public static CheckpointPlan of(
            ModelConfig config, QuantizedFormat format, QuantizationSpec spec, long maxShardBytes) {
        return quantized(config, format, spec, maxShardBytes);
    }

    /**
     * Plans a checkpoint whose linears are in the layout of {@code format} and all else in fp16.
     *
     * @throws IllegalArgumentException if a linear's shape does not fit the spec or the layout, naming the tensor
     */
    static CheckpointPlan quantized(
            ModelConfig config, QuantizedFormat format, QuantizationSpec spec, long maxShardBytes) {
        Layout layout = Layout.of(format);
        SortedMap<String, String> configs = new TreeMap<>();
        configs.put(CONFIG, QuantizationJson.pretty(QuantizationJson.quantized(config, format, spec)));
        layout.beside(spec, config.gates()).forEach((name, json) -> configs.put(name, QuantizationJson.pretty(json)));
        return new CheckpointPlan(ShardPlan.of(specs(config, layout, spec), maxShardBytes), configs);
    }

    /**
     * Plans a checkpoint without quantized weights.
     *
     * @param tensors in the order in which they are written
     */
    static CheckpointPlan dense(ModelConfig config, List<TensorSpec> tensors, long maxShardBytes) {
        DType type = tensors.getFirst().dtype();
        return new CheckpointPlan(
                ShardPlan.of(tensors, maxShardBytes),
                new TreeMap<>(Map.of(CONFIG, QuantizationJson.pretty(QuantizationJson.dense(config, type)))));
    }

    /** The tensors in the source's canonical order, each linear's weight replaced by what the layout has for it. */
    private static List<TensorSpec> specs(ModelConfig config, Layout layout, QuantizationSpec spec) {
        Map<String, List<TensorSpec>> packed = new HashMap<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (LinearModule module : config.modules(layer)) {
                packed.put(
                        config.spec(module, layer).name(),
                        layout.tensors(
                                module.name(layer), config.outFeatures(module), config.inFeatures(module), spec));
            }
        }
        return config.tensors().stream()
                .flatMap(tensor -> packed
                        .getOrDefault(
                                tensor.name(),
                                List.of(new TensorSpec(
                                        tensor.name(), TensorNames.type(tensor.name(), DType.F16), tensor.shape())))
                        .stream())
                .toList();
    }

    /** All tensors, in the order in which they are written. */
    List<TensorSpec> tensors() {
        return shards.shards().stream()
                .flatMap(shard -> shard.tensors().stream())
                .toList();
    }

    /** Returns the names of the tensors of a decoder layer, in the order of their data. */
    public List<String> layerTensors(int layer) {
        return names().filter(name -> name.startsWith("model.layers." + layer + "."))
                .toList();
    }

    /**
     * Returns the names of what is not part of a layer: embedding, final norm and, unless tied to the embedding, the
     * head.
     */
    public List<String> outerTensors() {
        return names().filter(name -> !name.startsWith("model.layers.")).toList();
    }

    private Stream<String> names() {
        return tensors().stream().map(TensorSpec::name);
    }

    /** Returns the bytes of the safetensors files and their index. */
    public long shardBytes() {
        return shards.fileBytes();
    }

    /**
     * Returns the bytes of everything that follows from the config: shards, index, config.json and the files beside
     * it.
     */
    public long fileBytes() {
        return shardBytes()
                + configs.values().stream()
                        .mapToLong(CheckpointPlan::utf8Length)
                        .sum();
    }

    private static long utf8Length(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }
}
