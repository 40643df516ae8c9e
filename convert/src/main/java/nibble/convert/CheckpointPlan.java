package nibble.convert;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.QuantizedFormat;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.pack.QuantizationSpec;
import nibble.pack.layout.PackedLinears;
import nibble.pack.layout.QuantizationJson;

/**
 * Everything about a quantized checkpoint, AWQ or in another layout of the same numbers, that follows from the model's config alone, before any weight is read: which tensors
 * lie in which shard, the two config files, and the bytes of them all.
 *
 * @param format the layout of the linears
 * @param spec what the linears are quantized to
 * @param shards the safetensors files and their index
 * @param configJson content of config.json
 * @param beside name and content of what older loaders read beside it, as quant_config.json
 */
public record CheckpointPlan(
        QuantizedFormat format,
        QuantizationSpec spec,
        ShardPlan shards,
        String configJson,
        SortedMap<String, String> beside) {
    public CheckpointPlan {
        beside = Collections.unmodifiableSortedMap(new TreeMap<>(beside));
    }

    /** Plans an AWQ checkpoint; otherwise like {@link #of(ModelConfig, QuantizedFormat, QuantizationSpec, long)}. */
    public static CheckpointPlan of(ModelConfig config, QuantizationSpec spec, long maxShardBytes) {
        return of(config, QuantizedFormat.AWQ_GEMM, spec, maxShardBytes);
    }

    /**
     * Plans the output for a model that is not quantized yet.
     *
     * @param maxShardBytes most bytes of a shard
     * @throws IllegalArgumentException if a linear's shape does not fit the spec, naming the tensor
     */
    public static CheckpointPlan of(
            ModelConfig config, QuantizedFormat format, QuantizationSpec spec, long maxShardBytes) {
        return new CheckpointPlan(
                format,
                spec,
                ShardPlan.of(specs(config, format, spec), maxShardBytes),
                QuantizationJson.pretty(QuantizationJson.quantized(config, format, spec, false)),
                new TreeMap<>(QuantizationJson.beside(format, spec, false)));
    }

    /** The tensors in the source's canonical order, each linear's weight replaced by what the format has for it. */
    private static List<TensorSpec> specs(ModelConfig config, QuantizedFormat format, QuantizationSpec spec) {
        Map<String, List<TensorSpec>> packed = new HashMap<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (LinearModule module : config.modules()) {
                packed.put(
                        config.spec(module, layer).name(),
                        PackedLinears.specs(
                                format,
                                module.name(layer),
                                config.outFeatures(module),
                                config.inFeatures(module),
                                spec,
                                false));
            }
        }
        List<TensorSpec> specs = new ArrayList<>();
        for (TensorSpec tensor : config.tensors()) {
            List<TensorSpec> parts = packed.get(tensor.name());
            if (parts != null) {
                specs.addAll(parts);
            } else {
                specs.add(new TensorSpec(tensor.name(), DType.F16, tensor.shape()));
            }
        }
        return specs;
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
        return shards.shards().stream()
                .flatMap(shard -> shard.tensors().stream())
                .map(TensorSpec::name);
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
                + utf8Length(configJson)
                + beside.values().stream().mapToLong(CheckpointPlan::utf8Length).sum();
    }

    private static long utf8Length(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }
}
